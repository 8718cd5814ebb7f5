"""The columns of the rollout store, and the way from a rollout to a row and back.

A row is one answer with all of its numbers. Texts are stored as UTF-8: a lone surrogate, which UTF-8 cannot
hold, becomes U+FFFD. Structures of free shape (truth, parsed answer, metadata) are JSON text in which NaN and
infinities keep Python's spelling. Engine log-probabilities are float32, as engines give them; every other
number is float64.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from medgrpo.types import (
    Box,
    Canvas,
    Clip,
    Completion,
    ComponentScore,
    Judgement,
    Region,
    Reward,
    Rollout,
    Sample,
)

__all__ = [
    "CLIP_COLUMNS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "clip_from_row",
    "judge_row",
    "rollout_from_row",
    "rollout_row",
]

SCHEMA_VERSION = 1
"""Raised when a column changes its meaning or goes; a new column alone does not raise it."""

_FRAME = pa.struct([("path", pa.string()), ("time", pa.float64())])
_REGION = pa.struct([("frame", pa.string()), ("box", pa.list_(pa.float64()))])
_CANVAS = pa.struct([("width", pa.int32()), ("height", pa.int32())])
_COMPONENT = pa.struct(
    [
        ("name", pa.string()),
        ("metric", pa.string()),
        ("raw", pa.float64()),
        ("p25", pa.float64()),
        ("p50", pa.float64()),
        ("p75", pa.float64()),
        ("k", pa.float64()),
        ("normalizer", pa.string()),
        ("normalised", pa.float64()),
        ("weight", pa.float64()),
        ("status", pa.string()),
        ("factors", pa.map_(pa.string(), pa.float64())),
    ]
)
_JUDGE = pa.struct(
    [
        ("model", pa.string()),
        ("rubric", pa.string()),
        ("prompt_hash", pa.string()),
        (
            "dimensions",
            pa.list_(
                pa.struct([("dimension", pa.string()), ("score", pa.float64()), ("rationale", pa.string())])
            ),
        ),
        ("status", pa.string()),
        ("latency_s", pa.float64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("cached", pa.bool_()),
    ]
)

SCHEMA = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("run", pa.string()),
        ("attempt", pa.int32()),
        ("step", pa.int64()),
        ("rank", pa.int32()),
        ("group_id", pa.string()),
        ("sample_index", pa.int32()),  # 0..G-1 in the group
        ("sample_key", pa.string()),
        ("sample_id", pa.string()),
        ("sample_row", pa.int64()),
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("qa_type", pa.string()),
        ("video_id", pa.string()),
        ("question", pa.string()),
        ("prompt_text", pa.string()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("completion_text", pa.string()),
        ("completion_ids", pa.list_(pa.int32())),
        ("completion_logps", pa.list_(pa.float32())),
        ("finish_reason", pa.string()),
        ("truncated", pa.bool_()),
        ("reference_text", pa.string()),
        ("truth_json", pa.string()),
        ("metadata_json", pa.string()),
        ("region", _REGION),
        ("canvas", _CANVAS),
        ("frames", pa.list_(_FRAME)),  # every frame of the clip, seconds from its start
        ("seen_times", pa.list_(pa.float64())),  # when those were that the model saw, seconds
        ("told_times", pa.list_(pa.float64())),  # when the model was told that they were
        ("video_path", pa.string()),
        ("clip_fps", pa.float64()),
        ("clip_start", pa.float64()),
        ("clip_end", pa.float64()),
        ("review_clip", pa.string()),  # null: films are found by a hash of the clip's files
        ("parsed_json", pa.string()),
        ("parse_status", pa.string()),
        ("components", pa.list_(_COMPONENT)),
        ("judge", _JUDGE),
        ("reward", pa.float64()),
        ("group_mean", pa.float64()),
        ("group_std", pa.float64()),
        ("advantage", pa.float64()),
        ("kept", pa.bool_()),
        ("skip_reason", pa.string()),
        ("policy_hash", pa.string()),
        ("wall_time", pa.timestamp("us", tz="UTC")),
        # What follows from the lists above (medgrpo.rollout.numbers), for those who read many answers.
        ("completion_tokens", pa.int64()),
        ("mean_logp", pa.float64()),  # of the sampled tokens
        ("judge_mean", pa.float64()),  # of the judge's marks
        ("similarity", pa.float64()),  # to the reference, not normalised
    ]
)
"""One answer a row. Columns that a reader does not know are left alone, missing ones are null."""

CLIP_COLUMNS = ("frames", "video_path", "clip_fps", "clip_start", "clip_end")
"""Where a row's clip is, for :func:`clip_from_row`."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def _text(value: str) -> str:
    return _SURROGATE.sub("\ufffd", value)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)  # ASCII escapes: any string survives


def _unjson(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _component_row(name: str, score: ComponentScore) -> dict[str, Any]:
    return {
        "name": _text(name),
        "metric": _text(score.metric),
        "raw": score.raw,
        "p25": score.p25,
        "p50": score.p50,
        "p75": score.p75,
        "k": score.k,
        "normalizer": score.normalizer,
        "normalised": score.normalised,
        "weight": score.weight,
        "status": _text(score.status),
        "factors": [(_text(key), float(value)) for key, value in score.factors.items()],
    }


def judge_row(judgement: Judgement) -> dict[str, Any]:
    """One judgement as the structure in a row's ``judge`` column."""
    names = list(dict.fromkeys([*judgement.scores, *judgement.rationales]))
    return {
        "model": _text(judgement.model),
        "rubric": _text(judgement.rubric),
        "prompt_hash": judgement.prompt_hash,
        "dimensions": [
            {
                "dimension": _text(name),
                "score": judgement.scores.get(name),
                "rationale": None if name not in judgement.rationales else _text(judgement.rationales[name]),
            }
            for name in names
        ],
        "status": _text(judgement.status),
        "latency_s": judgement.latency_s,
        "prompt_tokens": judgement.prompt_tokens,
        "completion_tokens": judgement.completion_tokens,
        "cost": judgement.cost,
        "cached": judgement.cached,
    }


def rollout_row(
    rollout: Rollout,
    *,
    run: str,
    attempt: int,
    step: int,
    rank: int,
    policy_hash: str,
    wall_time_us: int,
    review_clip: str | None = None,
) -> dict[str, Any]:
    """One rollout as a row of :data:`SCHEMA`.

    Args:
        rollout: The answer with its numbers.
        run: Run id.
        attempt: 0 for the first start of the run, one more after each restart that repeats steps.
        step: Rollout round.
        rank: Process that made it.
        policy_hash: Checkpoint or weight hash of the policy that answered.
        wall_time_us: Microseconds since the epoch, UTC.
        review_clip: Browser-playable file of the clip, if one was made.

    Returns:
        Column name to value, every column of the schema but those of :mod:`medgrpo.rollout.numbers`.
    """
    sample, completion, reward = rollout.sample, rollout.completion, rollout.reward
    clip, region, canvas = sample.clip, sample.region, sample.canvas
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "attempt": attempt,
        "step": step,
        "rank": rank,
        "group_id": _text(rollout.group_id),
        "sample_index": rollout.index,
        "sample_key": _text(sample.key),
        "sample_id": _text(sample.id),
        "sample_row": sample.row,
        "dataset": _text(sample.dataset),
        "task": _text(sample.task),
        "qa_type": _text(sample.qa_type),
        "video_id": _text(sample.video_id),
        "question": _text(sample.question),
        "prompt_text": _text(rollout.prompt_text),
        "prompt_ids": list(rollout.prompt_ids),
        "completion_text": _text(completion.text),
        "completion_ids": list(completion.token_ids),
        "completion_logps": list(completion.logps),
        "finish_reason": completion.finish_reason,
        "truncated": completion.truncated,
        "reference_text": None if sample.answer is None else _text(sample.answer),
        "truth_json": _json(sample.truth),
        "metadata_json": _json(dict(sample.metadata)),
        "region": None
        if region is None
        else {"frame": _text(str(region.frame)), "box": list(region.box.xyxy)},
        "canvas": None if canvas is None else {"width": canvas.width, "height": canvas.height},
        "frames": [
            {"path": _text(str(path)), "time": time}
            for path, time in zip(clip.frames, clip.times, strict=True)
        ],
        "seen_times": list(rollout.times),
        "told_times": list(rollout.told_times),
        "video_path": None if clip.video is None else _text(str(clip.video)),
        "clip_fps": clip.fps,
        "clip_start": clip.start,
        "clip_end": clip.end,
        "review_clip": review_clip,
        "parsed_json": _json(reward.parsed),
        "parse_status": reward.parse_status,
        "components": [_component_row(name, score) for name, score in reward.components.items()],
        "judge": None if reward.judgement is None else judge_row(reward.judgement),
        "reward": reward.value,
        "group_mean": rollout.group_mean,
        "group_std": rollout.group_std,
        "advantage": rollout.advantage,
        "kept": rollout.kept,
        "skip_reason": rollout.skip_reason,
        "policy_hash": policy_hash,
        "wall_time": wall_time_us,
    }


def _judgement_from_row(row: Mapping[str, Any]) -> Judgement:
    dimensions = row["dimensions"]
    return Judgement(
        model=row["model"],
        rubric=row["rubric"],
        scores={d["dimension"]: d["score"] for d in dimensions if d["score"] is not None},
        rationales={d["dimension"]: d["rationale"] for d in dimensions if d["rationale"] is not None},
        status=row["status"],
        prompt_hash=row["prompt_hash"],
        latency_s=row["latency_s"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cost=row["cost"],
        cached=row["cached"],
    )


def _component_from_row(row: Mapping[str, Any]) -> ComponentScore:
    fields = {key: row[key] for key in row if key not in ("name", "factors")}
    return ComponentScore(**fields, factors=dict(row["factors"]))


def clip_from_row(row: Mapping[str, Any]) -> Clip:
    """The clip of a row, its paths as they were stored.

    Args:
        row: At least :data:`CLIP_COLUMNS`.
    """
    return Clip(
        frames=tuple(Path(frame["path"]) for frame in row["frames"]),
        video=None if row["video_path"] is None else Path(row["video_path"]),
        fps=row["clip_fps"],
        times=tuple(frame["time"] for frame in row["frames"]),
        start=row["clip_start"],
        end=row["clip_end"],
    )


def rollout_from_row(row: Mapping[str, Any]) -> Rollout:
    """The rollout that a row holds, for rewards and judges that look at stored answers again.

    Args:
        row: One item of ``read_rollouts(...).to_pylist()``.

    Returns:
        The rollout as it was written, tuples inside JSON structures read back as lists.
    """
    region, canvas = row["region"], row["canvas"]
    sample = Sample(
        key=row["sample_key"],
        id=row["sample_id"],
        row=row["sample_row"],
        qa_type=row["qa_type"],
        task=row["task"],
        dataset=row["dataset"],
        video_id=row["video_id"],
        question=row["question"],
        answer=row["reference_text"],
        truth=_unjson(row["truth_json"]),
        clip=clip_from_row(row),
        region=None if region is None else Region(frame=Path(region["frame"]), box=Box(*region["box"])),
        canvas=None if canvas is None else Canvas(width=canvas["width"], height=canvas["height"]),
        metadata=_unjson(row["metadata_json"]),
    )
    completion = Completion(
        text=row["completion_text"],
        token_ids=tuple(row["completion_ids"]),
        logps=tuple(row["completion_logps"]),
        finish_reason=row["finish_reason"],
    )
    reward = Reward(
        value=row["reward"],
        components={part["name"]: _component_from_row(part) for part in row["components"]},
        parse_status=row["parse_status"],
        parsed=_unjson(row["parsed_json"]),
        judgement=None if row["judge"] is None else _judgement_from_row(row["judge"]),
    )
    return Rollout(
        sample=sample,
        group_id=row["group_id"],
        index=row["sample_index"],
        prompt_text=row["prompt_text"],
        prompt_ids=tuple(row["prompt_ids"]),
        times=tuple(row["seen_times"]),
        told_times=tuple(row["told_times"] or ()),  # null in rows from before there was the column
        completion=completion,
        reward=reward,
        group_mean=row["group_mean"],
        group_std=row["group_std"],
        advantage=row["advantage"],
        kept=row["kept"],
        skip_reason=row["skip_reason"],
    )
