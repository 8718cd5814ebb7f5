"""Stored answers and pairs, judged again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from medgrpo import cli
from medgrpo.rollout.rejudgements import read_rejudgements
from medgrpo.rollout.store import RolloutStore, find_shards
from medgrpo.types import Judgement
from tests.rollout.rollouts import make_rollout, make_sample
from tests.services.chat_server import Answer, serve

STORED = Judgement("old", "five@1", {"a": 4.0, "b": 2.0}, {})
ASK = """class_path: medgrpo.rewards.ChatJudge
init_args: {{model: m, base_url: "{url}", max_retries: 0, form: lines, rubric: medvidbench-best5@1}}
"""


def store(root: Path) -> str:
    for step in (0, 1):
        captions = [
            make_rollout(
                make_sample("video_summary", "AVOS"), f"The hook cuts {i}.", index=i, judgement=STORED
            )
            for i in range(3)
        ]
        RolloutStore(root, "r").write(step, [*captions, make_rollout(make_sample("tal", "AVOS"), "1-2 s")])
    return digest(root)


def digest(root: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in find_shards(root))).hexdigest()


def test_rollouts_are_judged_beside_what_was_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = store(tmp_path)
    for _ in range(2):
        assert cli.main(["judge", "--rollouts", str(tmp_path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        table = read_rejudgements(tmp_path, "r")
        assert (table.num_rows, told["judged"], told["failed"], told["compared"]) == (6, 6, 0, 6)
    assert told["stored_mean"] == 3.0
    row = table.to_pylist()[0]
    assert (row["run"], row["step"], row["sample_index"], row["task"]) == ("r", 0, 0, "video_summary")
    assert (row["judge_id"], row["judge"]["rubric"]) == (told["judge"], told["rubric"])
    (folder,) = (tmp_path / "rejudgements" / "run=r").iterdir()
    assert folder.name.startswith("judge=")
    assert folder.name.endswith(f"@{told['rubric']}")
    assert digest(tmp_path) == before


def test_failures_are_counted_and_are_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path)
    config = tmp_path / "judge.yaml"
    with serve(lambda request: Answer("", 500)) as server:
        config.write_text(ASK.format(url=server.base_url))
        assert cli.main(["judge", "--rollouts", str(tmp_path), "--judge", str(config), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["failed"], told["statuses"], told["mean"]) == (6, {"http": 6}, None)
    assert {row["judge"]["status"] for row in read_rejudgements(tmp_path).to_pylist()} == {"http"}


def test_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, out = tmp_path / "pairs.json", tmp_path / "out.json"
    same = {"reference": "The hook cuts the duct.", "candidate": "The hook cuts the duct."}
    pairs.write_text(json.dumps([same, {**same, "candidate": "A tool."}]))
    assert cli.main(["judge", "--pairs", str(pairs), "--out", str(out)]) == 0
    assert "failed               0" in capsys.readouterr().out
    first, second = json.loads(out.read_text())
    assert first["candidate"] == same["candidate"]
    means = [sum(d["score"] for d in row["judge"]["dimensions"]) for row in (first, second)]
    assert means[0] > means[1]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("[]", ["--out", "o"], "not empty"),
        ('[{"reference": "a"}]', ["--out", "o"], "row 0: candidate must be a text"),
        ("[]", [], "--pairs needs --out"),
    ],
)
def test_mistakes(
    content: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(content)
    assert cli.main(["judge", "--pairs", str(path), *options]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["judge", "--rollouts", str(tmp_path)]) == 2
    assert "no rollouts" in capsys.readouterr().err
