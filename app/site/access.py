"""Who may ask what: every request passes here before any page sees it.

On this machine alone nobody logs in, and a request must name this machine as its host, so that a page of some
other site cannot ask in the browser's name (DNS rebinding). With users everybody logs in, and each sees the
pages of their role.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from app.site.audit import AuditLog
from app.site.headers import ASGIApp, Message, Receive, Send
from app.site.login import login_page
from app.site.sessions import LIFETIME_S, Session, Sessions
from medgrpo.errors import UserError

__all__ = ["COOKIE", "SESSION", "AccessControl"]

COOKIE = "medgrpo_session"
SESSION = "medgrpo.session"
"""Key of the :class:`Session` in an ASGI scope."""

_HOSTS = ("127.0.0.1", "localhost", "::1")
_OPEN = ("/login", "/favicon.ico")
_LONGEST_FORM = 4096  # bytes
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class AccessControl:
    """An ASGI middleware.

    Args:
        app: The site.
        sessions: Of the users; None where nobody logs in.
        audit: For logins.
        style: Style sheet of the login page.
        researcher_paths: First parts of paths that only researchers may ask for.
        secure: Whether the site is reached by https, for the cookie.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions | None,
        audit: AuditLog,
        style: str,
        researcher_paths: Sequence[str],
        secure: bool,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._audit = audit
        self._style = style
        self._researcher_paths = frozenset(researcher_paths)
        self._secure = secure

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it; a login that cannot be logged is refused."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if self._foreign(scope, headers):
            return await _refuse(scope, send, 403, "This address is not for pages of other sites.")
        if self._sessions is None:
            return await self._app(scope, receive, send)
        token = _token(headers.get("cookie", ""))
        session = self._sessions.find(token)
        path = str(scope["path"])
        if path == "/login" and scope["type"] == "http" and scope["method"] == "POST":
            try:
                return await self._login(await _form(receive), send)
            except UserError as error:
                return await _answer(send, 503, login_page(self._style, str(error)))
        if path == "/logout" and scope["type"] == "http" and scope["method"] == "POST":
            if session is not None:
                self._sessions.close(token)
                with suppress(UserError):  # who cannot be logged is let go all the same
                    self._audit.record(session.user, "log out", "site")
            return await _redirect(send, "/login", self._cookie("", 0))
        if path == "/login":
            return await _answer(send, 200, login_page(self._style))
        if session is None and path not in _OPEN:
            if scope["type"] == "http" and "text/html" in headers.get("accept", ""):
                return await _redirect(send, "/login")
            return await _refuse(scope, send, 401, "Log in first.")
        if session is not None and not self._allowed(session, path):
            return await _refuse(scope, send, 403, "This page is for researchers.")
        return await self._app({**scope, SESSION: session}, receive, send)

    def _foreign(self, scope: Message, headers: dict[str, str]) -> bool:
        host = headers.get("host", "")
        if self._sessions is None and urlsplit(f"//{host}").hostname not in _HOSTS:
            return True
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] in _CHANGING
        return changes and origin is not None and urlsplit(origin).netloc != host

    def _allowed(self, session: Session, path: str) -> bool:
        return session.role == "researcher" or path.strip("/").split("/")[0] not in self._researcher_paths

    async def _login(self, form: dict[str, str], send: Send) -> None:
        assert self._sessions is not None
        name, password = form.get("name", ""), form.get("password", "")
        if (wait := self._sessions.wait(name)) > 0:
            said = f"Too many wrong passwords. Try again in {wait:.0f} seconds."
            return await _answer(send, 429, login_page(self._style, said))
        # Here and not in a thread: guesses that arrive together are checked one after the other.
        token = self._sessions.open(name, password)
        self._audit.record(name[:64], "log in" if token else "failed login", "site")
        if token is None:
            return await _answer(send, 401, login_page(self._style, "Name and password do not fit."))
        return await _redirect(send, "/", self._cookie(token, int(LIFETIME_S)))

    def _cookie(self, token: str, seconds: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _token(cookie: str) -> str:
    try:
        found = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def _form(receive: Receive) -> dict[str, str]:
    """The fields of a small form; nothing if it is longer than a form of ours can be."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LONGEST_FORM or message["type"] == "http.disconnect":
            return {}
        if not message.get("more_body"):
            break
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


async def _answer(send: Send, status: int, body: str, headers: Sequence[tuple[str, str]] = ()) -> None:
    content = body.encode()
    told = [("content-type", "text/html; charset=utf-8"), ("content-length", str(len(content))), *headers]
    told.append(("cache-control", "no-store"))
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in told]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": content})


async def _refuse(scope: Message, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, status, reason)


async def _redirect(send: Send, to: str, cookie: str | None = None) -> None:
    await _answer(send, 303, "", [("location", to), *([("set-cookie", cookie)] if cookie else [])])
