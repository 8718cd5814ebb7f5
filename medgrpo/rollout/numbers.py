"""Numbers that follow from the lists of an answer, stored beside them for readers of many answers.

A list takes far longer to read than a number, the longer the answer is. The numbers are made from the stored
lists (log-probabilities are float32 there), so that those of an older shard without them come out the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from medgrpo.rollout.schema import SCHEMA

__all__ = ["NUMBERS", "SOURCES", "with_numbers"]

SOURCES = (
    "completion_logps",
    "components.list.element.metric",
    "components.list.element.raw",
    "judge.dimensions.list.element.score",
)
"""The Parquet columns that :func:`with_numbers` needs."""

_SIMILARITY = "similarity:"


def with_numbers(table: pa.Table) -> pa.Table:
    """A table of stored answers with all of :data:`NUMBERS`, those that it lacks as its last columns.

    Args:
        table: Holds the columns of :data:`SOURCES` at least.

    Raises:
        KeyError: If it does not.
    """
    for name, of_lists in _MAKERS.items():
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), of_lists(table))
    return table


def _tokens(table: pa.Table) -> pa.Array:
    return pc.list_value_length(table["completion_logps"].combine_chunks()).cast(pa.int64())


def _mean_logp(table: pa.Table) -> pa.Array:
    return _means(table["completion_logps"].combine_chunks())


def _judge_mean(table: pa.Table) -> pa.Array:
    return _means(pc.struct_field(table["judge"].combine_chunks(), "dimensions"), "score")


def _similarity(table: pa.Table) -> pa.Array:
    """The raw score of the first component that is a similarity; null where there is none."""
    components = table["components"].combine_chunks()
    parts, answers = pc.list_flatten(components), _rows(components)
    similar = pc.starts_with(pc.struct_field(parts, "metric"), _SIMILARITY)
    places = np.flatnonzero(pc.fill_null(similar, False))
    rows, first = np.unique(answers[places], return_index=True)
    place = np.full(len(components), -1)
    place[rows] = places[first]
    return pc.struct_field(parts, "raw").take(pa.array(place, mask=place < 0))


def _means(lists: pa.Array, field: str | None = None) -> pa.Array:
    """Of each list the mean over what is not null, float64; null where there is nothing."""
    values = pc.list_flatten(lists)
    if field is not None:
        values = pc.struct_field(values, field)
    rows = _rows(lists)
    if values.null_count:
        rows, values = rows[np.asarray(values.is_valid())], values.drop_null()
    counts = np.bincount(rows, minlength=len(lists))
    sums = np.bincount(rows, weights=np.asarray(values), minlength=len(lists))
    return pa.array(sums / np.maximum(counts, 1), mask=counts == 0)


def _rows(lists: pa.Array) -> NDArray[np.int64]:
    """Whose list each value is in, of those that ``list_flatten`` gives."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return np.repeat(np.arange(len(lists)), np.asarray(lengths))


_MAKERS: dict[str, Callable[[pa.Table], pa.Array]] = {
    "completion_tokens": _tokens,
    "mean_logp": _mean_logp,
    "judge_mean": _judge_mean,
    "similarity": _similarity,
}

NUMBERS = tuple(_MAKERS)
"""Names of the columns."""
