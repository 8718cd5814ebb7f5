"""What --judge accepts, what it says to mistakes, and the judge columns end to end through a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo import cli
from medgrpo.commands.judge_option import judge_option
from medgrpo.errors import UserError
from medgrpo.evaluation.official import CaptionPair
from medgrpo.rewards import LexiconJudge
from tests.evaluation.golden import TOLERANCE, golden, stub_judge
from tests.services.chat_server import Answer, ChatServer, item_of, serve

CASE = next(case for case in golden()["pooled"] if case["note"] == "all eight tasks mixed")
COLUMNS = ("DVC_llm", "VS_llm", "RC_llm")


def written(folder: Path, node: Any) -> str:
    path = folder / "judge.yaml"
    path.write_text(node if isinstance(node, str) else yaml.safe_dump(node))
    return str(path)


def chat(server: ChatServer | None = None, **arguments: Any) -> dict[str, Any]:
    given = {
        "model": "stub",
        "base_url": server.base_url if server else "http://localhost:1/v1",
        "rubric": "medvidbench-best5@1",
        "form": "lines",
        "gates": None,
        "max_retries": 0,
        "reasks": 1,
        "timeout_s": 10.0,
    }
    return {"class_path": "medgrpo.rewards.ChatJudge", "init_args": {**given, **arguments}}


def stub(request: dict[str, Any]) -> str:
    """The numbers of the golden file's stub judge, from what the prompt says."""
    item = item_of(request)
    (scores,) = stub_judge([CaptionPair("", item["reference"], item["candidate"], "", "")])
    return "no score" if scores is None else "\n".join(f"{name}: {s:g}" for name, s in scores.items())


def evaluated(folder: Path, case: dict[str, Any], *extra: str) -> tuple[int, Path]:
    """Run the command on the records and predictions of a golden case."""
    (folder / "records.json").write_text(json.dumps(case["records"]))
    entries = [
        {"id": record["id"], "qa_type": record["qa_type"], "prediction": text}
        for record, text in zip(case["records"], case["predictions"], strict=True)
    ]
    (folder / "predictions.json").write_text(json.dumps(entries))
    out = folder / "scores.json"
    files = [f"--records={folder}/records.json", f"--predictions={folder}/predictions.json", f"--out={out}"]
    return cli.main(["evaluate", *files, *extra]), out


def test_the_judge_columns_equal_the_leaderboards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(stub) as server:
        path = written(tmp_path, chat(server))
        status, out = evaluated(tmp_path, CASE, "--protocol=official", f"--judge={path}")
    assert status == 0, capsys.readouterr().err
    scores = json.loads(out.read_text())
    for column in COLUMNS:
        assert abs(scores["board"][column] - CASE["expected"]["board_stub_judge"][column]) <= TOLERANCE, (
            column
        )
    counts = scores["counts"]
    items = {tuple(item_of(request).items()) for request in server.requests}
    failing = {item for item in items if "<<FAIL>>" in dict(item)["candidate"]}
    assert len(server.requests) == len(items) + len(failing)  # each once, the unreadable twice
    assert counts["judge_failed"] == len(failing)
    assert counts["judged"] >= len(items)
    assert counts["rubric"] == "medvidbench-best5@1"
    assert counts["judge"].startswith("stub/lines/")


def captions(*texts: str) -> dict[str, Any]:
    """A case of three-row size out of the golden one."""
    rows = [r for r in CASE["records"] if "region_caption" in r["qa_type"]][: len(texts)]
    return {"records": rows, "predictions": list(texts)}


def test_failed_calls_are_left_out_and_counted_officially_and_stop_strict_scoring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = captions("the hook cuts", "<<FAIL>> the knife", "the hook")
    with serve(lambda r: "?" if "FAIL" in item_of(r)["candidate"] else _all(4)) as server:
        path = written(tmp_path, chat(server))
        status, out = evaluated(tmp_path, case, f"--judge={path}")
        scores = json.loads(out.read_text())
        assert (status, scores["board"]["RC_llm"]) == (0, 4.0)
        assert (scores["counts"]["judged"], scores["counts"]["judge_failed"]) == (3, 1)
        assert scores["per_record"] == [4.0, None, 4.0]
        assert "no score for 1 of 3 pairs" in capsys.readouterr().out
        status, _ = evaluated(tmp_path, case, f"--judge={path}", "--protocol=strict")
    error = capsys.readouterr().err
    assert status == 2
    assert "row 1" in error
    assert "judge gave no score" in error


def test_a_wrong_key_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-123")
    with serve(lambda r: Answer("bad key sk-secret-123", 401)) as server:
        path = written(tmp_path, chat(server, api_key_env="JUDGE_KEY"))
        status, out = evaluated(tmp_path, captions("a", "b"), f"--judge={path}")
    captured = capsys.readouterr()
    assert (status, captured.err.count("\n"), out.exists()) == (2, 1, False)
    assert "refuses stub: " in captured.err
    assert "sk-secret-123" not in captured.out + captured.err


def _all(score: int) -> str:
    return "\n".join(f"{name}: {score}" for name in ("R2", "R3", "R8", "R5", "R4"))


def test_names_and_files(tmp_path: Path) -> None:
    assert judge_option(None) is None
    assert isinstance(judge_option("lexicon"), LexiconJudge)
    assert isinstance(judge_option("configs/judge/lexicon.yaml"), LexiconJudge)
    assert judge_option(written(tmp_path, chat())).model == "stub"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("a: [", "judge.yaml"),
        ("[]", "judge.yaml"),
        ({"init_args": {}}, "class_path"),
        ({"class_path": "medgrpo.rewards.NoJudge"}, "NoJudge"),
        ({"class_path": "medgrpo.rewards.JudgeReward", "init_args": {"tasks": {}}}, "Judge"),
        ({**chat(), "model": 1}, "top level"),
        (chat(tone="kind"), "tone"),
        (chat(timeout_s="soon"), "expected float"),
        (chat(form="xml"), "form"),
        (chat(base_url="http://example.com/v1"), "allow_remote"),
        (chat(api_key_env="NO_SUCH_KEY_HERE"), "NO_SUCH_KEY_HERE is not set"),
        (chat(model="${oc.env:NO_SUCH_MODEL_HERE}"), "NO_SUCH_MODEL_HERE"),
    ],
)
def test_mistakes_in_a_file_are_named(node: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        judge_option(written(tmp_path, node))


@pytest.mark.parametrize("name", ["gpt", "none.yaml", "configs/judge/none.yaml"])
def test_unknown_judges(name: str) -> None:
    with pytest.raises(UserError, match=name):
        judge_option(name)
