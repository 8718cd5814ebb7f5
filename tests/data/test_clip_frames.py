"""How configs reach the readers and the cache of frames."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medgrpo.data import GRPOData, SFTData
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.types import Clip
from tests.data.encoding import encode


@pytest.mark.parametrize("kind", [SFTData, GRPOData])
def test_an_unknown_decoder_is_one_clear_error(kind: Any) -> None:
    with pytest.raises(
        UserError, match=r"unknown video_backend 'opencv'; known are: pyav, torchcodec, decord$"
    ):
        kind("r.json", SamplingPolicy(), video_backend="opencv")


@pytest.mark.parametrize("kind", [SFTData, GRPOData])
def test_the_configured_cache_decoder_and_limit_reach_the_encoder(kind: Any, tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    policy = SimpleNamespace(setup=lambda: None, encoder=lambda sampling, **options: told.update(options))
    data = kind(
        "r.json",
        SamplingPolicy(),
        video_backend="decord",
        decode_seconds=7.0,
        frame_cache=str(tmp_path / "cache"),
        frame_cache_gb=0.5,
    )
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(policy=policy, bind=lambda *_: None))
    data.setup("test")
    store = told["cache"].store
    assert (store.root, store.max_bytes) == (tmp_path / "cache", 500_000_000)
    assert (told["video_backend"], told["decode_seconds"]) == ("decord", 7.0)


def test_a_clip_is_decoded_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample: Any = SimpleNamespace(clip=Clip(video=encode(tmp_path / "a.mp4", 30)), region=None)
    policy = SamplingPolicy(f_goal=2.0)
    first = ClipFrames(policy, FrameCache(tmp_path / "cache"), decode_seconds=60.0)
    frames, plan = first.read(sample)
    assert frames.shape == (len(plan.indices), 3, plan.height, plan.width)
    monkeypatch.setattr("medgrpo.data.readers.video.timeline_of", None)  # the file is not opened again
    second = ClipFrames(policy, FrameCache(tmp_path / "cache"), decode_seconds=None)
    assert np.array_equal(second.read(sample)[0], frames)
    assert (second.cache.hits, second.cache.misses) == (1, 0)


def test_a_few_frames_of_a_plan_are_those_of_the_whole(tmp_path: Path) -> None:
    sample: Any = SimpleNamespace(clip=Clip(video=encode(tmp_path / "a.mp4", 30)), region=None)
    frames = ClipFrames(SamplingPolicy(f_goal=2.0), decode_seconds=None)
    whole, plan = frames.read(sample)
    few, again = frames.read(sample, [0, len(whole) - 1])
    assert np.array_equal(few, whole[[0, -1]])
    assert np.array_equal(again.indices, plan.indices)
    assert np.array_equal(frames.plan(sample)[0].indices, plan.indices)
