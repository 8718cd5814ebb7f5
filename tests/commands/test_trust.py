"""What a judge depends on, measured on stored answers made by hand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medgrpo import cli
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, answer_hash
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import ComponentScore, Judgement
from tests.rollout.rollouts import make_rollout, make_sample

HEAD = "run,step,group_id,sample_index,reviewer"


def store(root: Path) -> list[dict[str, Any]]:
    """Forty answers of a judge that likes words; the key and the judge's score of each."""
    generator = np.random.default_rng(0)
    rollouts, keys = [], []
    for index in range(40):
        words = index + 1
        score = float(np.clip(round(1 + words / 10 + generator.normal(0, 0.2)), 1, 5))
        similarity = ComponentScore(
            raw=float(generator.random()), normalised=0.5, weight=0.5, metric="similarity:mini@1"
        )
        judge = ComponentScore(raw=score, normalised=0.5, weight=0.5, metric="judge:m@1")
        qa_type = "video_summary_gpt" if index % 2 else "video_summary_gemini"
        sample = make_sample("video_summary", question=f"{index}?")
        object.__setattr__(sample, "qa_type", qa_type)
        object.__setattr__(sample, "video_id", f"v{index % 8}")
        rollouts.append(
            make_rollout(
                sample,
                "word " * words,
                group_id=f"g{index}",
                components={"similarity": similarity, "judge": judge},
                judgement=Judgement("m", "five@1", {"terms": score, "tools": score}, {}),
            )
        )
        keys.append({"run": "r", "step": 0, "group_id": f"g{index}", "sample_index": 0, "score": score})
    RolloutStore(root, "r").write(0, rollouts)
    return keys


def trust(root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert cli.main(["trust", "--rollouts", str(root), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_biases_and_quarrels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path)
    told = trust(tmp_path, capsys)
    assert told["answers"] == 40
    length = told["length"]["AVOS/video_summary"]
    assert length["correlation"] > 0.9
    assert length["partial"] > 0.9
    writers = {entry["writer"]: entry for entry in told["writers"]["video_summary"]}
    assert {name: entry["answers"] for name, entry in writers.items()} == {"gpt": 20, "gemini": 20}
    assert told["quarrels"]
    assert all(abs(quarrel["gap"]) > 0.5 for quarrel in told["quarrels"])
    assert told["agreement"] == {}
    assert cli.main(["trust", "--rollouts", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert "Length: does a longer answer score higher" in page
    assert "of 40 answers are ranked far apart" in page


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_agreement_with_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    keys = store(tmp_path)
    rows = []
    for reviewer, shift in (("ada", 0), ("bob", 1)):
        for key in keys:
            score = min(5, int(key["score"]) + shift)
            place = {name: key[name] for name in ("run", "step", "group_id", "sample_index")}
            # Bob leaves a dimension out now and then.
            tools = None if reviewer == "bob" and key["group_id"].endswith("3") else score
            rows.append({**place, "reviewer": reviewer, "terms": score, "tools": tools, "comment": "so"})
    path = tmp_path / f"verdicts.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    told = trust(tmp_path, capsys, "--verdicts", str(path))["agreement"]
    assert set(told) == {"terms", "tools", "mean"}
    terms = {entry["name"]: entry for entry in told["terms"]}
    assert terms["kappa judge - ada"]["value"] == pytest.approx(1.0)
    assert terms["kappa judge - bob"]["value"] < 0.9
    assert terms["alpha judge, ada, bob"]["items"] == 40
    tools = {entry["name"]: entry for entry in told["tools"]}
    assert tools["spearman judge - bob"]["items"] == 36


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", "", "verdicts are .sqlite, .csv, .jsonl or .parquet"),
        ("v.csv", "run,step\nr,0\n", "row 0: group_id, sample_index, reviewer missing"),
        (
            "v.csv",
            "run,step,group_id,sample_index,reviewer,terms\nr,0,g0,0,ada,6\n",
            "terms is '6', not a score",
        ),
        ("v.csv", f"{HEAD}\nr,x,g0,0,ada\n", "must be whole numbers"),
        ("v.csv", f"{HEAD},terms\nq,0,g0,0,ada,3\n", "no verdict is about"),
        ("v.jsonl", "[1]\n", "row 0: not a JSON object"),
        ("v.jsonl", "{\n", "cannot be read as verdicts"),
        ("v.parquet", "no", "cannot be read as verdicts"),
    ],
)
def test_wrong_verdicts_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    store(tmp_path)
    (tmp_path / name).write_text(content)
    assert cli.main(["trust", "--rollouts", str(tmp_path), "--verdicts", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_the_dashboards_store_is_read_and_the_judge_calibrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = store(tmp_path)
    verdicts = VerdictStore(tmp_path / "verdicts.sqlite")
    for index, key in enumerate(keys):
        content = answer_hash(f"{index}?", "The surgeon ties a knot.", "word " * (index + 1))
        given = {"terms": max(1.0, key["score"] - 1), "tools": 3.0}
        place = ("r", 0, key["group_id"], 0)
        # Of the first three nothing can be compared: another text was read, or the scores mean nothing.
        verdict = Verdict(place, "ada", given, rubric="five@1", content=content if index else "0" * 64)
        verdicts.add(replace(verdict, wrong_reference=index == 1, unjudgeable=index == 2))
    path, out = tmp_path / "verdicts.sqlite", tmp_path / "calibration.json"
    told = trust(tmp_path, capsys, "--verdicts", str(path), "--calibration", str(out))["agreement"]
    assert {entry["items"] for entry in told["terms"]} == {37}
    report = json.loads(out.read_text())
    assert (report["judge"], report["rubric"], report["reviewers"]) == ("m", "five@1", 1)
    config = tmp_path / "verdicts.yaml"
    config.write_text(f"paths: {{verdicts: '{path}'}}\n")
    again = tmp_path / "again.json"
    trust(tmp_path, capsys, "--config", str(config), "--calibration", str(again))
    assert json.loads(again.read_text()) == report
    terms = report["scores"]["terms"]
    assert terms["answers"] == 37
    assert terms["offset"] > 0.8
    assert terms["error_after"] < terms["error"]
    assert terms["clinicians"] == sorted(terms["clinicians"])


def test_verdicts_of_another_rubric_and_a_lone_calibration_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path)
    VerdictStore(tmp_path / "verdicts.sqlite").add(Verdict(("r", 0, "g0", 0), "ada", {}, rubric="other@1"))
    command = ["trust", "--rollouts", str(tmp_path)]
    assert cli.main([*command, "--verdicts", str(tmp_path / "verdicts.sqlite")]) == 2
    assert "by the rubric other@1, but the judge's is five@1" in capsys.readouterr().err
    assert cli.main([*command, "--calibration", str(tmp_path / "c.json")]) == 2
    assert "give their --verdicts" in capsys.readouterr().err


def test_nothing_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RolloutStore(tmp_path, "r").write(0, [make_rollout(make_sample())])
    assert cli.main(["trust", "--rollouts", str(tmp_path), "--run", "r"]) == 2
    assert "no judged answers in run r" in capsys.readouterr().err
