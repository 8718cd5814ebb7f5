"""The blind baseline asks the same questions over other videos of the same pair."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medgrpo.evaluation.blind import shuffle_videos
from medgrpo.types import Clip, Sample


def _sample(row: int, dataset: str, video: str) -> Sample:
    clip = Clip(frames=(Path(f"{video}.jpg"),), times=(0.0,))
    return Sample(f"k{row}", f"{row}", row, "stg", "stg", dataset, video, f"q{row}", "a", None, clip)


@given(
    st.lists(st.tuples(st.sampled_from(["CoPESD", "EgoSurgery"]), st.sampled_from("abc")), max_size=30),
    st.integers(0, 3),
)
def test_every_question_gets_a_clip_of_another_video_of_its_pair(
    rows: list[tuple[str, str]], seed: int
) -> None:
    samples = [_sample(i, dataset, f"{dataset}-{video}") for i, (dataset, video) in enumerate(rows)]
    blind = shuffle_videos(samples, seed=seed)
    assert [s.question for s in blind] == [s.question for s in samples]
    for original, swapped in zip(samples, blind, strict=True):
        videos = {s.video_id for s in samples if s.pair == original.pair}
        assert swapped.clip.frames[0].stem in videos
        if len(videos) > 1:
            assert swapped.clip != original.clip
    assert shuffle_videos(samples, seed=seed) == blind
