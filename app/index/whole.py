"""Whole answers, with their texts: read from the one row group of a file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError

__all__ = ["read_group"]


def read_group(file: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of a file.

    Args:
        file: A shard or a merged file.
        numbers: Which rows, rising.

    Raises:
        UserError: If it can no longer be read.
    """
    found: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(file) as opened:
            first = 0
            for group in range(opened.num_row_groups):
                rows = opened.metadata.row_group(group).num_rows
                inside = [number - first for number in numbers if first <= number < first + rows]
                if inside:
                    found += opened.read_row_group(group).take(inside).to_pylist()
                first += rows
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: cannot be read any more ({str(error).splitlines()[0]})") from error
    return found
