"""The dashboard in a real Chromium, on a store that a writer appends to."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.site.users import add_user
from tests.app.scene import write_scene

pytestmark = pytest.mark.browser
expect.set_options(timeout=20_000)  # other work may share the machine
ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder)
    return folder


@pytest.fixture(scope="module")
def address(scene: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "app", "--runs", str(scene / "runs")]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = server.stdout.readline()
    assert "http://127.0.0.1:" in said
    yield next(word for word in said.split() if word.startswith("http"))
    server.terminate()
    server.wait()
    server.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("the dashboard's tests need a browser: install chromium (apt-get install -y chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that must ask only this machine and write no error to the console."""
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(f"{address}training/")
    yield opened
    opened.close()
    assert asked
    assert [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None)] == []
    assert errors == []


def test_curves_are_shown_for_each_dataset_and_can_be_changed(page: Page) -> None:
    charts = page.locator("svg.curve")
    expect(charts).to_have_count(3)
    for name in ("AVOS", "CholecT50", "CoPESD"):
        expect(page.locator("#curves h4", has_text=name)).to_be_visible()
    page.get_by_text("Scores before scaling").click()
    expect(charts).to_have_count(4)
    expect(page.locator("#curves")).to_contain_text("Similarity to the reference")


def test_a_group_opens_with_all_answers_and_the_judges_reasons(page: Page, scene: Path) -> None:
    page.get_by_role("tab", name="Answers").click()
    page.locator("#groups [role=gridcell]", has_text="summary-7").first.click()
    answers = page.locator("article.group .answer")
    expect(answers).to_have_count(8)
    for k in range(8):
        expect(answers.nth(k)).to_be_visible()
    expect(page.get_by_text("Names the cystic artery as the reference does.").first).to_be_visible()
    expect(page.locator("article.group")).to_contain_text("How the rewards came about")
    expect(page.locator("article.group figure img").first).to_be_visible()
    assert page.evaluate("document.querySelector('article.group figure img').naturalWidth") > 0
    with sqlite3.connect(scene / "runs-review" / "audit.sqlite") as log:
        lines = log.execute("SELECT user, action, target FROM audit").fetchall()
    assert ("local", "view group", "demo/7/summary-7") in lines


def test_hostile_answers_stay_text(page: Page, address: str) -> None:
    page.goto(f"{address}training/?run=demo&step=7&group=summary-7")
    hostile = page.locator("article.group .answer", has_text="onerror").first
    expect(hostile).to_contain_text("${window.hacked=1}")
    expect(hostile).to_contain_text("{{7*7}}")
    assert hostile.locator("img, script").count() == 0
    for place in ("#groups", "#group header", "#group .two"):  # the clip's name and the question
        expect(page.locator(place)).to_contain_text("onerror")
    assert page.locator("[onerror]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_filters_narrow_the_list(page: Page) -> None:
    page.get_by_role("tab", name="Answers").click()
    expect(page.locator("#groups [role=gridcell]", has_text="stg-7")).to_have_count(1)
    page.get_by_label("Task", exact=True).click()
    page.get_by_role("option", name="When does it happen?").click()
    expect(page.locator("#groups [role=gridcell]", has_text="stg-7")).to_have_count(0)
    expect(page.locator("#groups [role=gridcell]", has_text="tal-7")).to_have_count(1)


def test_a_link_opens_its_group_and_survives_a_reload(page: Page, address: str) -> None:
    page.goto(f"{address}training/?run=demo&step=3&group=tal-3")
    for _ in range(2):
        expect(page.locator("article.group svg.timeline")).to_be_visible()
        expect(page.locator("article.group")).to_contain_text("round 3 of training")
        assert "step=3&group=tal-3" in str(
            page.locator("a", has_text="Link to this group").get_attribute("href")
        )
        page.reload()


def test_boxes_are_drawn_and_a_foreign_link_is_answered(page: Page, address: str) -> None:
    page.goto(f"{address}training/?run=demo&step=2&group=stg-2")
    expect(page.locator("article.group svg .box.expert")).to_have_count(40)
    page.goto(f"{address}training/?run=%3Cb%3E&step=2&group=%3Cimg%20src%3Dx%3E")
    expect(page.locator("#group")).to_contain_text("no such group")


def test_no_file_of_the_run_can_be_fetched(page: Page, scene: Path, address: str) -> None:
    shard = next((scene / "runs").rglob("*.parquet"))
    for path in (shard, scene / "frames" / "000.jpg", Path("/etc/passwd"), ROOT / "pyproject.toml"):
        for spelled in (str(path), str(path).replace("/", "%2f"), f"{scene}/../{path}"):
            answer = page.request.get(f"{address}training/gradio_api/file={spelled}")
            assert answer.status in (403, 404), spelled
    assert "default-src 'self'" in page.request.get(address).headers["content-security-policy"]


def test_the_overview_follows_a_writer(page: Page, scene: Path) -> None:
    """Last, because it adds rounds."""
    expect(page.locator("#curves")).to_contain_text("192 answers in 8 rounds")
    write_scene(scene, rounds=9)
    expect(page.locator("#curves")).to_contain_text("216 answers in 9 rounds")


def test_a_taken_port_is_one_line(scene: Path, address: str) -> None:
    port = str(urlsplit(address).port)
    command = [sys.executable, "-m", "app", "--runs", str(scene / "runs"), "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} is taken: choose another one with --port\n"


def test_dashboards_that_start_together_take_different_ports(scene: Path) -> None:
    command = [sys.executable, "-m", "app", "--runs", str(scene / "runs")]
    servers = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [server.stdout.readline() for server in servers if server.stdout]
    for server in servers:
        server.terminate()
    errors = [server.communicate()[1] for server in servers]
    assert errors == ["", ""]
    ports = {urlsplit(next(word for word in line.split() if word.startswith("http"))).port for line in said}
    assert len(ports) == 2


def test_where_people_log_in_a_reviewer_is_told_what_is_closed(
    browser: Browser, scene: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.json"
    for name, role in (("Dr. Lin", "researcher"), ("nurse", "reviewer")):
        add_user(users, name, role, "a long secret")
    command = [sys.executable, "-m", "app", "--runs", str(scene / "runs"), "--users", str(users)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        opened = browser.new_page()

        def log_in(name: str, password: str) -> None:
            opened.goto(f"{address}training/")
            opened.get_by_label("Name").fill(name)
            opened.get_by_label("Password").fill(password)
            opened.get_by_role("button", name="Log in").click()

        log_in("nurse", "a wrong guess")
        expect(opened.get_by_text("Name and password do not fit.")).to_be_visible()
        log_in("nurse", "a long secret")
        expect(opened.get_by_text("No page is open to you here.")).to_be_visible()
        assert opened.goto(f"{address}training/").status == 403
        opened.goto(address)
        opened.get_by_role("button", name="Log out").click()
        log_in("Dr. Lin", "a long secret")
        opened.get_by_role("link", name="Training").click()
        expect(opened.locator("svg.curve")).to_have_count(3)
        opened.close()
        server.terminate()
