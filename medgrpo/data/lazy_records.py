"""A records file as a sequence of samples, each parsed when it is asked for.

What choosing and batching rows needs (pairs, tasks, clips, keys, which rows are answered) comes from the
:mod:`~medgrpo.data.index`, so 500,000 rows cost a few columns of memory and no start-up beyond the first.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from medgrpo.data.fields import FieldError
from medgrpo.data.index import RecordsIndex, load_index
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import make_sample
from medgrpo.data.row_fields import read_fields
from medgrpo.errors import UserError
from medgrpo.types import Clip, PairKey, Sample

__all__ = ["Records", "answered_of", "clips_of", "keys_of", "open_records", "pairs_of"]

KEPT_CLIPS = 256
"""Clips that a process keeps: rows about one clip are asked for together."""


def open_records(
    path: str | Path,
    *,
    media_root: str | Path | None = None,
    media_prefixes: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Records:
    """Open a records file; every row is checked, now or when its index was made, and none is held.

    Args:
        path: JSON array or JSON Lines.
        media_root: Where relative frame and video paths start; None is the file's folder.
        media_prefixes: Replaced starts of paths, see :class:`medgrpo.data.media.MediaPaths`.
        progress: Show a bar while a large file is read for the first time.

    Raises:
        UserError: At the first defect, naming file, row and field.
    """
    media = MediaPaths.beside(path, media_root, media_prefixes)
    return Records(Path(path), load_index(path, progress=progress), media)


class Records(Sequence[Sample]):
    """Rows of a records file, or a selection of them, in any order and possibly repeated.

    Slices and selections are views. A worker process gets the index, not the rows.

    Args:
        path: The records file.
        entries: Its index.
        media: Where frames and videos are.
        rows: Rows of the file that are in the view; None is all.
    """

    def __init__(
        self, path: Path, entries: RecordsIndex, media: MediaPaths, rows: np.ndarray | None = None
    ) -> None:
        self.path = path
        self.entries = entries
        self.media = media
        self.rows = np.arange(entries.table.num_rows) if rows is None else rows
        self._clips: OrderedDict[int, Clip] = OrderedDict()
        self._last: Sample | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, position: int) -> Sample: ...

    @overload
    def __getitem__(self, position: slice) -> Records: ...

    def __getitem__(self, position: int | slice) -> Sample | Records:
        if isinstance(position, slice):
            return self.select(range(*position.indices(len(self))))
        row, last = int(self.rows[position]), self._last
        if last is not None and last.row == row:
            return last
        record = self._parse(row)
        number = self._column("clip")[row].as_py()
        try:
            fields = read_fields(record)
        except FieldError:
            raise self._changed() from None
        if fields.key != self._column("key")[row].as_py():
            raise self._changed()
        sample = make_sample(record, fields, row, self._clips.get(number), self.media)
        self._clips[number] = sample.clip
        self._clips.move_to_end(number)
        if len(self._clips) > KEPT_CLIPS:
            self._clips.popitem(last=False)
        self._last = sample
        return sample

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "entries", "media", "rows")
        return {name: self.__dict__[name] for name in names} | {"_clips": OrderedDict(), "_last": None}

    def raw(self, position: int) -> dict[str, Any]:
        """A row as it stands in the file."""
        return self._parse(int(self.rows[position]))

    def select(self, positions: Iterable[int]) -> Records:
        """A view of the rows at these positions of this one."""
        chosen = np.fromiter(positions, dtype=np.int64)
        return Records(self.path, self.entries, self.media, self.rows[chosen])

    def where(self, *, tasks: Collection[str] | None = None, answered: bool | None = None) -> Records:
        """A view of the rows of some tasks, or with or without a reference answer."""
        keep = np.ones(len(self), dtype=bool)
        if tasks is not None:
            keep &= np.array([task in tasks for task in self.tasks], dtype=bool)
        if answered is not None:
            keep &= self.answered == answered
        return self.select(np.flatnonzero(keep))

    @cached_property
    def tasks(self) -> list[str]:
        """Canonical task of each row."""
        return self._texts("task")

    @cached_property
    def datasets(self) -> list[str]:
        """Source dataset of each row."""
        return self._texts("dataset")

    @cached_property
    def video_ids(self) -> list[str]:
        """Source video of each row."""
        return self._texts("video_id")

    @property
    def pairs(self) -> list[PairKey]:
        """(dataset, task) of each row."""
        known: dict[PairKey, PairKey] = {}
        pairs = zip(self.datasets, self.tasks, strict=True)
        return [known.setdefault(pair, pair) for pair in pairs]

    @property
    def keys(self) -> list[str]:
        """Key of each row."""
        return self._column("key").take(pa.array(self.rows)).to_pylist()

    @property
    def clip_ids(self) -> np.ndarray:
        """A number for each row's clip, ``[N]``; rows about one clip have the same."""
        return self._column("clip").to_numpy()[self.rows]

    @property
    def answered(self) -> np.ndarray:
        """Whether each row has a reference answer, ``[N]``."""
        return self._column("has_answer").to_numpy()[self.rows]

    @property
    def has_truth(self) -> np.ndarray:
        """Whether each row has a ``struc_info``, ``[N]``."""
        return self._column("has_truth").to_numpy()[self.rows]

    def _column(self, name: str) -> pa.ChunkedArray:
        return self.entries.table[name]

    def _texts(self, column: str) -> list[str]:
        """A dictionary column; equal values are one object."""
        array = self._column(column).combine_chunks()
        words = array.dictionary.to_pylist()
        return [words[code] for code in array.indices.to_numpy()[self.rows].tolist()]

    def _parse(self, row: int) -> dict[str, Any]:
        """Read a row's bytes; a file of its own each time, which threads and forks may do at once."""
        offset, length = self._column("offset")[row].as_py(), self._column("length")[row].as_py()
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                record = json.loads(file.read(length))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise self._changed() from None
        if not isinstance(record, dict):
            raise self._changed()
        return record

    def _changed(self) -> UserError:
        return UserError(f"{self.path}: changed since it was opened; start again")


def pairs_of(samples: Sequence[Sample]) -> list[PairKey]:
    """(dataset, task) of each sample, without parsing rows of a :class:`Records`."""
    return samples.pairs if isinstance(samples, Records) else [sample.pair for sample in samples]


def keys_of(samples: Sequence[Sample]) -> list[str]:
    """Key of each sample, without parsing rows of a :class:`Records`."""
    return samples.keys if isinstance(samples, Records) else [sample.key for sample in samples]


def clips_of(samples: Sequence[Sample]) -> Sequence[Hashable]:
    """Something equal for samples about one clip, without parsing rows of a :class:`Records`."""
    return samples.clip_ids.tolist() if isinstance(samples, Records) else [s.clip for s in samples]


def answered_of(samples: Sequence[Sample]) -> list[bool]:
    """Whether each sample has a reference answer, without parsing rows of a :class:`Records`."""
    if isinstance(samples, Records):
        return samples.answered.tolist()
    return [bool(sample.answer) for sample in samples]
