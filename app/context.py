"""What every page is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.index import RolloutIndex
from app.records.library import Library
from app.site.audit import AuditLog
from app.sources import Sources
from app.workspace import Workspace

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["LOCAL_USER", "Context", "user_of"]

LOCAL_USER = "local"
"""Who asks where nobody has to log in."""


@dataclass(frozen=True, slots=True)
class Context:
    """The things that pages share.

    Attributes:
        index: The runs.
        base: Folder that relative frame paths in the stores start from.
        workspace: The dashboard's own folder.
        audit: Who looked at what.
        sources: Records and models that the command line named.
        library: The records, which pages read together.
    """

    index: RolloutIndex
    base: Path
    workspace: Workspace
    audit: AuditLog
    sources: Sources = field(default_factory=Sources)
    library: Library = field(default_factory=lambda: Library((), Path()))


def user_of(request: gr.Request) -> str:
    """The name under which somebody logged in."""
    return str(request.username or LOCAL_USER)
