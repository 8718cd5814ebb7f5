"""Rows whose frames cannot be read, before a model is asked: one clear error, or no answer and a count."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from medgrpo.commands import baseline, evaluate
from medgrpo.data.records import read_records
from medgrpo.errors import UserError
from medgrpo.modules.sampling_file import write_sampling
from medgrpo.rewards.statistics import Statistics
from tests.modules import grpo_scene as scenes

REWARD = """\
paths: {run: r}
model:
  init_args:
    reward:
      class_path: medgrpo.rewards.CompositeReward
      init_args:
        components:
          metric: {class_path: medgrpo.rewards.TaskMetricReward, init_args: {tasks: {tal: 1.0, stg: 1.0}}}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and records of two tasks; the images of one video are missing."""
    folder = scenes.make_scene(tmp_path_factory.mktemp("unread"))
    write_sampling(folder / "model", scenes.SAMPLING)
    (folder / "reward.yaml").write_text(REWARD)
    path = folder / "world" / "train.json"
    rows = [row for row in json.loads(path.read_text()) if row["qa_type"] in ("tal", "stg")]
    path.write_text(json.dumps(rows))
    first = read_records(path)[0]
    for frame in first.clip.frames:
        frame.unlink()
    return folder


def _run(command: ModuleType, scene: Path, out: Path, *options: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = [f"--model={scene / 'model'}", f"--records={scene / 'world' / 'train.json'}", f"--out={out}"]
    return command.run(parser.parse_args([*given, "--max-new-tokens=4", *options]))


def _bad_rows(scene: Path) -> list[int]:
    samples = read_records(scene / "world" / "train.json")
    return [sample.row for sample in samples if not sample.clip.frames[0].exists()]


def _check_report(scene: Path, report: Path) -> None:
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["row"] for line in lines] == _bad_rows(scene)
    rows = json.loads((scene / "world" / "train.json").read_text())
    for line in lines:
        assert (line["file"], line["field"]) == ("records", "video")
        assert "frame 0 of the clip" in line["problem"]
        assert line["content"] == rows[line["row"]]


@pytest.mark.parametrize("command", [baseline, evaluate])
def test_the_first_is_one_clear_error_by_default(command: ModuleType, scene: Path, tmp_path: Path) -> None:
    options = [f"--config={scene / 'reward.yaml'}"] if command is baseline else []
    with pytest.raises(UserError, match=r"^row \d+ \(.*\): .*\.jpg: frame 0 of the clip"):
        _run(command, scene, tmp_path / "out.json", *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("protocol", ["official", "strict"])
def test_an_evaluation_leaves_them_unanswered(
    protocol: str, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, answers = tmp_path / "s.json", tmp_path / "p.json"
    saved = f"--save-predictions={answers}"
    assert _run(evaluate, scene, out, saved, f"--protocol={protocol}", "--on-error=quarantine") == 0
    total, bad = len(read_records(scene / "world" / "train.json")), _bad_rows(scene)
    assert 0 < len(bad) < total
    _check_report(scene, tmp_path / "s.quarantine.jsonl")
    scores = json.loads(out.read_text())
    assert scores["counts"]["quarantined"]["records"] == len(bad)
    assert len(scores["per_record"]) == len(json.loads(answers.read_text())) == total - len(bad)
    assert f"set aside: {len(bad)} of the records" in capsys.readouterr().out


def test_statistics_are_of_the_others(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "statistics.json"
    config = f"--config={scene / 'reward.yaml'}"
    assert _run(baseline, scene, out, config, "--samples=2", "--on-error=quarantine") == 0
    total, bad = len(read_records(scene / "world" / "train.json")), _bad_rows(scene)
    _check_report(scene, tmp_path / "statistics.quarantine.jsonl")
    entries: Any = Statistics.load(out).entries
    assert sum(next(iter(metrics.values())).n for metrics in entries.values()) == 2 * (total - len(bad))
    assert f"set aside: {len(bad)} of {total} rows" in capsys.readouterr().out


@pytest.mark.parametrize("command", [baseline, evaluate])
def test_nothing_to_ask_about_is_one_error(command: ModuleType, scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene, tmp_path / "all")
    for image in (tmp_path / "all" / "world").rglob("*.jpg"):
        image.unlink()
    options = [f"--config={scene / 'reward.yaml'}"] if command is baseline else []
    with pytest.raises(UserError, match=r"train\.json: no row has frames that can be read; the first: "):
        _run(command, tmp_path / "all", tmp_path / "out.json", *options, "--on-error=quarantine")
