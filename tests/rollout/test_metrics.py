"""Round metrics against the same numbers computed by hand and with NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.rollout.metrics import round_metrics
from medgrpo.types import Judgement
from tests.rollout.rollouts import make_rollout, make_sample


def test_numbers_of_a_small_round() -> None:
    tal, summary = make_sample("tal", "CoPESD"), make_sample("video_summary", "AVOS")
    judgement = Judgement("m", "r", {"action": 4.0, "context": 2.0}, {})
    failed = Judgement("m", "r", {}, {}, status="timeout")
    rollouts = [
        make_rollout(tal, group_id="a", value=0.2, raw=0.1, parse_status="ok", advantage=-1.0, group_std=0.2),
        make_rollout(
            tal, group_id="a", value=0.6, raw=0.3, parse_status="failed", advantage=1.0, group_std=0.2
        ),
        make_rollout(
            tal, group_id="b", value=0.5, raw=0.2, parse_status="ok", kept=False, group_std=0.0,
            skip_reason="zero_variance", finish_reason="length",
        ),
        make_rollout(summary, group_id="c", value=0.5, judgement=judgement),
        make_rollout(
            summary, group_id="c", value=math.nan, judgement=failed, kept=False, skip_reason="failed_reward"
        ),
    ]  # fmt: skip
    flat = round_metrics(rollouts, entropies=[1.0, 2.0, 3.0, 4.0, 6.0])
    pair = {key.rsplit("/", 1)[1]: value for key, value in flat.items() if "/CoPESD/tal/" in key}
    assert pair == pytest.approx(
        {
            "answers": 3, "groups": 2, "reward_mean": 1.3 / 3, "reward_p25": 0.35, "reward_p50": 0.5,
            "reward_p75": 0.55, "advantage_std": 1.0, "group_std": 0.1, "zero_variance_share": 0.5,
            "refilled_share": 0.0,
            "failed_group_share": 0.0, "length_mean": 2.0, "truncated_share": 1 / 3, "parse_rate": 2 / 3,
            "entropy": 2.0, "raw_test_metric_1": 0.2, "normalised_metric": 1.3 / 3,
        }
    )  # fmt: skip
    assert flat["train/AVOS/video_summary/reward_mean"] == 0.5
    assert flat["train/AVOS/video_summary/failed_group_share"] == 1.0
    assert flat["train/AVOS/video_summary/judge_mean"] == 3.0
    assert flat["train/AVOS/video_summary/judge_status_ok"] == 1.0
    assert flat["train/AVOS/video_summary/judge_status_timeout"] == 1.0
    assert "train/AVOS/video_summary/parse_rate" not in flat
    assert "train/CoPESD/tal/judge_mean" not in flat


@given(st.lists(st.floats(-1, 2) | st.just(math.nan), min_size=1, max_size=20))
def test_percentiles_leave_failures_out(values: list[float]) -> None:
    flat = round_metrics([make_rollout(make_sample(), value=value) for value in values])
    finite = [value for value in values if not math.isnan(value)]
    got = [flat[f"train/AVOS/video_summary/reward_{name}"] for name in ("mean", "p25", "p50", "p75")]
    if finite:
        np.testing.assert_allclose(
            got, [np.mean(finite), *np.quantile(finite, [0.25, 0.5, 0.75])], atol=1e-12
        )
    else:
        assert np.isnan(got).all()
    assert flat["train/AVOS/video_summary/answers"] == len(values)


def test_nothing_and_mismatched_entropies() -> None:
    assert round_metrics([]) == {}
    with pytest.raises(ValueError, match="2 entropies"):
        round_metrics([make_rollout(make_sample())], entropies=[1.0, 2.0])
