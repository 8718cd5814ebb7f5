"""Who may ask the dashboard, from users' files to cookies; without a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.site.access import COOKIE, SESSION, AccessControl
from app.site.audit import AuditLog
from app.site.sessions import LIFETIME_S, Sessions
from app.site.users import add_user, read_users, verified
from medgrpo.errors import UserError

ROOT = Path(__file__).parents[2]
PASSWORD = "a long secret"
BAD_SALT = '{"a": {"role": "reviewer", "salt": 1, "digest": "zz"}}'


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    path = tmp_path / "users.json"
    add_user(path, "Dr. Lin", "researcher", PASSWORD)
    add_user(path, "nurse", "reviewer", PASSWORD)
    return Sessions(read_users(path), clock)


def client(sessions: Sessions | None, folder: Path, base: str = "http://127.0.0.1:7860") -> TestClient:
    def say(request: Request) -> PlainTextResponse:
        session = request.scope.get(SESSION)
        return PlainTextResponse(session.user if session else "nobody")

    paths = ("/", "/training/x", "/review/", "/media/y")
    routes = [Route(path, say, methods=["GET", "POST"]) for path in paths]
    guarded = AccessControl(
        Starlette(routes=routes), sessions, AuditLog(folder / "audit.sqlite"), "", ["training"], secure=False
    )
    return TestClient(guarded, base_url=base, follow_redirects=False)


def log_in(asked: TestClient, name: str, password: str = PASSWORD) -> int:
    return asked.post("/login", data={"name": name, "password": password}).status_code


def test_passwords_are_kept_as_hashes_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    add_user(path, "nurse", "reviewer", PASSWORD)
    assert PASSWORD not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    users = read_users(path)
    assert verified(users, "nurse", PASSWORD)
    assert not verified(users, "nurse", PASSWORD + " ")
    assert not verified(users, "", "")
    add_user(path, "nurse", "researcher", "another secret")
    assert read_users(path)["nurse"].role == "researcher"
    assert not verified(read_users(path), "nurse", PASSWORD)


@pytest.mark.parametrize("name", ["", " nurse", "a\nb", "<b>", "x" * 65])
def test_a_name_that_will_not_do_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name"):
        add_user(tmp_path / "users.json", name, "reviewer", PASSWORD)


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a": {"role": "boss"}}', "{}", "{", BAD_SALT])
def test_a_broken_file_of_users_is_one_line_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / "users.json").write_text(content)
    with pytest.raises(UserError, match=r"users\.json"):
        read_users(tmp_path / "users.json")


def test_on_this_machine_nobody_logs_in_but_other_hosts_are_refused(tmp_path: Path) -> None:
    assert client(None, tmp_path).get("/training/x").text == "nobody"
    assert client(None, tmp_path, "http://localhost:1").get("/").status_code == 200
    assert client(None, tmp_path, "http://attacker.example:7860").get("/").status_code == 403


def test_a_page_of_another_site_cannot_change_anything(tmp_path: Path) -> None:
    asked = client(None, tmp_path)
    assert asked.post("/", headers={"origin": "http://127.0.0.1:7860"}).status_code == 200
    for origin in ("http://attacker.example", "http://127.0.0.1:9", "null"):
        assert asked.post("/", headers={"origin": origin}).status_code == 403


def test_one_logs_in_and_out(sessions: Sessions, tmp_path: Path) -> None:
    asked = client(sessions, tmp_path)
    assert asked.get("/").status_code == 401
    assert asked.get("/media/y").status_code == 401
    shown = asked.get("/", headers={"accept": "text/html"})
    assert (shown.status_code, shown.headers["location"]) == (303, "/login")
    assert 'type="password"' in asked.get("/login").text
    assert log_in(asked, "Dr. Lin", "wrong") == 401
    answer = asked.post("/login", data={"name": "Dr. Lin", "password": PASSWORD})
    assert answer.status_code == 303
    assert all(word in answer.headers["set-cookie"] for word in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert asked.get("/training/x").text == "Dr. Lin"
    token = asked.cookies[COOKIE]
    assert asked.post("/logout").status_code == 303
    asked.cookies.set(COOKIE, token)
    assert asked.get("/").status_code == 401
    log = AuditLog(tmp_path / "audit.sqlite")
    assert log.first_broken() is None


def test_a_reviewer_does_not_see_rewards(sessions: Sessions, tmp_path: Path) -> None:
    asked = client(sessions, tmp_path)
    assert log_in(asked, "nurse") == 303
    assert asked.get("/review/").text == "nurse"
    assert asked.get("/media/y").text == "nurse"
    assert asked.get("/training/x").status_code == 403
    assert asked.get("//training/x").status_code in (403, 404)


def test_a_session_ends(sessions: Sessions, tmp_path: Path, clock: Clock) -> None:
    asked = client(sessions, tmp_path)
    log_in(asked, "nurse")
    clock.now = LIFETIME_S + 1.0
    assert asked.get("/").status_code == 401


def test_guessing_is_slowed(sessions: Sessions, tmp_path: Path, clock: Clock) -> None:
    asked = client(sessions, tmp_path)
    for _ in range(5):
        assert log_in(asked, "nurse", "guess") == 401
    assert log_in(asked, "nurse") == 429  # also with the right password
    assert log_in(asked, "Dr. Lin") == 303  # others are not held up
    clock.now = 1.5
    assert log_in(asked, "nurse", "guess") == 401
    clock.now = 2.0
    assert log_in(asked, "nurse") == 429  # the wait doubles
    clock.now = 4.0
    assert log_in(asked, "nurse") == 303


def test_a_login_that_cannot_be_logged_is_refused(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("audit.sqlite: the audit log cannot be written (disk full)")

    asked = client(sessions, tmp_path)
    monkeypatch.setattr(AuditLog, "record", full)
    answer = asked.post("/login", data={"name": "nurse", "password": PASSWORD})
    assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
    assert "cannot be written" in answer.text


def test_an_endless_form_is_not_read(sessions: Sessions, tmp_path: Path) -> None:
    asked = client(sessions, tmp_path)
    assert log_in(asked, "nurse", "x" * 10_000) == 401


def app(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, check=False)


def test_users_are_added_by_a_command(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    done = app("app.users", str(path), "nurse", said=PASSWORD + "\n")
    assert done.stdout == f"nurse (reviewer) can log in with {path}\n"
    assert verified(read_users(path), "nurse", PASSWORD)
    short = app("app.users", str(path), "nurse", said="short\n")
    assert (short.returncode, short.stderr) == (2, "error: the password needs at least 10 characters\n")


def test_other_machines_are_not_served_without_users(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    done = app("app", "--runs", str(tmp_path / "runs"), "--host", "0.0.0.0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --host 0.0.0.0 lets other machines ask: say who may log in")


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    broken = tmp_path / "certificate.pem"
    broken.write_text("nothing")
    done = app("app", "--runs", str(tmp_path / "runs"), "--certificate", str(broken), "--key", str(broken))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --certificate {broken}, --key {broken}: ")
    alone = app("app", "--runs", str(tmp_path / "runs"), "--certificate", str(broken))
    assert alone.stderr == "error: --certificate and --key belong together\n"
