"""The site in a real Chromium: what it gives away, and to whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from app.site.users import add_user
from tests.app.browsing import ROOT, watched

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}training/") as opened:
        yield opened


def test_no_file_of_the_run_can_be_fetched(page: Page, scene: Path, address: str) -> None:
    shard = next((scene / "runs").rglob("*.parquet"))
    for path in (shard, scene / "frames" / "000.jpg", Path("/etc/passwd"), ROOT / "pyproject.toml"):
        for spelled in (str(path), str(path).replace("/", "%2f"), f"{scene}/../{path}"):
            answer = page.request.get(f"{address}training/gradio_api/file={spelled}")
            assert answer.status in (403, 404), spelled
    assert "default-src 'self'" in page.request.get(address).headers["content-security-policy"]


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
        expect(opened.locator("a.way")).to_have_count(1)
        assert opened.goto(f"{address}training/").status == 403
        opened.goto(address)
        opened.get_by_role("button", name="Log out").click()
        log_in("Dr. Lin", "a long secret")
        opened.get_by_role("link", name="Training").click()
        expect(opened.locator("svg.curve")).to_have_count(3)
        opened.close()
        server.terminate()
