"""A build as a Hugging Face dataset: Parquet files with the data card, and the way back to records.

Frames are named, not held: dozens of records share the frames of a clip, and a table would repeat them. Their
paths start at the folder of the build, which is uploaded or kept beside the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.data.build.output.manifest import MANIFEST
from medgrpo.data.json_rows import scan_rows
from medgrpo.data.row_fields import read_fields
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.services.files import read_json, whole_file, write_whole

__all__ = ["SCHEMA", "export_parquet", "open_datasets", "record_of"]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("qa_type", pa.string()),
        ("task", pa.string()),
        ("data_source", pa.string()),
        ("video_id", pa.string()),
        ("canonical_video_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("video", pa.list_(pa.string())),
        ("sampled_video_frames", pa.list_(pa.int64())),
        ("fps", pa.float64()),
        ("is_RC", pa.bool_()),
        ("region_frame", pa.string()),
        ("region_box", pa.list_(pa.float64())),
        ("struc_info", pa.string()),  # JSON: its shape differs between tasks
        ("metadata", pa.string()),  # JSON: its keys differ between sources
    ]
)
"""One record a row."""

_ROWS_A_FILE = 50_000
_ROWS_A_GROUP = 1000


def export_parquet(folder: Path, out: Path, rows_a_file: int = _ROWS_A_FILE) -> list[Path]:
    """Write the records of a build as ``data/<split>-<number>.parquet`` with the data card as ``README.md``.

    Args:
        folder: Of the build.
        out: Folder of the export, which ``datasets.load_dataset`` opens.
        rows_a_file: Records of a file.

    Returns:
        The files, sorted.

    Raises:
        UserError: If the build has no manifest, or a file cannot be read or written.
    """
    manifest = read_json(folder / MANIFEST, "a manifest")
    try:
        splits = list(manifest["splits"]["videos"])
    except (KeyError, TypeError):
        raise UserError(f"{folder / MANIFEST}: names no splits; is it of a build?") from None
    card = (folder / "DATA_CARD.md").read_text(encoding="utf-8")
    files = [write_whole(out / "README.md", card)]
    for split in splits:
        rows = (_row(raw.value) for raw in scan_rows(folder / f"{split}.json"))
        for number, chunk in enumerate(_chunks(rows, rows_a_file)):
            files.append(_write(out / "data" / f"{split}-{number:05d}.parquet", chunk))
    return sorted(files)


def record_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record that a row of the export was made from."""
    region = row["region_frame"]
    return {
        "id": row["id"],
        "qa_type": row["qa_type"],
        "conversations": [
            {"from": "human", "value": f"<video>\n{row['question']}"},
            {"from": "gpt", "value": row["answer"]},
        ],
        "video": list(row["video"]),
        "sampled_video_frames": list(row["sampled_video_frames"]),
        "metadata": json.loads(row["metadata"]),
        "data_source": row["data_source"],
        "dataset_name": row["data_source"],
        "struc_info": json.loads(row["struc_info"]),
        "is_RC": row["is_RC"],
        "RC_info": None
        if region is None
        else {"start_frame": region, "start_frame_bbox": list(row["region_box"])},
    }


def open_datasets(out: Path, cache: Path | None = None) -> Any:
    """The export as a ``datasets.DatasetDict``.

    Args:
        out: Folder of :func:`export_parquet`.
        cache: Where the library keeps its copies; None is its own place.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "build") from error
    return load_dataset(str(out), cache_dir=None if cache is None else str(cache))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    fields = read_fields(record)
    region = fields.region
    return {
        "id": fields.id,
        "qa_type": fields.qa_type,
        "task": fields.task,
        "data_source": fields.dataset,
        "video_id": fields.video_id,
        "canonical_video_id": canonical_video_id(fields.video_id, fields.dataset),
        "question": fields.question,
        "answer": fields.answer,
        "video": list(fields.files),
        "sampled_video_frames": list(fields.frame_ids),
        "fps": fields.fps,
        "is_RC": bool(record.get("is_RC")),
        "region_frame": None if region is None else region[0],
        "region_box": None if region is None else list(region[1].xyxy),
        "struc_info": json.dumps(record.get("struc_info")),
        "metadata": json.dumps(record["metadata"]),
    }


def _chunks(rows: Iterator[Any], most: int) -> Iterator[Iterator[Any]]:
    """Rows in runs of at most so many, each to be read before the next; one empty run if there is no row."""
    yield islice(rows, most)
    for row in rows:
        yield chain([row], islice(rows, most - 1))


def _write(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    """One file; only a group of rows is held at a time."""
    with whole_file(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        while group := list(islice(rows, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
    return path
