"""A rollout store of any size, made from columns instead of answers: a shard of 1,024 rows in milliseconds.

Rows have the store's own schema and realistic sizes: texts of about 60 words from a vocabulary that is used
unevenly, lists of tokens, log-probabilities and frames, two components and a judgement with five reasons
where the task is a caption, one component elsewhere. One group in a thousand holds :data:`RARE`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medgrpo.rollout.numbers import NUMBERS, with_numbers
from medgrpo.rollout.schema import SCHEMA, SCHEMA_VERSION
from medgrpo.rollout.shards import shard_path

__all__ = ["COMMON", "GROUP", "RARE", "SHARD", "generate_store"]

GROUP = 8
"""Answers to a question."""

SHARD = 1024
"""Answers in a shard."""

RARE = "pneumoperitoneum"
"""A word of one group in a thousand."""

COMMON = "gallbladder"
"""A word of nearly every group."""

_DATASETS = ("AVOS", "CholecT50", "CholecTrack20", "CoPESD", "EgoSurgery", "NurViD")
_CAPTIONS = ("video_summary", "dense_captioning", "region_caption")
_TASKS = (*_CAPTIONS, "tal", "stg", "next_action", "skill_assessment", "cvs_assessment")
_DIMENSIONS = ("terminology", "identification", "specificity", "context", "action")
_TOKENS, _PROMPT, _FRAMES = 80, 256, 16
_LISTS = pa.schema([field for field in SCHEMA if field.name not in NUMBERS])
_WORDS = (
    *(COMMON, "the", "surgeon", "retracts", "tissue", "grasps", "dissects", "along", "plane", "hook"),
    *(
        f"{start}{middle}{end}"
        for start in "bdfgklmnprst"
        for middle in ("ara", "eli", "oto", "ulu")
        for end in ("n", "r", "s", "t", "tion", "ment", "ing", "ed", "ly", "al", "ic", "ous")
    ),
)


def generate_store(root: Path, answers: int, runs: int = 4, seed: int = 0) -> int:
    """Write shards below ``root``.

    Args:
        root: Will hold ``rollouts/``.
        answers: At least so many, whole shards.
        runs: Among which the shards are divided, as steps of one rank.
        seed: Of everything random.

    Returns:
        How many answers were written.
    """
    dice = np.random.default_rng(seed)
    sentences = _sentences(dice, 20_000)
    shards = -(-answers // SHARD)
    for number in range(shards):
        run, step = f"run-{number % runs}", number // runs
        path = shard_path(root, run, 0, step, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"run": run, "attempt": 0, "step": step, "rank": 0, "schema_version": SCHEMA_VERSION}
        footer = {f"medgrpo.{key}": str(value) for key, value in facts.items()} | {"medgrpo.settings": "made"}
        table = with_numbers(pa.Table.from_arrays(_columns(dice, sentences, run, step), schema=_LISTS))
        pq.write_table(table.replace_schema_metadata(footer), path, compression="zstd")
    return shards * SHARD


def _sentences(dice: np.random.Generator, count: int) -> pa.Array:
    """Of twelve words each, some words far more often than others."""
    shares = 1.0 / np.arange(1, len(_WORDS) + 1)
    chosen = dice.choice(len(_WORDS), size=(12, count), p=shares / shares.sum())
    words = pa.array(_WORDS)
    return pc.binary_join_element_wise(*(words.take(pa.array(row)) for row in chosen), " ")


def _texts(dice: np.random.Generator, sentences: pa.Array, count: int, length: int = 5) -> pa.Array:
    parts = [sentences.take(pa.array(dice.integers(len(sentences), size=count))) for _ in range(length)]
    return pc.binary_join_element_wise(*parts, ". ")


def _columns(dice: np.random.Generator, sentences: pa.Array, run: str, step: int) -> list[pa.Array]:
    groups = SHARD // GROUP
    group = np.repeat(np.arange(groups), GROUP)
    task = dice.integers(len(_TASKS), size=groups)
    caption = (task < len(_CAPTIONS))[group]
    names = [f"{step:06d}-{slot:04d}" for slot in range(groups)]
    questions = _texts(dice, sentences, groups)
    rare = pa.array(np.where(dice.random(groups) < 0.001, f" {RARE}", ""))
    quality = np.clip(dice.normal(0.35 + 0.0005 * step, 0.2, size=SHARD), 0, 1)
    judged = np.where(
        caption, np.round(1 + 4 * np.clip(quality + dice.normal(0, 0.1, SHARD), 0, 1), 1), np.nan
    )
    mean = np.repeat(quality.reshape(-1, GROUP).mean(axis=1), GROUP)
    std = np.repeat(quality.reshape(-1, GROUP).std(axis=1, ddof=1), GROUP)
    failed = ~caption & (dice.random(SHARD) < 0.05)
    times = np.tile(np.arange(_FRAMES) / 2.0, SHARD)
    frame = pa.StructArray.from_arrays(
        [pa.array([f"frames/{k:06d}.jpg" for k in range(_FRAMES)] * SHARD), pa.array(times)],
        fields=list(SCHEMA.field("frames").type.value_type),
    )
    made: dict[str, Any] = {
        "schema_version": np.full(SHARD, SCHEMA_VERSION),
        "run": [run] * SHARD,
        "attempt": np.zeros(SHARD, dtype=int),
        "step": np.full(SHARD, step),
        "rank": np.zeros(SHARD, dtype=int),
        "group_id": pa.array(names).take(pa.array(group)),
        "sample_index": np.tile(np.arange(GROUP), groups),
        "sample_key": pa.array([f"key {name}" for name in names]).take(pa.array(group)),
        "sample_id": pa.array([f"v{slot}&&0&&15&&2.0" for slot in range(groups)]).take(pa.array(group)),
        "sample_row": group,
        "dataset": pa.array(_DATASETS).take(pa.array(dice.integers(len(_DATASETS), size=groups)[group])),
        "task": pa.array(_TASKS).take(pa.array(task[group])),
        "qa_type": pa.array(_TASKS).take(pa.array(task[group])),
        "video_id": pa.array([f"video{slot}" for slot in range(groups)]).take(pa.array(group)),
        "question": questions.take(pa.array(group)),
        "prompt_text": questions.take(pa.array(group)),
        "prompt_ids": _lists(dice.integers(150_000, size=(groups, _PROMPT))[group]),
        "completion_text": _texts(dice, sentences, SHARD),
        "completion_ids": _lists(dice.integers(150_000, size=(SHARD, _TOKENS))),
        "completion_logps": _lists(-dice.exponential(0.5, size=(SHARD, _TOKENS)).astype(np.float32)),
        "finish_reason": ["stop"] * SHARD,
        "truncated": dice.random(SHARD) < 0.02,
        "reference_text": pc.binary_join_element_wise(_texts(dice, sentences, groups), rare, "").take(
            pa.array(group)
        ),
        "metadata_json": ["{}"] * SHARD,
        "frames": pa.ListArray.from_arrays(np.arange(0, (SHARD + 1) * _FRAMES, _FRAMES), frame),
        "seen_times": _lists(times.reshape(SHARD, _FRAMES)),
        "told_times": _lists(times.reshape(SHARD, _FRAMES)),
        "clip_fps": np.full(SHARD, 2.0),
        "parse_status": np.where(caption, "free_text", np.where(failed, "failed", "ok")),
        "components": _components(dice, caption, quality, judged),
        "judge": _judgements(dice, sentences, caption, judged),
        "reward": quality,
        "group_mean": mean,
        "group_std": std,
        "advantage": (quality - mean) / std,
        "kept": np.full(SHARD, True),
        "skip_reason": [""] * SHARD,
        "policy_hash": [f"{step:08x}"] * SHARD,
        "wall_time": np.full(SHARD, 1_800_000_000_000_000 + step * 60_000_000),
    }
    nothing = [None] * SHARD
    return [_array(made.get(field.name, nothing), field.type) for field in _LISTS]


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values).cast(kind)


def _lists(values: np.ndarray[Any, Any]) -> pa.Array:
    rows, length = values.shape
    return pa.ListArray.from_arrays(np.arange(0, (rows + 1) * length, length), pa.array(values.ravel()))


def _components(
    dice: np.random.Generator, caption: np.ndarray, quality: np.ndarray, judged: np.ndarray
) -> pa.Array:
    """Similarity and the judge's marks where the task is a caption, else the task's own metric."""
    counts = np.where(caption, 2, 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    first, total = offsets[:-1], int(offsets[-1])
    second = np.zeros(total, dtype=bool)
    second[first[caption] + 1] = True
    row = np.repeat(np.arange(len(caption)), counts)
    is_caption = caption[row]
    value = np.where(second, judged[row], quality[row] + dice.normal(0, 0.05, total))
    normalised = np.where(second, (value - 1) / 4, np.clip(value, 0, 1))
    quartiles = [np.where(second, low, high) for low, high in ((2.4, 0.2), (2.8, 0.35), (3.4, 0.55))]
    items: list[Any] = [
        np.where(second, "judge", np.where(is_caption, "similarity", "task_metric")),
        np.where(second, "judge:five@1", np.where(is_caption, "similarity:minilm@1", "metric@1")),
        value,
        *quartiles,
        np.full(total, 3.0),
        ["logistic"] * total,
        normalised,
        1.0 / counts[row],
        ["ok"] * total,
        pa.MapArray.from_arrays(
            np.zeros(total + 1, dtype=np.int32), pa.array([], pa.string()), pa.array([], pa.float64())
        ),
    ]
    kind = SCHEMA.field("components").type.value_type
    struct = pa.StructArray.from_arrays(
        [_array(item, field.type) for item, field in zip(items, kind, strict=True)], fields=list(kind)
    )
    return pa.ListArray.from_arrays(offsets, struct)


def _judgements(
    dice: np.random.Generator, sentences: pa.Array, caption: np.ndarray, judged: np.ndarray
) -> pa.Array:
    """Five marks with a reason each, null where the task is no caption."""
    count = len(caption)
    kind = SCHEMA.field("judge").type
    marks = kind.field("dimensions").type
    total = count * len(_DIMENSIONS)
    dimensions = pa.StructArray.from_arrays(
        [
            pa.array(list(_DIMENSIONS) * count),
            pa.array(np.repeat(judged, len(_DIMENSIONS))),
            _texts(dice, sentences, total, 1),
        ],
        fields=list(marks.value_type),
    )
    offsets = np.arange(0, total + 1, len(_DIMENSIONS))
    items: list[Any] = [
        ["judge-model"] * count,
        ["five@1"] * count,
        ["5eed"] * count,
        pa.ListArray.from_arrays(offsets, dimensions),
        ["ok"] * count,
        dice.random(count),
        np.full(count, 900),
        np.full(count, 120),
        np.zeros(count),
        dice.random(count) < 0.3,
    ]
    return pa.StructArray.from_arrays(
        [_array(item, field.type) for item, field in zip(items, kind, strict=True)],
        fields=list(kind),
        mask=pa.array(~caption),
    )
