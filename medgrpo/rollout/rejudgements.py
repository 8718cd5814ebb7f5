"""Second opinions about stored answers, beside the rollouts, which never change.

``rejudgements/run=<id>/judge=<judge>@<rubric>/step=<006d>.parquet`` holds a row for each answer of a step
that was judged again; run, attempt, step, group id and sample index name the answer. Judging a step again by
the same judge and rubric replaces its file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError
from medgrpo.rollout.schema import SCHEMA, judge_row
from medgrpo.services.files import write_whole
from medgrpo.types import Judgement

__all__ = ["REJUDGEMENT_SCHEMA", "read_rejudgements", "rejudgement_path", "write_rejudgements"]

_KEYS = ("run", "attempt", "step", "rank", "group_id", "sample_index", "sample_key", "dataset", "task")

REJUDGEMENT_SCHEMA = pa.schema(
    [
        *(SCHEMA.field(name) for name in _KEYS),
        ("judge_id", pa.string()),
        ("mean", pa.float64()),
        SCHEMA.field("judge"),
    ]
)
"""The key of an answer, who judged it, the mean score (NaN where it failed) and the whole judgement."""


def rejudgement_path(root: str | Path, run: str, judge: str, rubric: str, step: int) -> Path:
    """Where the judgements of one step lie; characters that a folder's name cannot hold become ``_``."""
    folder = re.sub(r"[^A-Za-z0-9._+-]", "_", judge) + "@" + re.sub(r"[^A-Za-z0-9._+@-]", "_", rubric)
    return Path(root, "rejudgements", f"run={run}", f"judge={folder}", f"step={step:06d}.parquet")


def write_rejudgements(
    root: str | Path,
    judge: str,
    rubric: str,
    rows: Sequence[Mapping[str, Any]],
    judgements: Sequence[Judgement],
) -> Path:
    """Publish the judgements of one step, whole or not at all.

    Args:
        root: Folder that holds ``rollouts/``.
        judge: Judge id.
        rubric: Rubric id and version.
        rows: Of the rollout store, all of one run and step.
        judgements: One a row.

    Raises:
        UserError: If the file cannot be written.
    """
    content = [
        {
            **{name: row[name] for name in _KEYS},
            "judge_id": judge,
            "mean": judgement.mean,
            "judge": judge_row(judgement),
        }
        for row, judgement in zip(rows, judgements, strict=True)
    ]
    (place,) = {(str(row["run"]), int(row["step"])) for row in rows}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(content, schema=REJUDGEMENT_SCHEMA), buffer, compression="zstd")
    return write_whole(rejudgement_path(root, place[0], judge, rubric, place[1]), buffer.getvalue())


def read_rejudgements(root: str | Path, run: str | None = None) -> pa.Table:
    """All second opinions below ``root``, or those about one run.

    Raises:
        UserError: If a file is damaged.
    """
    paths = sorted(Path(root).glob(f"rejudgements/run={run or '*'}/judge=*/step=*.parquet"))
    tables = []
    for path in paths:
        try:
            tables.append(pq.ParquetFile(path).read().replace_schema_metadata(None))
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    return pa.concat_tables([REJUDGEMENT_SCHEMA.empty_table(), *tables], promote_options="default")
