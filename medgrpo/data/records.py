"""MedVidBench records: the rows of a JSON array or JSON Lines file, checked field by field.

Rows are counted from 0, as :attr:`medgrpo.types.Sample.row` and submissions do. Two fields may go beyond the
benchmark: ``video`` may be a string, a video file, whose extent is then in seconds (or in frames with
``metadata.source_fps``), and metadata values may be numbers.

:func:`read_records` holds all samples in memory; :func:`medgrpo.data.lazy_records.open_records` reads each
when it is asked for, which large files need.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from medgrpo.data.coordinates import CANVASES
from medgrpo.data.extents import frame_times
from medgrpo.data.fields import FieldError
from medgrpo.data.json_rows import scan_rows
from medgrpo.data.media import MediaPaths
from medgrpo.data.row_fields import RowFields, inspect_fields, read_fields
from medgrpo.data.truths import truth_defects
from medgrpo.errors import UserError
from medgrpo.services.files import write_whole
from medgrpo.types import Clip, Region, Sample

__all__ = [
    "defects_of",
    "make_sample",
    "parse_record",
    "read_records",
    "read_rows",
    "write_records",
]


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read the raw rows of a JSON array or a JSON Lines file, told apart by their first character.

    Raises:
        UserError: If the file is missing, not UTF-8, empty, or not a list of JSON objects.
    """
    return [row.value for row in scan_rows(path)]


def write_records(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows, one a line: as a JSON array, or as JSON Lines where the name ends in ``.jsonl``.

    The file appears whole or not at all; rows are taken one after the other.

    Raises:
        UserError: If it cannot be written.
    """
    is_lines = Path(path).suffix == ".jsonl"
    start, between, end = ("", "\n", "\n") if is_lines else ("[\n", ",\n", "\n]\n")

    def pieces() -> Iterator[str]:
        yield start
        for index, row in enumerate(rows):
            yield (between if index else "") + json.dumps(row)
        yield end

    write_whole(path, pieces())


def read_records(
    path: str | Path,
    *,
    media_root: str | Path | None = None,
    media_prefixes: Mapping[str, str] | None = None,
) -> list[Sample]:
    """Read and check a records file. Frame files are not touched: a broken one is reported when it is read.

    Args:
        path: JSON array or JSON Lines.
        media_root: Where relative frame and video paths start; None is the file's folder.
        media_prefixes: Replaced starts of paths, see :class:`medgrpo.data.media.MediaPaths`.

    Raises:
        UserError: At the first defect, naming file, row and field.
    """
    media = MediaPaths.beside(path, media_root, media_prefixes)
    clips: dict[Hashable, Clip] = {}
    samples = []
    for raw in scan_rows(path):
        try:
            samples.append(parse_record(raw.value, raw.row, media, clips))
        except FieldError as error:
            raise UserError(f"{path}: row {raw.row}: {error}") from None
    return samples


def parse_record(
    record: Mapping[str, Any],
    row: int,
    media: MediaPaths | Path,
    clips: MutableMapping[Hashable, Clip] | None = None,
) -> Sample:
    """Turn one raw row into a sample.

    Args:
        record: The row.
        row: Its index in the file.
        media: Where frames and videos are; a folder is where relative paths start.
        clips: Clips of this place seen so far, extended: rows about one clip then share one object.

    Raises:
        FieldError: At the first defect.
    """
    fields = read_fields(record)
    media = media if isinstance(media, MediaPaths) else MediaPaths(media)
    clips = {} if clips is None else clips
    if fields.clip not in clips:  # paths are slow to build: once a clip, not once a question
        clips[fields.clip] = _clip(fields, media)
    return make_sample(record, fields, row, clips[fields.clip], media)


def make_sample(
    record: Mapping[str, Any], fields: RowFields, row: int, clip: Clip | None, media: MediaPaths
) -> Sample:
    """Put a sample together.

    Args:
        record: The raw row.
        fields: What was read from it.
        row: Its index in the file.
        clip: Its clip, where another row about it was read before.
        media: Where frames and videos are.
    """
    region = fields.region
    return Sample(
        key=fields.key,
        id=fields.id,
        row=row,
        qa_type=fields.qa_type,
        task=fields.task,
        dataset=fields.dataset,
        video_id=fields.video_id,
        question=fields.question,
        answer=fields.answer,
        truth=record.get("struc_info"),
        clip=_clip(fields, media) if clip is None else clip,
        region=None if region is None else Region(media.resolve(region[0]), region[1]),
        canvas=CANVASES.get(fields.dataset),
        metadata=fields.metadata,
    )


def defects_of(record: Mapping[str, Any]) -> list[FieldError]:
    """Everything that is wrong with a row: what keeps it from being read, and a truth of a wrong shape.

    A field is named once. A wrong truth does not keep a row from being read, because tasks then take the
    reference from the answer's text.
    """
    fields, defects = inspect_fields(record)
    return defects + (truth_defects(fields.task, record.get("struc_info")) if fields.task else [])


def _clip(fields: RowFields, media: MediaPaths) -> Clip:
    if fields.is_video:
        video = media.resolve(fields.files[0])
        return Clip(video=video, fps=fields.fps, start=fields.start, end=fields.end)
    return Clip(
        frames=tuple(media.resolve(name) for name in fields.files),
        fps=fields.fps,
        times=tuple(frame_times(fields.frame_ids, fields.fps).tolist()),
    )
