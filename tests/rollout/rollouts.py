"""Rollouts made by hand for the tests of the store, its metrics and the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgrpo.types import (
    Canvas,
    Clip,
    Completion,
    ComponentScore,
    Judgement,
    Reward,
    Rollout,
    Sample,
    sample_key,
)

__all__ = ["make_rollout", "make_sample"]


def make_sample(
    task: str = "video_summary",
    dataset: str = "AVOS",
    *,
    question: str = "What happens in this clip?",
    answer: str | None = "The surgeon ties a knot.",
    truth: Any = None,
    frames: tuple[Path, ...] = (Path("frames/000.jpg"), Path("frames/001.jpg")),
    canvas: Canvas | None = None,
) -> Sample:
    """A sample of two frames, half a second apart, unless told otherwise."""
    clip = Clip(frames=frames, fps=2.0, times=tuple(0.5 * k for k in range(len(frames))))
    return Sample(
        key=sample_key("v1&&0&&1&&2.0", task, question),
        id="v1&&0&&1&&2.0",
        row=3,
        qa_type=task,
        task=task,
        dataset=dataset,
        video_id="v1",
        question=question,
        answer=answer,
        truth=truth,
        clip=clip,
        canvas=canvas,
        metadata={"fps": "2.0", "video_id": "v1"},
    )


def make_rollout(
    sample: Sample,
    text: str = "The surgeon cuts a thread.",
    *,
    index: int = 0,
    group_id: str = "g0",
    value: float = 0.4,
    raw: float = 0.3,
    parsed: Any = None,
    parse_status: str = "free_text",
    components: dict[str, ComponentScore] | None = None,
    judgement: Judgement | None = None,
    group_mean: float = 0.5,
    group_std: float = 0.1,
    advantage: float = -1.0,
    finish_reason: str = "stop",
    kept: bool = True,
    skip_reason: str = "",
) -> Rollout:
    """A rollout of one component, unless told otherwise."""
    if components is None:
        components = {
            "metric": ComponentScore(
                raw=raw,
                normalised=value,
                weight=1.0,
                metric="test_metric@1",
                normalizer="logistic",
                p25=0.2,
                p50=0.4,
                p75=0.6,
                k=3.0,
            )
        }
    return Rollout(
        sample=sample,
        group_id=group_id,
        index=index,
        prompt_text="<|im_start|>user\n" + sample.question,
        prompt_ids=(1, 2, 3),
        times=sample.clip.times,
        told_times=tuple(0.4 * k for k in range(len(sample.clip.times))),
        completion=Completion(text, (5, 6), (-0.5, -1.25), finish_reason),
        reward=Reward(value, components, parse_status, parsed, judgement),
        group_mean=group_mean,
        group_std=group_std,
        advantage=advantage,
        kept=kept,
        skip_reason=skip_reason,
    )
