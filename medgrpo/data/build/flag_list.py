"""A list, made by hand, of frames that must not leave the machine, or that may whatever a detector says.

A CSV file with the columns ``source,video_id,first_frame,last_frame,flag``, one span of frames a line, the
last one included, in the source's own frame numbers. The flag is ``out_of_body``, ``identifying``, a word of
one's own, or ``clear`` for frames that a person has looked at and that a detector is wrong about::

    source,video_id,first_frame,last_frame,flag
    CholecT50,VID01,0,14,out_of_body
    NurViD,kcOqlifSukA,1200,1290,identifying
    CoPESD,07_part2,300,420,clear
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.services.files import read_text

__all__ = ["CLEAR", "FlagList"]

CLEAR = "clear"
"""The flag of frames that a person has cleared."""

COLUMNS = ("source", "video_id", "first_frame", "last_frame", "flag")


@dataclass(frozen=True)
class FlagList:
    """Spans of frames with a flag.

    Attributes:
        spans: By (source, video): first frame, last frame and flag.
    """

    spans: Mapping[tuple[str, str], tuple[tuple[int, int, str], ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> FlagList:
        """Read a list.

        Raises:
            UserError: If the file is missing or a line is wrong; the line and the column are named.
        """
        rows = csv.DictReader(io.StringIO(read_text(path)))
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}")
        spans: dict[tuple[str, str], tuple[tuple[int, int, str], ...]] = {}
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise UserError(f"{where}: expected {len(COLUMNS)} columns")
            first, last = (_frame(where, name, row[name]) for name in ("first_frame", "last_frame"))
            if last < first:
                raise UserError(f"{where}: field 'last_frame': {last} is before first_frame {first}")
            texts = {name: row[name].strip() for name in ("source", "video_id", "flag")}
            for name, text in texts.items():
                if not text:
                    raise UserError(f"{where}: field {name!r}: is empty")
            key = texts["source"], texts["video_id"]
            spans[key] = (*spans.get(key, ()), (first, last, texts["flag"]))
        return cls(spans)

    def of(self, source: str, video_id: str, frame_id: int) -> set[str]:
        """The flags of a frame."""
        return {
            flag for first, last, flag in self.spans.get((source, video_id), ()) if first <= frame_id <= last
        }


def _frame(where: str, name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{where}: field {name!r}: {text!r} is not a frame number") from None
