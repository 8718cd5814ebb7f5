"""The table of what a sampling policy does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medgrpo import cli


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert cli.main(["sampling", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_covers_half_a_second_to_three_hours(capsys: pytest.CaptureFixture[str]) -> None:
    told = table(capsys)
    rows = told["rows"]
    assert [rows[0]["seconds"], rows[-1]["seconds"]] == [0.5, 10800]
    for row in rows:
        assert row["frames"] % 2 == 0
        assert row["tokens"] <= told["sampling"]["max_tokens"]
        assert row["first"] == 0
        assert row["seconds"] * 0.85 - 0.1 < row["last"] < row["seconds"]
        assert abs(row["picture"][0] / row["picture"][1] / (854 / 480) - 1) < 0.02
        assert row["picture"][0] <= row["width"]
        assert row["picture"][1] <= row["height"]


def test_configs_and_options_set_the_policy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = table(capsys, "-c", "configs/sft.yaml", "-c", "configs/demo/sft.yaml", "--f-goal", "0.5")
    assert (told["sampling"]["max_tokens"], told["sampling"]["f_goal"]) == (64, 0.5)
    told = table(capsys, "--durations", "3", "--native-rate", "1", "--size", "100x300", "--factor", "32")
    assert [(row["seconds"], row["frames"]) for row in told["rows"]] == [(3.0, 4)]
    assert told["rows"][0]["padded"]
    assert cli.main(["sampling", "--durations", "3", "--native-rate", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:4] == ["3", "s", "1.000", "4"]
    assert printed[-1] == "an odd number of frames has its last one repeated"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--f-min", "9"], "need 0 < f_min <= f_goal <= f_max"),
        (["--size", "3"], "--size is WIDTHxHEIGHT"),
        (["--native-rate", "0"], "--native-rate must be between"),
        (["--durations", "-1"], "--durations must be positive"),
        (["-c", "nope.yaml"], "nope.yaml does not exist"),
        (["-c", "CONFIG:data: {init_args: {sampling: {fps: 3}}}"], "sampling has no constant 'fps'"),
        (["-c", "CONFIG:data: {init_args: {sampling: {f_goal: much}}}"], "a constant is not a number"),
        (["-c", "CONFIG:trainer: {max_steps: 3}"], "no data.init_args"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    given = []
    for argument in arguments:
        if argument.startswith("CONFIG:"):
            path.write_text("paths: {run: r}\n" + argument.removeprefix("CONFIG:"))
            argument = str(path)
        given.append(argument)
    assert cli.main(["sampling", *given]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
