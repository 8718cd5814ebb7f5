import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from medgrpo.errors import UserError
from medgrpo.rewards import (
    CompositeReward,
    IdentityNormalizer,
    Judge,
    JudgeRequest,
    JudgeReward,
    LexiconJudge,
    LogisticNormalizer,
    Provenance,
    RobustAffineNormalizer,
    SimilarityReward,
    Statistics,
    TaskMetricReward,
    leave_out,
    load_rubric,
    summarise,
)
from medgrpo.tasks import TASKS
from medgrpo.types import Judgement, Sample

CAPTION = "The grasper dissects the cystic duct."
METRIC_TASKS = {name: 1.0 for name, task in TASKS.items() if task.metric}
CAPTION_TASKS = {"video_summary": 0.5, "region_caption": 0.5}


class BrokenJudge(Judge):
    """Fails every second time."""

    def __init__(self) -> None:
        self.rubric = load_rubric("medgrpo-five@1")

    @property
    def id(self) -> str:
        return "broken"

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        good = Judgement("broken", self.rubric.name, {"terminology": 3.0}, {"terminology": "so so"})
        bad = Judgement("broken", self.rubric.name, {}, {}, status="timeout")
        return [bad if i % 2 else good for i in range(len(requests))]


def statistics(components: dict[str, object], samples: list[Sample]) -> Statistics:
    composite = CompositeReward(components, IdentityNormalizer())  # type: ignore[arg-type]
    entries: dict[tuple[str, str], dict[str, object]] = {}
    for sample in samples:
        for name in composite.raw_metrics([sample], ["x"])[0]:
            low, high = composite.ranges()[name]
            middle = (low + high) / 2
            values = [middle - 0.1, middle, middle + 0.1]
            entries.setdefault(sample.pair, {})[name] = summarise(values, low, high)
    return Statistics(entries)  # type: ignore[arg-type]


@pytest.fixture
def samples(make_sample: Callable[..., Sample]) -> dict[str, Sample]:
    answers = {
        "tal": "1.0-3.0 seconds.",
        "stg": "1.0 seconds: [10.0, 10.0, 50.0, 50.0]",
        "dense_captioning": "0.0-2.0 seconds: cut: the scissors cut the duct.",
        "next_action": "gallbladder-dissection",
        "video_summary": CAPTION,
        "region_caption": CAPTION,
        "skill_assessment": "Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 2/5, "
        "Flow of operation: 2/5, Overall performance: 2/5, Quality of final product: 1/5",
        "cvs_assessment": "Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 1",
    }
    return {task: make_sample(task, answer, row=i) for i, (task, answer) in enumerate(answers.items())}


def full(samples: dict[str, Sample]) -> CompositeReward:
    components = {
        "metric": TaskMetricReward(METRIC_TASKS),
        "similarity": SimilarityReward(CAPTION_TASKS),
        "judge": JudgeReward(CAPTION_TASKS),
    }
    return CompositeReward(components, None, statistics(components, list(samples.values())))  # type: ignore[arg-type]


def test_every_task_rewards_its_own_reference_best(samples: dict[str, Sample]) -> None:
    composite = full(samples)
    rows = list(samples.values())
    best = composite.score(rows, [s.answer or "" for s in rows])
    worst = composite.score(rows, ["" for _ in rows])
    for sample, good, bad in zip(rows, best, worst, strict=True):
        names = {"similarity", "judge"} if sample.task in CAPTION_TASKS else {"metric"}
        assert set(good.components) == names
        assert math.fsum(c.weight for c in good.components.values()) == pytest.approx(1.0)
        assert 0.5 < good.value <= 1.0
        assert 0.0 <= bad.value < 0.5
        assert good.parse_status in ("ok", "free_text")
        assert bad.parse_status == "failed"


def test_localisation_multiplies_format_and_normalised_accuracy(samples: dict[str, Sample]) -> None:
    composite = full(samples)
    good, part, repaired, bad = composite.score(
        [samples["tal"]] * 4,
        ["1.0-3.0 seconds.", "2.0-4.0 seconds.", "It is from 1.0 to 3.0 seconds", "I do not know"],
    )
    for reward in (good, part, repaired, bad):
        score = reward.components["metric"]
        assert reward.value == pytest.approx(score.factors["format"] * score.factors["accuracy"])
    assert [r.components["metric"].factors["format"] for r in (good, part, repaired, bad)] == [1, 1, 1, 0]
    assert (repaired.parse_status, bad.value) == ("repaired", 0.0)
    assert good.components["metric"].raw == 1.0
    assert 0 < part.components["metric"].raw < 1


def test_an_invalid_format_is_never_worth_more_than_a_valid_one(samples: dict[str, Sample]) -> None:
    components = {"metric": TaskMetricReward({"tal": 1.0})}
    stats = statistics(components, [samples["tal"]])  # type: ignore[arg-type]
    for normalizer in (LogisticNormalizer(), RobustAffineNormalizer(), IdentityNormalizer()):
        composite = CompositeReward(dict(components), normalizer, stats)
        valid, invalid = composite.score([samples["tal"]] * 2, ["50.0-60.0 seconds.", "no idea"])
        assert valid.value >= invalid.value


def test_captions_mix_half_and_half_by_hand(samples: dict[str, Sample]) -> None:
    composite = full(samples)
    reward = composite.score([samples["video_summary"]], ["The tool grasps tissue"])[0]
    similarity, judge = reward.components["similarity"], reward.components["judge"]

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    # Middle +- .1: an IQR of .1, which is 5% of the similarity's range and tiny for the judge's range of 4.
    scale = composite.statistics.get(samples["video_summary"].pair, judge.metric).scale  # type: ignore[union-attr]
    assert scale == pytest.approx(0.2)
    assert judge.normalised == pytest.approx(sigmoid(3 * (judge.raw - 3.0) / scale))
    assert reward.value == pytest.approx(0.5 * similarity.normalised + 0.5 * judge.normalised)
    assert reward.judgement is not None
    assert judge.raw == pytest.approx(reward.judgement.mean)
    assert 0.4 < similarity.raw < 0.95
    assert judge.raw < 2
    assert (judge.weight, judge.k, judge.normalizer) == (0.5, 3.0, "logistic")


def test_a_failed_judge_is_nan_and_can_be_left_out(samples: dict[str, Sample]) -> None:
    components = {
        "similarity": SimilarityReward(CAPTION_TASKS),
        "judge": JudgeReward(CAPTION_TASKS, BrokenJudge()),
    }
    composite = CompositeReward(components, IdentityNormalizer())  # type: ignore[arg-type]
    good, bad = composite.score([samples["video_summary"]] * 2, [CAPTION, CAPTION])
    assert math.isfinite(good.value)
    assert math.isnan(bad.value)
    assert bad.components["judge"].status == "timeout"
    assert math.isnan(bad.components["judge"].normalised)
    raw = composite.raw_metrics([samples["video_summary"]] * 2, [CAPTION, CAPTION])
    assert math.isnan(raw[1]["judge:broken:medgrpo-five@1"])
    alone = leave_out(bad, {"judge"})
    assert alone.value == pytest.approx(bad.components["similarity"].normalised)
    assert alone.components["judge"].weight == 0.0
    assert math.isnan(leave_out(bad, {"judge", "similarity"}).value)


class Odd(TaskMetricReward):
    """Gives one score too few, or fails on two answers at once."""

    def __init__(self, mode: str) -> None:
        super().__init__({"tal": 1.0})
        self.mode = mode

    def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
        if self.mode == "together" and len(texts) > 1:
            raise RuntimeError
        scores = super().score(samples, texts, parsed)
        return scores[1:] if self.mode == "short" else scores


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("short", r"component 'odd' \(Odd\) gave 1 scores for 2 answers"),
        ("together", r"'odd' \(Odd\) raised RuntimeError \(.*\) on 2 answers together, though on none"),
    ],
)
def test_a_component_that_misbehaves_is_told(samples: dict[str, Sample], mode: str, message: str) -> None:
    composite = CompositeReward({"odd": Odd(mode)}, IdentityNormalizer())
    with pytest.raises(UserError, match=message):
        composite.score([samples["tal"]] * 2, ["1.0-3.0 seconds.", "x"])


def test_raw_metrics_build_statistics_that_score(samples: dict[str, Sample], tmp_path: Path) -> None:
    composite = full(samples)
    rows = [s for s in samples.values() for _ in range(3)]
    texts = [s.answer or "" if i % 3 else "x" for i, s in enumerate(rows)]
    built = Statistics.build(rows, composite.raw_metrics(rows, texts), composite.ranges(), Provenance())
    built.save(tmp_path / "s.json")
    again = CompositeReward(composite.components, LogisticNormalizer(), str(tmp_path / "s.json"))
    again.check(rows)
    assert all(math.isfinite(r.value) for r in again.score(rows, texts))


def test_clear_errors(samples: dict[str, Sample], make_sample: Callable[..., Sample], tmp_path: Path) -> None:
    composite = full(samples)
    with pytest.raises(UserError, match="no statistics for dataset 'AVOS', task 'tal'"):
        composite.check([make_sample("tal", "1.0-2.0 seconds.", "AVOS")])
    with pytest.raises(UserError, match="no reward component is routed to task 'tal'"):
        CompositeReward({"s": SimilarityReward(CAPTION_TASKS)}, IdentityNormalizer()).score(
            [samples["tal"]], ["x"]
        )
    with pytest.raises(UserError, match=r"gone\.json: cannot read"):
        CompositeReward({"s": SimilarityReward(CAPTION_TASKS)}, None, str(tmp_path / "gone.json")).setup()
    with pytest.raises(UserError, match="unknown task 'tall'"):
        TaskMetricReward({"tall": 1.0})
    with pytest.raises(UserError, match="video_summary answers are free text"):
        TaskMetricReward({"video_summary": 1.0})
    with pytest.raises(UserError, match="weight of tal must be positive"):
        TaskMetricReward({"tal": 0.0})
    with pytest.raises(UserError, match="no reference answer"):
        composite.score([make_sample("video_summary", None)], ["x"])


CONFIG = """
reward:
  class_path: medgrpo.rewards.CompositeReward
  init_args:
    statistics: stats.json
    normalizer: {class_path: medgrpo.rewards.LogisticNormalizer, init_args: {k: 2.5}}
    components:
      metric: {class_path: medgrpo.rewards.TaskMetricReward, init_args: {tasks: {tal: 1.0, stg: 1}}}
      similarity: {class_path: medgrpo.rewards.SimilarityReward, init_args: {tasks: {video_summary: 0.5}}}
      judge:
        class_path: medgrpo.rewards.JudgeReward
        init_args:
          tasks: {video_summary: 0.5}
          judge: {class_path: medgrpo.rewards.LexiconJudge, init_args: {gates: {long_words: 40}}}
"""


def test_jsonargparse_builds_it_from_yaml(tmp_path: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--reward", type=CompositeReward)
    composite = parser.instantiate(parser.parse_object(yaml.safe_load(CONFIG))).reward
    assert isinstance(composite, CompositeReward)
    assert composite.statistics == "stats.json"
    assert composite.normalizer.k == 2.5
    judge = composite.components["judge"].judge
    assert isinstance(judge, LexiconJudge)
    assert judge.gates.long_words == 40
    assert composite.tasks == {"tal", "stg", "video_summary"}
