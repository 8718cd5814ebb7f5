"""The stage runner: runs public commands, remembers what is done, redoes what has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medgrpo.demo import runner
from medgrpo.demo.runner import Stage, run_stages
from medgrpo.errors import UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands; ``touch X`` makes X, ``fail`` fails."""
    seen: list[list[str]] = []

    def call(command: list[str], env: dict[str, str]) -> int:
        assert env["OMP_NUM_THREADS"]
        seen.append(command[3:])
        for argument in command[3:]:
            if argument.startswith("/") and not argument.endswith(".yaml"):
                Path(argument).write_text("x")
        return 1 if "fail" in command else 0

    monkeypatch.setattr(runner.subprocess, "call", call)
    return seen


def _stage(root: Path, name: str, *extra: str) -> Stage:
    return Stage(name, name.title(), ("touch", str(root / name), *extra), (root / name,))


def test_finished_stages_are_not_run_again(tmp_path: Path, calls: list[list[str]]) -> None:
    stages = [_stage(tmp_path, "a"), _stage(tmp_path, "b")]
    assert [t.reused for t in run_stages(stages, tmp_path)] == [False, False]
    assert [t.reused for t in run_stages(stages, tmp_path)] == [True, True]
    assert len(calls) == 2


def test_a_changed_stage_is_run_again_with_all_that_follow(tmp_path: Path, calls: list[list[str]]) -> None:
    run_stages([_stage(tmp_path, "a"), _stage(tmp_path, "b"), _stage(tmp_path, "c")], tmp_path)
    calls.clear()
    run_stages([_stage(tmp_path, "a"), _stage(tmp_path, "b", "more"), _stage(tmp_path, "c")], tmp_path)
    assert [call[1] for call in calls] == [str(tmp_path / "b"), str(tmp_path / "c")]


def test_a_changed_config_file_is_a_change(tmp_path: Path, calls: list[list[str]]) -> None:
    config = tmp_path / "sizes.yaml"
    config.write_text("lr: 1")
    stage = Stage("a", "A", ("touch", str(tmp_path / "a"), "--config", str(config)), (tmp_path / "a",))
    assert [t.reused for t in run_stages([stage], tmp_path)] == [False]
    config.write_text("lr: 2")
    assert [t.reused for t in run_stages([stage], tmp_path)] == [False]
    assert [t.reused for t in run_stages([stage], tmp_path)] == [True]
    assert len(calls) == 2


def test_an_interrupted_stage_continues_from_its_checkpoint(tmp_path: Path, calls: list[list[str]]) -> None:
    stage = Stage("fit", "Fit", ("fit", "fail"), (tmp_path / "out",), checkpoint=tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="'fit' stopped with exit status 1"):
        run_stages([stage], tmp_path)
    assert not any("ckpt" in argument for argument in calls[-1])
    (tmp_path / "last.ckpt").write_text("x")
    with pytest.raises(UserError):
        run_stages([stage], tmp_path)
    assert calls[-1][-1] == f"--ckpt_path={tmp_path / 'last.ckpt'}"


def test_a_checkpoint_of_other_settings_is_not_continued(tmp_path: Path, calls: list[list[str]]) -> None:
    (tmp_path / "last.ckpt").write_text("x")
    stage = Stage(
        "fit", "Fit", ("fit", f"{tmp_path}/out"), (tmp_path / "out",), checkpoint=tmp_path / "last.ckpt"
    )
    run_stages([stage], tmp_path)
    assert not any("ckpt_path" in argument for argument in calls[-1])


def test_nor_is_it_when_the_first_attempt_with_new_settings_was_stopped_before_its_own(
    tmp_path: Path, calls: list[list[str]]
) -> None:
    def stage(*settings: str) -> Stage:
        arguments = ("fit", f"{tmp_path}/out", *settings)
        return Stage("fit", "Fit", arguments, (tmp_path / "out",), checkpoint=tmp_path / "last.ckpt")

    run_stages([stage("rounds=40")], tmp_path)
    (tmp_path / "last.ckpt").write_text("40 rounds")
    for _ in range(2):
        with pytest.raises(UserError):
            run_stages([stage("rounds=20", "fail")], tmp_path)
    assert calls[-1][-1] == "fail"


def test_a_stage_that_writes_nothing_is_an_error(tmp_path: Path, calls: list[list[str]]) -> None:
    with pytest.raises(UserError, match="without writing"):
        run_stages([Stage("a", "A", ("noop",), (tmp_path / "missing",))], tmp_path)
    assert not (tmp_path / "stages" / "a.json").exists()
    assert json.loads((tmp_path / "stages" / "a.started.json").read_text())["seconds"] >= 0


class _Process:
    """A command that ends when the main lane has run."""

    def __init__(self, command: list[str], env: dict[str, str], stdout: Any, stderr: Any) -> None:
        del env, stderr
        self.command = command[3:]
        stdout.write(b"working\nbecause of this\n")

    def wait(self) -> int:
        for argument in self.command:
            if argument.startswith("/"):
                Path(argument).write_text("x")
        return 1 if "fail" in self.command else 0

    def poll(self) -> int:
        return 0


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]) -> None:
    monkeypatch.setattr(runner.subprocess, "Popen", _Process)


@pytest.mark.usefixtures("beside")
def test_stages_beside_leave_the_main_lane_alone(tmp_path: Path, calls: list[list[str]]) -> None:
    def stages(*extra: str) -> list[Stage]:
        side = replace(_stage(tmp_path, "b", *extra), beside=True)
        return [_stage(tmp_path, "a"), side, _stage(tmp_path, "c")]

    times = run_stages(stages(), tmp_path, processes=2)
    assert [(t.name, t.beside) for t in times] == [("a", False), ("b", True), ("c", False)]
    assert [call[1] for call in calls] == [str(tmp_path / "a"), str(tmp_path / "c")]
    assert (tmp_path / "logs" / "b.log").read_text().startswith("working")
    # A change of the stage beside runs it alone again; with one process it runs in its place.
    again = run_stages(stages("more"), tmp_path, processes=1)
    assert [t.reused for t in again] == [True, False, True]
    assert calls[-1][1:] == [str(tmp_path / "b"), "more"]


@pytest.mark.usefixtures("beside")
def test_a_failure_beside_is_told_with_its_last_line(tmp_path: Path) -> None:
    side = replace(_stage(tmp_path, "b", "fail"), beside=True)
    with pytest.raises(UserError, match="'b' stopped with exit status 1; it said: because of this"):
        run_stages([_stage(tmp_path, "a"), side, _stage(tmp_path, "c")], tmp_path, processes=2)
    assert not (tmp_path / "stages" / "b.json").exists()
