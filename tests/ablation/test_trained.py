"""The trained rows: one checkpoint and one statistics file a seed, and the whole command at a smoke size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medgrpo import cli
from medgrpo.ablation.trained import read_plan, trained_nodes
from medgrpo.ablation.trained.plan import BASE
from medgrpo.compose import config_folder
from medgrpo.errors import UserError
from tests import forks

PLAN = config_folder() / "ablation" / "trained.yaml"


def _option(arguments: tuple[str, ...], name: str) -> str:
    return next(one.partition("=")[2] for one in arguments if one.startswith(f"--{name}="))


def test_all_rows_of_a_seed_start_from_one_checkpoint_and_one_statistics_file(tmp_path: Path) -> None:
    plan = read_plan(PLAN)
    seeds = {seed: trained_nodes(plan, tmp_path, seed) for seed in (0, 1)}
    starts = {}
    for seed, nodes in seeds.items():
        fits = [
            node.stage.arguments for node in nodes if "--paths.statistics" in " ".join(node.stage.arguments)
        ]
        assert len(fits) == len(plan.arms)
        assert {_option(arguments, "seed_everything") for arguments in fits} == {str(seed)}
        (starts[seed],) = {
            (_option(arguments, "paths.model"), _option(arguments, "paths.statistics")) for arguments in fits
        }
    assert starts[0] != starts[1]
    names = [node.stage.name for nodes in seeds.values() for node in nodes]
    assert len(set(names)) == len(names)
    for nodes in seeds.values():
        known: set[str] = set()
        for node in nodes:
            assert set(node.after) <= known, node.stage.name
            known.add(node.stage.name)


def test_rows_differ_from_the_reference_by_their_overlays_alone(tmp_path: Path) -> None:
    plan = read_plan(PLAN)
    files = {
        node.stage.title: [one for one in node.stage.arguments if one.endswith(".yaml")]
        for node in trained_nodes(plan, tmp_path, 0)
        if "GRPO" in node.stage.title
    }
    base = [str(config_folder() / name) for name in BASE]
    for arm, overlays in plan.arms.items():
        assert files[f"seed 0: GRPO, {arm}"] == [*base, *(str(config_folder() / name) for name in overlays)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("arms: {A: []}\nreference: B\n", "no arm 'B'"),
        ("arms: {A: [ablation/nowhere.yaml]}\nreference: A\n", "nowhere.yaml"),
        ("rounds: many\n", "rounds"),
        ("round: 3\n", "round"),
    ],
)
def test_a_wrong_plan_is_told_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=named):
        read_plan(path)


@pytest.mark.parametrize(
    "wrong", [("--processes", "-1"), ("--processes", "0"), ("--seeds", "0"), ("--groups", "0")]
)
def test_numbers_that_make_no_sense_are_refused_before_anything_runs(
    tmp_path: Path, wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ablation"
    assert cli.main(["ablate", "--out", str(out), *wrong]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert wrong[0] in line
    assert not out.exists()


@pytest.mark.slow
def test_the_command_trains_compares_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "ablation"
    command = ["ablate", "--out", str(out), "--seeds", "1", "--parts", "trained", "controlled", "judges"]
    smoke = ["--trained", str(config_folder() / "ablation" / "trained_smoke.yaml"), "--groups", "2000"]
    (first,) = forks.run_medgrpo(*command, *smoke)
    assert first.returncode == 0, first.stderr[-2000:]
    files = {name: (out / name).read_bytes() for name in ("report.md", "trained.json", "controlled.json")}
    results = json.loads(files["trained.json"])
    assert list(results["sets"]) == ["blind", "SFT", "A full", "E captions without judge"]
    stored = next((out / "seed0" / "rollouts").rglob("*.parquet"))
    assert stored.is_file()
    judged = results["training"]["E captions without judge"]["gradient_share"]
    assert judged
    assert "Not asked: gpt-4.1" in files["report.md"].decode()
    (second,) = forks.run_medgrpo(*command, *smoke)
    assert second.returncode == 0, second.stderr[-2000:]
    assert {name: (out / name).read_bytes() for name in files} == files
    assert all(stage["reused"] for stage in json.loads((out / "times.json").read_text()))
