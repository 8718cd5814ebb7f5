"""What the overview of a run says: curves, then and now, alarms, and the states of the runs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from app.index import MEASURES, CurvePoint, RolloutIndex, curves
from app.index.progress import Progress
from app.index.quartiles import Box, then_and_now
from app.index.rounds import PairCounts, round_numbers
from app.training.alarms import collapses, count_alarms
from app.training.drift import drift_words
from app.training.logged import LOGGED, logged_points
from app.training.overview import curves_page
from app.training.run_files import read_run_files
from app.training.run_state import state_of
from app.training.watch import CURVES, Watch
from medgrpo.modules import CollapseAlarm
from medgrpo.rollout.collapse import CollapseRules
from medgrpo.rollout.metrics import round_metrics
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Judgement, Rollout
from tests.app.scene import ATTACK, write_scene
from tests.app.test_html import Reader
from tests.app.test_pages import text_of
from tests.rollout.rollouts import make_rollout, make_sample


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder)
    made = Watch(RolloutIndex(folder / "runs"))
    made.refresh()
    return made


def falling(step: int) -> list[Rollout]:
    """A round of a run in trouble: rewards fall, answers become unreadable and alike, the judge fails."""
    sample = make_sample("tal", "AVOS")
    status = "ok" if step == 0 else "failed"
    value = 0.8 if step == 0 else 0.1
    judgement = Judgement("m", "r", {}, {}, status="ok" if step == 0 else "timeout")
    made = make_rollout(
        sample, value=value, raw=value, parse_status=status, judgement=judgement, skip_reason="zero_variance"
    )
    return [replace(made, index=k, group_id=f"g{step}") for k in range(4)]


def test_every_measure_is_drawn(watch: Watch) -> None:
    charts = {"raw": 4, "normalised": 4, "format": 2, "judge": 1}  # parts; what not every task has
    for measure, found in MEASURES.items():
        page = watch.curves("demo", measure)
        assert Reader(page).tags.count("svg") == charts.get(measure, 3), measure
        assert found.help in text_of(page)
    for measure in LOGGED:
        assert "no such numbers" in watch.curves("demo", measure)  # this run has no log
    assert "no such curve" in watch.curves("demo", ATTACK)
    assert set(CURVES) == {*MEASURES, *LOGGED}


def test_a_share_has_no_band(watch: Watch) -> None:
    assert "middle half" not in watch.curves("demo", "format")
    assert "middle half" in watch.curves("demo", "reward")
    points = curves(watch.index, "demo", "format")
    assert all(math.isnan(point.p25) for point in points)
    assert {(point.dataset, point.mean) for point in points} == {("AVOS", 0.875), ("CoPESD", 1.0)}


def test_curves_of_some_rounds(watch: Watch) -> None:
    points = curves(watch.index, "demo", "reward", (2, 4))
    assert sorted({point.step for point in points}) == [2, 3, 4]
    whole = {(p.line, p.step): p.mean for p in curves(watch.index, "demo", "reward")}
    assert all(whole[point.line, point.step] == point.mean for point in points)


def test_then_and_now_agree_with_numpy(tmp_path: Path) -> None:
    values = {step: [0.1 * step + 0.01 * k for k in range(4)] for step in range(4)}
    for step, raws in values.items():
        rollouts = [make_rollout(make_sample(), index=k, raw=raw) for k, raw in enumerate(raws)]
        RolloutStore(tmp_path, "r").write(step, rollouts)
    index = RolloutIndex(tmp_path)
    index.refresh()
    (found,) = then_and_now(index, "r", last=2)
    assert found.then == Box(0.2, 0.4, 0.6)
    expected = np.quantile([*values[2], *values[3]], [0.25, 0.5, 0.75])
    np.testing.assert_allclose([found.now.p25, found.now.p50, found.now.p75], expected)
    assert found.count == 8


def test_drift_in_plain_words() -> None:
    then = Box(0.2, 0.4, 0.6)
    assert "above the top quarter from before" in drift_words(then, Box(0.6, 0.7, 0.8))[0][1]
    assert "below the low quarter from before" in drift_words(then, Box(0.0, 0.1, 0.3))[0][1]
    assert "better than before" in drift_words(then, Box(0.3, 0.5, 0.6))[0][1]
    assert [kind for kind, _ in drift_words(then, Box(0.5, 0.5, 0.51))] == ["flat", "down"]  # alike
    assert "not recorded" in drift_words(None, then)[0][1]


def test_alarms_are_those_of_the_trainer(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, "r")
    trainer = CollapseAlarm()
    told: list[str] = []
    for step in range(5):
        store.write(step, falling(step))
        rollouts = falling(step)
        told = trainer.judge(round_metrics(rollouts, entropies=[0.875] * len(rollouts)))
    index = RolloutIndex(tmp_path)
    index.refresh()
    found = collapses(round_numbers(index, "r"), {}, CollapseRules())
    assert [str(one) for one in found] == told
    assert len(told) == 2  # parse rate and reward
    watch = Watch(index)
    words = text_of(watch.alarms("r"))
    assert "4 things to look at" in words
    assert "AVOS, When does it happen?: Only 0% of the answers can still be read." in words
    assert "The reward fell to 0.10, below 0.60" in words
    assert "In 5 of the last 5 groups all answers got the same reward" in words
    assert "The judge gave no marks for 16 of the last 20 answers" in words
    links = [value for name, value in Reader(watch.alarms("r")).attributes if name == "href"]
    assert "?run=r&show=format" in links
    assert "?run=r&tab=answers&dataset=AVOS&task=tal" in links


def test_the_log_goes_before_the_estimate_and_limits_come_from_the_run(tmp_path: Path) -> None:
    for step in range(3):
        RolloutStore(tmp_path, "r").write(step, [make_rollout(make_sample())])
    (tmp_path / "r" / "csv" / "version_0").mkdir(parents=True)
    name = "train/AVOS/video_summary/entropy"
    log = f"epoch,step,{name},train/grad_norm\n,0,,\n0,1,0.5,2.0\n1,2,0.01,\n1,2,,4.0\n2,3,0.01,nan\n"
    (tmp_path / "r" / "csv" / "version_0" / "metrics.csv").write_text(log)
    alarm = {"class_path": "medgrpo.modules.CollapseAlarm", "init_args": {"patience": 2, "stop": True}}
    config = {"trainer": {"max_epochs": 3, "callbacks": [alarm]}}
    (tmp_path / "r" / "config.yaml").write_text(yaml.safe_dump(config))
    files = read_run_files(tmp_path, "r")
    assert (files.planned, files.limits, files.problems) == (3, {"patience": 2}, ())
    assert files.metrics == {0: {"step": 1, name: 0.5, "train/grad_norm": 2.0}, 1: {"step": 2, name: 0.01,
        "train/grad_norm": 4.0}, 2: {"step": 3, name: 0.01}}  # fmt: skip
    watch = Watch(RolloutIndex(tmp_path))
    watch.refresh()
    assert "hardly hesitates any more (0.01 nats, limit 0.05)" in text_of(watch.alarms("r"))
    assert "finished" in watch.status("r")
    assert [p.mean for p in logged_points(files.metrics, [], "grad_norm")] == [2.0, 4.0]
    assert Reader(watch.curves("r", "entropy")).tags.count("svg") == 1


def test_damaged_files_beside_the_store_are_told(tmp_path: Path) -> None:
    RolloutStore(tmp_path, "r").write(0, [make_rollout(make_sample())])
    (tmp_path / "r" / "csv" / "version_0").mkdir(parents=True)
    (tmp_path / "r" / "csv" / "version_0" / "metrics.csv").write_text("epoch,a\n0,many\n")
    for content in ("[1", "- 1", "trainer: {callbacks: 3}", "trainer: [1]"):
        (tmp_path / "r" / "config.yaml").write_text(content)
        watch = Watch(RolloutIndex(tmp_path))
        watch.refresh()
        words = text_of(watch.status("r"))
        assert "2 files could not be read" in words, content
        assert "no configuration of a training run" in words
        assert "Nothing looks wrong" in watch.alarms("r")


def test_the_state_of_a_run() -> None:
    run = Progress("r", rounds=4, last=3, written=1000.0, gap=600.0)
    assert state_of(run, 4, now=1001.0).kind == "finished"
    assert state_of(run, 8, now=1500.0).kind == "training"
    assert state_of(run, 8, now=1000.0 + 3601.0).kind == "stopped"
    assert state_of(replace(run, gap=None), None, now=1100.0).kind == "training"
    assert state_of(run, -1, now=1001.0).kind == "training"  # Lightning's way to plan without end


def test_failures_below_the_limits_are_no_alarm() -> None:
    calm = PairCounts("AVOS", "tal", groups=10, flat=4, unrewarded=0, judged=100, unjudged=5)
    assert count_alarms([calm], "r") == []
    (alarm,) = count_alarms([replace(calm, unrewarded=1)], "r")
    assert "In 1 of the last 10 groups a reward could not be computed" in alarm.sentence


def test_what_changes_is_noticed_once(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, "r")
    watch = Watch(RolloutIndex(tmp_path))
    first = watch.refresh()
    store.write(0, [make_rollout(make_sample())])
    second = watch.refresh()
    assert second > first
    assert watch.refresh() == second
    store.write(
        1, [make_rollout(make_sample())], wall_time=1.0
    )  # a clock that went back: the run stands still
    assert watch.refresh() > second


def test_hostile_names_stay_text() -> None:
    point = CurvePoint(ATTACK, ATTACK, ATTACK, 0, 1, 0.5, 0.4, 0.6, None)
    page = curves_page([point], ATTACK, ATTACK)
    assert not {"img", "script"} & set(Reader(page).tags)
    assert ATTACK in text_of(page)
