"""The web server: the pages on one address, and settings that keep on this machine what they show."""

from __future__ import annotations

import atexit
import errno
import gc
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.context import Context
from app.pages import PAGES
from app.review.download import add_downloads
from app.site.access import SESSION, AccessControl
from app.site.headers import SecurityHeaders
from app.site.media import HEAD, add_media
from app.site.prepare import prepare_gradio
from app.site.sessions import Sessions
from app.site.start import start_page
from app.site.theme import theme
from medgrpo.errors import MissingExtraError, UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Address", "serve", "site"]

_FIRST_PORT, _PORTS = 7860, 100
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" '
    'fill="#0072b2"/><path d="M7 22V10l9 8 9-8v12" fill="none" stroke="#fff" stroke-width="3"/></svg>'
)
_STYLE = Path(__file__).parents[1] / "show" / "style.css"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the site is reached.

    Attributes:
        host: Address to listen on.
        port: TCP port; the first free one from 7860 if None.
        certificate: PEM file, for https.
        key: PEM file of its private key.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def site(context: Context, sessions: Sessions | None = None, secure: bool = False) -> FastAPI:
    """All pages.

    Args:
        context: What they show.
        sessions: Of those who may log in; None where everybody on this machine may look.
        secure: Whether it is reached by https.

    Raises:
        MissingExtraError: If gradio is not installed.
    """
    prepare_gradio()
    try:
        import gradio as gr
        from fastapi import FastAPI, Request
        from fastapi.responses import HTMLResponse, Response
    except ImportError as error:
        raise MissingExtraError("gradio", "app") from error
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    style = _STYLE.read_text(encoding="utf-8")
    closed = [page.path for page in PAGES if not page.for_reviewers]
    app.add_middleware(
        AccessControl,
        sessions=sessions,
        audit=context.audit,
        style=style,
        researcher_paths=closed,
        secure=secure,
    )
    app.add_middleware(SecurityHeaders)

    def start(request: Request) -> Any:
        return HTMLResponse(start_page(PAGES, style, request.scope.get(SESSION)))

    def user(request: Request) -> str | None:
        session = request.scope.get(SESSION)
        return session.user if session else None

    start.__annotations__ = {"request": Request}  # FastAPI reads it, and it is imported late
    app.add_api_route("/", start, response_class=HTMLResponse)
    app.add_api_route("/favicon.ico", lambda: Response(_ICON, media_type="image/svg+xml"))
    add_downloads(app, context)
    add_media(app, context.workspace.media)
    for page in PAGES:
        links = [(one.path, one.title) for one in PAGES if one.for_reviewers or not page.for_reviewers]
        blocks = page.build(context, links)
        gr.mount_gradio_app(
            app,
            blocks,
            path=f"/{page.path}",
            show_error=False,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            max_file_size="1mb",
            theme=theme(),
            css_paths=_STYLE,
            head=HEAD,
            auth_dependency=user if sessions else None,
        )
    return app


def serve(context: Context, address: Address, sessions: Sessions | None = None) -> None:
    """Serve the pages until interrupted.

    Args:
        context: What they show.
        address: Where.
        sessions: Of those who may log in.

    Raises:
        UserError: If others could ask and nobody has to log in, the port is taken, or the certificate cannot
            be read.
        MissingExtraError: If gradio is not installed.
    """
    if not address.is_local and sessions is None:
        raise UserError(
            f"--host {address.host} lets other machines ask: say who may log in with --users FILE, which "
            "python -m app.users makes, or stay on 127.0.0.1"
        )
    if (address.certificate is None) != (address.key is None):
        raise UserError("--certificate and --key belong together")
    secure = address.certificate is not None
    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if address.port is None else [address.port]
    listening = _listen(address.host, ports)
    files = [path.resolve() for path in (address.certificate, address.key) if path is not None]
    app = _site_and_index(context, sessions, secure)
    import uvicorn

    class Server(uvicorn.Server):
        """Says where it is once it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = listening.getsockname()[:2]
            where = f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}/"
            print(f"The dashboard of {context.index.folder} is on {where} (end it with Ctrl+C)", flush=True)
            context.index.work_in_background()

    # So that the temporary folder goes with it: uvicorn hands the signal on when it has shut down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    if files:
        config.ssl_certfile, config.ssl_keyfile = files
    try:
        config.load()
    except OSError as error:  # of ssl too
        raise UserError(f"--certificate {address.certificate}, --key {address.key}: {error}") from None
    Server(config).run([listening])


def _site_and_index(context: Context, sessions: Sessions | None, secure: bool) -> FastAPI:
    """All pages, and beside it the runs, which whoever opens the first page would wait for otherwise."""
    with _start_up(), ThreadPoolExecutor(max_workers=1) as reader:
        reading = reader.submit(context.index.refresh)
        app = site(context, sessions, secure)
        reading.result()
    return app


@contextmanager
def _start_up() -> Iterator[None]:
    """What is made now stays: to look for garbage in it would take a third of the time, and later on too."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)  # else reading waits 5 ms at each file until it may go on
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)
        gc.enable()
        sys.setswitchinterval(usual)


def _listen(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket on the first free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()  # else another dashboard that starts now could be given the same port
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"--host {host}: {error.strerror or error}") from None
            continue
        return listening
    taken = f"port {ports[0]} is" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]} are all"
    raise UserError(f"{taken} taken: choose another one with --port")
