"""The dashboard's own folder: the runs are only read, so what it makes itself is kept here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["Workspace", "open_workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where things are.

    Attributes:
        folder: Readable by its owner alone if it is made here, since it tells about patients.
    """

    folder: Path

    @property
    def verdicts(self) -> Path:
        """SQLite file of the clinicians' verdicts."""
        return self.folder / "verdicts.sqlite"

    @property
    def reviews(self) -> Path:
        """SQLite file of which answers are reviewed by whom."""
        return self.folder / "reviews.sqlite"

    @property
    def media(self) -> Path:
        """Folder of the films that browsers play."""
        return self.folder / "media"

    @property
    def index(self) -> Path:
        """Folder of what makes the runs quick to read; it may be deleted."""
        return self.folder / "index"

    @property
    def audit(self) -> Path:
        """SQLite file of who looked at what."""
        return self.folder / "audit.sqlite"


def open_workspace(folder: str | Path | None, runs: str | Path) -> Workspace:
    """Make the folder if there is none.

    Args:
        folder: Where; ``<runs>-review`` beside the runs if None, so that it is on the same disk as they are.
        runs: Folder that training writes to.

    Raises:
        UserError: If it cannot be made or written.
    """
    at = Path(runs).resolve()
    place = at.with_name(f"{at.name}-review") if folder is None else Path(folder).resolve()
    if place == at or at in place.parents:
        raise UserError(f"--workspace {place} is inside the runs, which are only read; name another folder")
    workspace = Workspace(place)
    try:
        for made in (workspace.folder, workspace.media, workspace.index):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--workspace {place}: cannot be made ({error.strerror}); name a folder that can be written"
        ) from error
    return workspace
