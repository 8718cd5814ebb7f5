"""A model behind a server as a baseline: what it is shown, what is paid for once, what leaves the machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo.cli import main
from medgrpo.commands.model_option import api_model
from medgrpo.compose import config_folder
from medgrpo.data.records import read_records
from medgrpo.data.synthetic.writer import write_world
from medgrpo.evaluation.format_examples import example_answer
from medgrpo.tasks import TASKS
from tests.data.build.caption_server import content_of, pictures_of
from tests.services.chat_server import Answer, ChatServer, serve


@dataclass
class World:
    """Records with one question each, and a server that knows the answers."""

    records: Path
    answers: dict[str, str]
    server: ChatServer

    def knows(self, request: dict[str, Any]) -> Answer:
        return Answer(self.answers[content_of(request)])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, videos=24, seed=0)
    rows = json.loads((folder / "train.json").read_text())
    asked = [sample.question for sample in read_records(folder / "train.json")]
    often = Counter(asked)
    kept = [(row, question) for row, question in zip(rows, asked, strict=True) if often[question] == 1][:40]
    records = folder / "few.json"
    records.write_text(json.dumps([row for row, _ in kept]))
    answers = {question: row["conversations"][1]["value"] for row, question in kept}
    with serve(lambda request: made.knows(request)) as server:
        made = World(records, answers, server)
        yield made


def config(world: World, folder: Path, **changes: Any) -> Path:
    arguments = {
        "model": "viewer",
        "base_url": world.server.base_url,
        "cache": str(folder / "replies.sqlite"),
        "format_example": False,
        "max_retries": 0,
        "backoff_s": 0.01,
    }
    path = folder / "viewer.yaml"
    content = {"class_path": "medgrpo.evaluation.api_model.ApiModel", "init_args": arguments | changes}
    path.write_text(yaml.safe_dump(content))
    return path


def evaluated(world: World, model: Path, out: Path, *options: str) -> int:
    command = ["evaluate", "--model", str(model), "--records", str(world.records), "--out", str(out)]
    return main([*command, "--protocol", "strict", *options])


def test_perfect_answers_score_perfectly_and_are_asked_for_once(world: World, tmp_path: Path) -> None:
    before = len(world.server.requests)
    model, out = config(world, tmp_path), tmp_path / "scores.json"
    assert evaluated(world, model, out) == 0
    asked = world.server.requests[before:]
    assert sorted(content_of(request) for request in asked) == sorted(world.answers)
    for request in asked:
        parts = request["messages"][0]["content"]
        times = [
            float(part["text"].removesuffix(" seconds:")) for part in parts[:-1] if part["type"] == "text"
        ]
        assert 2 <= len(times) == len(pictures_of(request)) <= 16
        assert times == sorted(times)
        assert request["max_tokens"] > 0
    board = json.loads(out.read_text())["by_task"]
    structured = [name for name in board if TASKS[name].metric is not None and name != "dense_captioning"]
    assert len(structured) >= 2
    assert all(board[name]["score"] == 1.0 == board[name]["valid"] for name in structured)
    assert evaluated(world, model, out) == 0
    assert len(world.server.requests) == before + len(asked)


def test_answers_that_did_not_come_are_told_and_asked_for_again(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = config(world, tmp_path), tmp_path / "scores.json"
    failing = sorted(world.answers)[:3]
    knows = world.server.answer
    world.server.answer = lambda request: (
        Answer(status=500) if content_of(request) in failing else world.knows(request)
    )
    try:
        assert evaluated(world, model, out) == 2
    finally:
        world.server.answer = knows
    assert f"3 of {len(world.answers)} questions have no answer (3 http)" in capsys.readouterr().err
    assert not out.exists()
    before = len(world.server.requests)
    assert evaluated(world, model, out) == 0
    assert sorted(content_of(request) for request in world.server.requests[before:]) == failing


def test_refusals_can_be_set_aside_and_are_counted(world: World, tmp_path: Path) -> None:
    model, out = config(world, tmp_path), tmp_path / "scores.json"
    refused = sorted(world.answers)[0]
    knows = world.server.answer
    world.server.answer = lambda request: (
        Answer(refusal="I do not look at patients.")
        if content_of(request) == refused
        else world.knows(request)
    )
    try:
        assert evaluated(world, model, out, "--on-error", "quarantine") == 0
    finally:
        world.server.answer = knows
    told = json.loads(out.read_text())["counts"]
    assert told["records"] == len(world.answers) - 1
    assert told["quarantined"]["records"] == 1
    (line,) = (tmp_path / "scores.quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["field"] == "answer"
    assert "patients" in line


def test_nothing_leaves_unless_the_file_says_so_and_a_key_is_nowhere(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    remote = config(world, tmp_path, base_url="https://api.example.org/v1")
    assert evaluated(world, remote, tmp_path / "scores.json") == 2
    assert "allow_remote: true" in capfd.readouterr().err
    keyed = config(world, tmp_path, api_key_env="VIEWER_KEY")
    assert evaluated(world, keyed, tmp_path / "scores.json") == 2
    assert "VIEWER_KEY" in capfd.readouterr().err
    assert "leave this machine" not in caplog.text
    monkeypatch.setenv("VIEWER_KEY", "sk-very-secret-0123456789")
    assert evaluated(world, keyed, tmp_path / "scores.json") == 0
    assert world.server.headers[-1]["authorization"] == "Bearer sk-very-secret-0123456789"
    printed = capfd.readouterr()
    assert "very-secret" not in printed.out + printed.err + caplog.text
    assert not any(b"very-secret" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.parametrize("task", TASKS)
def test_an_example_has_exactly_the_form_of_an_answer(task: str) -> None:
    parsed = TASKS[task].parse(example_answer(task))
    assert parsed.valid
    assert TASKS[task].write(parsed.value) == example_answer(task)


def test_a_question_ends_with_the_example(world: World, tmp_path: Path) -> None:
    model = api_model(config(world, tmp_path, format_example=True))
    sample = next(one for one in read_records(world.records) if one.task == "stg")
    text = model._prompt(sample).text
    assert text.startswith(sample.question)
    assert text.endswith(example_answer("stg"))
    assert sample.canvas is None or f"{sample.canvas.width}x{sample.canvas.height}" in text


@pytest.mark.parametrize(
    "path", sorted((config_folder() / "baseline").glob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_baselines_are_built(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASELINE_MODEL", "BASELINE_URL"):
        monkeypatch.delenv(name, raising=False)
    model = api_model(path)
    assert model.remote == ("allow_remote: true" in path.read_text())
    assert not model.remote or model.limits.price(model.name) is not None


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"frames": 1}, "frames must be at least 2"), ({"frame": 4}, "frame"), ({"quality": "high"}, "quality")],
)
def test_a_wrong_file_is_one_line(
    world: World,
    tmp_path: Path,
    changes: dict[str, Any],
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluated(world, config(world, tmp_path, **changes), tmp_path / "scores.json") == 2
    told = capsys.readouterr().err
    assert named in told
    assert "viewer.yaml" in told
    assert "Traceback" not in told
