from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.crops import crop_clip
from medgrpo.data.readers import open_reader
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.types import Clip, Segment
from tests.data.encoding import encode


def listed(*times: float) -> Clip:
    return Clip(frames=tuple(Path(f"{k}.jpg") for k in range(len(times))), times=times)


def test_a_crop_of_a_list_starts_at_its_first_frame() -> None:
    crop = crop_clip(listed(0.0, 2.0, 5.0, 6.0, 9.0), Segment(1.0, 6.0))
    assert [path.name for path in crop.clip.frames] == ["1.jpg", "2.jpg", "3.jpg"]
    assert crop.clip.times == (0.0, 3.0, 4.0)
    assert crop.offset == 2.0
    assert crop.in_whole(Segment(3.0, 4.0, "cut")) == Segment(5.0, 6.0, "cut")


def test_a_crop_of_a_video_shows_the_same_frames_at_a_higher_rate(tmp_path: Path) -> None:
    whole = Clip(video=encode(tmp_path / "a.mp4", 200), start=1.0, end=7.0)
    crop = crop_clip(whole, Segment(2.0, 3.0))
    assert (crop.clip.start, crop.clip.end, crop.offset) == (3.0, 4.0, 2.0)
    reader, part = open_reader(whole), open_reader(crop.clip)
    policy = SamplingPolicy(f_goal=3.0, min_frames=2)
    sparse = policy.plan(reader.times(), *reader.size())
    dense = SamplingPolicy(f_max=30.0, f_goal=20.0).plan(part.times(), *part.size())
    assert dense.fps_effective > 5 * sparse.fps_effective
    told = dense.true_times + crop.offset
    indices = np.searchsorted(reader.times(), told - 1e-6)
    assert np.allclose(reader.times()[indices], told)
    assert np.array_equal(part.read(dense.indices, 48, 80), reader.read(indices, 48, 80))


@given(st.lists(st.floats(0, 5), min_size=1, max_size=20), st.floats(0, 50), st.floats(0, 20))
def test_every_frame_of_the_segment_is_in_the_crop(gaps: list[float], start: float, length: float) -> None:
    times = np.cumsum(gaps)
    segment = Segment(start, start + length)
    inside = [time for time in times if segment.start <= time <= segment.end]
    if not inside:
        with pytest.raises(UserError, match=r"0\.jpg: the clip has no frame within"):
            crop_clip(listed(*times), segment)
        return
    crop = crop_clip(listed(*times), segment)
    assert crop.clip.times[0] == 0.0
    assert np.allclose(np.array(crop.clip.times) + crop.offset, inside)


def test_a_segment_after_the_end_is_refused() -> None:
    with pytest.raises(UserError, match=r"a\.mp4: 9-12 s is after the end"):
        crop_clip(Clip(video=Path("a.mp4"), start=1.0, end=5.0), Segment(9.0, 12.0))
