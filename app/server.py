"""The web server: settings that keep the dashboard, and what it shows, on this machine."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from app.page import Dashboard, build
from app.reader import RolloutIndex
from medgrpo.errors import MissingExtraError, UserError

__all__ = ["launch"]

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

_Message = MutableMapping[str, Any]
_App = Callable[
    [_Message, Callable[..., Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]


class _SecurityHeaders:
    """Adds the content policy to every response: nothing is loaded from anywhere but this machine."""

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[..., Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        async def send_with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


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


def launch(folder: str | Path, port: int | None = None) -> None:
    """Serve the dashboard on 127.0.0.1 until interrupted.

    Args:
        folder: Holds the rollout stores.
        port: TCP port; the first free one from 7860 if None.

    Raises:
        UserError: If there is no such folder, or the port is taken.
        MissingExtraError: If gradio or duckdb is not installed.
    """
    base = Path.cwd()
    dashboard = Dashboard(RolloutIndex(folder), base)
    _prepare()
    try:
        import gradio as gr
        from starlette.middleware import Middleware
    except ImportError as error:
        raise MissingExtraError("gradio", "app") from error
    page = build(dashboard)
    page.queue(default_concurrency_limit=8)
    try:
        _, url, _ = page.launch(
            server_name="127.0.0.1",
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            show_error=False,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            strict_cors=True,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            max_file_size="1mb",
            app_kwargs={"middleware": [Middleware(_SecurityHeaders)]},
            theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css_paths=Path(__file__).with_name("style.css"),
        )
    except OSError as error:
        taken = "ports 7860 to 7959 are all taken" if port is None else f"port {port} is taken"
        raise UserError(f"{taken}: choose another one with --port") from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the temporary folder goes with it
    print(f"The dashboard of {folder} is on {url} (end it with Ctrl+C)", flush=True)
    page.block_thread()
