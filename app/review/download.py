"""Verdicts as files: sent straight from the store, so that no copy of them is left in a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.context import LOCAL_USER, Context
from app.site.access import SESSION
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_files import FORMS, verdict_bytes
from medgrpo.evaluation.verdict_store import stored_verdicts

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["add_downloads"]


def add_downloads(app: FastAPI, context: Context) -> None:
    """Add ``/verdicts/<csv|jsonl|parquet>``, of all reviewers or of ``?reviewer=`` alone.

    Reviewers who log in get their own verdicts, whatever they ask for: others' could sway them.

    Args:
        app: The site.
        context: What is downloaded.
    """
    from fastapi import Request
    from fastapi.responses import PlainTextResponse, Response

    def download(form: str, request: Request, reviewer: str = "") -> Any:
        session = request.scope.get(SESSION)
        user = session.user if session else LOCAL_USER
        wanted = user if session and session.role != "researcher" else reviewer
        if f".{form}" not in FORMS:
            return PlainTextResponse(f"Choose one of {', '.join(FORMS)}.", 404)
        try:
            context.audit.record(user, "download verdicts", f"of {wanted[:64] or 'all reviewers'}, {form}")
            given = stored_verdicts(context.workspace.verdicts)
            content = verdict_bytes([v for v in given if wanted in ("", v.reviewer)], f".{form}")
        except UserError as error:
            return PlainTextResponse(str(error), 503)
        named = {
            "content-disposition": f'attachment; filename="verdicts.{form}"',
            "cache-control": "no-store",
        }
        return Response(content, media_type=FORMS[f".{form}"], headers=named)

    download.__annotations__ = {"form": str, "request": Request, "reviewer": str}  # imported late
    app.add_api_route("/verdicts/{form}", download)
