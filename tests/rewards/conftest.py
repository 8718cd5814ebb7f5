from collections.abc import Callable
from pathlib import Path

import pytest

from medgrpo.types import Clip, Sample, sample_key


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    """Builds a sample of any task; the clip is never opened."""

    def make(
        task: str, answer: str | None, dataset: str = "CholecT50", truth: object = None, row: int = 0
    ) -> Sample:
        return Sample(
            key=sample_key(f"id{row}", task, "what?"),
            id=f"id{row}",
            row=row,
            qa_type=task,
            task=task,
            dataset=dataset,
            video_id="v",
            question="what?",
            answer=answer,
            truth=truth,
            clip=Clip(frames=(Path("a.jpg"),), times=(0.0,)),
        )

    return make
