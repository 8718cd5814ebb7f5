"""Samples for tests of tasks and metrics: one frame, no files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgrpo.tasks import canonical_task
from medgrpo.types import Clip, Sample

__all__ = ["make_sample"]


def make_sample(
    qa_type: str,
    answer: str | None = None,
    truth: Any = None,
    *,
    dataset: str = "AVOS",
    video: str = "v1",
    question: str = "What is seen?",
    fps: float = 1.0,
    row: int = 0,
) -> Sample:
    """A sample with the given reference."""
    return Sample(
        key=f"{row}|{qa_type}",
        id=f"{video}&&0&&10&&{fps}",
        row=row,
        qa_type=qa_type,
        task=canonical_task(qa_type),
        dataset=dataset,
        video_id=video,
        question=question,
        answer=answer,
        truth=truth,
        clip=Clip(frames=(Path("frame.jpg"),), times=(0.0,), fps=fps),
    )
