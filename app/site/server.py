"""The web server: the pages on one address of this machine, and settings that keep there what they show."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.context import Context
from app.pages import PAGES
from app.site.headers import SecurityHeaders
from app.site.start import start_page
from medgrpo.errors import MissingExtraError, UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["serve", "site"]

_FIRST_PORT, _PORTS = 7860, 100
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" '
    'fill="#0072b2"/><path d="M7 22V10l9 8 9-8v12" fill="none" stroke="#fff" stroke-width="3"/></svg>'
)
_STYLE = Path(__file__).parents[1] / "show" / "style.css"


def _prepare() -> None:
    """Settings that Gradio reads while it is imported, and a working folder without anything to serve."""
    private = tempfile.mkdtemp(prefix="medgrpo-app-")  # 0700
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_RUN_HISTORY="False",
        GRADIO_TEMP_DIR=private,
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    empty = Path(private, "empty")
    empty.mkdir()
    os.chdir(empty)


def site(context: Context) -> FastAPI:
    """All pages.

    Raises:
        MissingExtraError: If gradio is not installed.
    """
    _prepare()
    try:
        import gradio as gr
        from fastapi import FastAPI
        from fastapi.responses import HTMLResponse, Response
    except ImportError as error:
        raise MissingExtraError("gradio", "app") from error
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)
    first = start_page(PAGES, _STYLE.read_text(encoding="utf-8"))
    app.add_api_route("/", lambda: HTMLResponse(first), response_class=HTMLResponse)
    app.add_api_route("/favicon.ico", lambda: Response(_ICON, media_type="image/svg+xml"))
    links = [(page.path, page.title) for page in PAGES]
    for page in PAGES:
        blocks = page.build(context, links)
        blocks.queue(default_concurrency_limit=8)
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
            theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css_paths=_STYLE,
        )
    return app


def serve(context: Context, port: int | None = None) -> None:
    """Serve the pages on 127.0.0.1 until interrupted.

    Args:
        context: What they show.
        port: TCP port; the first free one from 7860 if None.

    Raises:
        UserError: If the port is taken.
        MissingExtraError: If gradio is not installed.
    """
    listening = _listen("127.0.0.1", range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else [port])
    app = site(context)
    import uvicorn

    class Server(uvicorn.Server):
        """Says where it is once it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            address = "http://{}:{}/".format(*listening.getsockname()[:2])
            print(
                f"The dashboard of {context.index.folder} is on {address} (end it with Ctrl+C)", flush=True
            )

    # So that the temporary folder goes with it: uvicorn hands the signal on when it has shut down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config: Any = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    Server(config).run([listening])


def _listen(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket on the first free port."""
    for port in ports:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError:
            listening.close()
            continue
        return listening
    taken = f"port {ports[0]} is taken" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]} are all taken"
    raise UserError(f"{taken}: choose another one with --port")
