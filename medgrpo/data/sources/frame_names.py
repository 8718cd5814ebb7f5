"""Names of frame files by a pattern with ``{video}`` and ``{frame}``."""

from __future__ import annotations

import re

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.errors import UserError

__all__ = ["FramePattern"]

_FIELD = re.compile(r"\{(video|frame)\}")


class FramePattern:
    """Where frames are, and what their names say.

    Args:
        pattern: A path relative to the root, e.g. ``frames/{video}/{frame}.jpg``. ``{video}`` may stand in
            several parts of it, ``{frame}``, a number, stands in the last.

    Raises:
        UserError: If a field is missing or stands elsewhere.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.folder, _, self.name = pattern.rpartition("/")
        if "{video}" not in pattern or self.name.count("{frame}") != 1 or "{frame}" in self.folder:
            raise UserError(
                f"images: {pattern!r} needs {{video}}, and {{frame}} in the last part, as in "
                "frames/{video}/{frame}.jpg"
            )
        parts = pattern.split("/")
        named = next(k for k, part in enumerate(parts) if _FIELD.search(part))
        tail = "/".join(parts[named:])
        self._tail = re.compile(rf"(?:^|.*/){_expression(tail)}")

    def __str__(self) -> str:
        return self.pattern

    def parts_of(self, name: str) -> tuple[str, int]:
        """Video and number of a frame.

        Args:
            name: A path that ends like the pattern from its first field on, whatever is before it.

        Raises:
            CellError: If it does not.
        """
        match = self._tail.fullmatch(name)
        if match is None:
            raise CellError("file_name", f"{name[-80:]!r} does not end like {self.pattern}")
        return match["video"], int(match["frame"])

    def files_of(self, video_id: str) -> tuple[str, re.Pattern[str]]:
        """Folder of a video's frames, and what the name of each is; its first group is the number."""
        folder = self.folder.replace("{video}", video_id)
        before, after = self.name.replace("{video}", video_id).split("{frame}")
        return folder, re.compile(rf"{re.escape(before)}(\d{{1,12}}){re.escape(after)}", re.IGNORECASE)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; a video that stands there twice is the same twice."""
    out, last, seen = "", 0, False
    for match in _FIELD.finditer(pattern):
        out += re.escape(pattern[last : match.start()])
        if match[1] == "frame":
            out += r"(?P<frame>\d{1,12})"
        else:
            out += "(?P=video)" if seen else "(?P<video>[^/]+?)"
            seen = True
        last = match.end()
    return out + re.escape(pattern[last:])
