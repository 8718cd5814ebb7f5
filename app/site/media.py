"""Review clips for the browser: films by the hash that names them, and their times; nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.show.making import clip_maker
from app.show.player import PLAYER_FILES, told_times
from medgrpo.data.review_clips import ReviewClip
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = ["HEAD", "add_media"]

HEAD = '<link rel="stylesheet" href="/static/player.css"><script src="/static/player.js" defer></script>'
"""What the head of a page with a player needs."""

_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_UNSEEN = {"cache-control": "private, no-store"}  # patients stay out of shared caches and off the disk
_TYPES = {".js": "text/javascript", ".css": "text/css"}


def add_media(app: FastAPI, folder: Path) -> None:
    """Add ``/media/<key>.mp4`` with byte ranges, ``/clips/<key>`` with its times, and the player's own files.

    Args:
        app: The site.
        folder: Of films.
    """
    from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

    own = {path.name: path for path in PLAYER_FILES}

    def refused(status: int, words: str) -> Any:
        return PlainTextResponse(words, status, headers=_UNSEEN)

    def film(request: Request) -> Any:
        name = _after(request, "/media/")
        key, _, suffix = name.partition(".")
        if suffix != "mp4" or not _KEY.fullmatch(key):
            return refused(403, "not a review clip")
        path = ReviewClip(folder, key).film
        if path.is_symlink() or path.resolve().parent != folder.resolve():
            return refused(403, "not a review clip")
        if not path.is_file():
            return refused(404, "there is no such review clip")
        return FileResponse(path, media_type="video/mp4", headers=_UNSEEN)

    def times(request: Request) -> Any:
        key = _after(request, "/clips/")
        if not _KEY.fullmatch(key):
            return refused(403, "not a review clip")
        state = clip_maker(folder).state(key)
        told = {"state": state.state, "reason": state.reason}
        if state.state == "ready":
            try:
                told |= told_times(ReviewClip(folder, key).read())
            except UserError:
                told = {"state": "failed", "reason": "What is known about its times is damaged."}
        return JSONResponse(told, headers=_UNSEEN)

    def static(request: Request) -> Any:
        name = _after(request, "/static/")
        if name not in own:
            return refused(404, "no such file")
        return FileResponse(
            own[name], media_type=_TYPES[own[name].suffix], headers={"cache-control": "no-cache"}
        )

    for folder_of, answer in (("media", film), ("clips", times), ("static", static)):
        app.router.add_route(f"/{folder_of}/{{rest:path}}", answer, methods=["GET", "HEAD"])


def _after(request: Request, start: str) -> str:
    """The rest of the path as it was asked for; that of a route is without a last line feed."""
    return str(request.scope["path"]).removeprefix(start)
