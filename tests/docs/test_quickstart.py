"""The quickstart runs from its first record to its last score, command by command, at a smoke size."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from medgrpo import cli
from medgrpo.data.records import read_records
from medgrpo.data.synthetic.writer import write_world
from medgrpo.demo.stages import base_model
from medgrpo.tasks import TASKS, get_task
from tests.docs.pages import ROOT, blocks, commands
from tests.integration.small import SMALL

PAGE = ROOT / "docs" / "quickstart.md"
OTHERS = {
    "baseline": ["--prompts-per-pair", "2", "--samples", "2", "--max-new-tokens", "8"],
    "evaluate --model": ["--max-new-tokens", "8"],
}


def test_the_record_that_is_shown_is_one(tmp_path: Path) -> None:
    [text] = [block.text for block in blocks(PAGE) if block.language == "json"]
    (tmp_path / "records.json").write_text(text)
    assert cli.main(["check", str(tmp_path / "records.json")]) == 0
    temporal, summary = read_records(tmp_path / "records.json")
    task = get_task("tal")
    parsed = task.parse(temporal.answer or "", temporal)
    assert parsed.status == "ok"
    assert task.score(parsed, temporal) == 1.0
    assert (summary.task, summary.video_id, summary.clip.end) == ("video_summary", "op17", 60.0)


def test_answers_that_are_shown_have_the_form_that_is_read() -> None:
    shown = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `") and line.count("|") == 3:
            names, answer = line.strip("| ").split(" | ", 1)
            shown |= dict.fromkeys(
                [name.strip("` ") for name in names.split(", ")], answer.split("`")[1::2][:1]
            )
    assert {name for name in shown if name in TASKS} == set(TASKS)
    for name in ("tal", "stg", "dense_captioning", "cvs_assessment"):
        [text] = shown[name]
        assert get_task(name).parse(text).status == "ok", name


@pytest.mark.timeout(600)
def test_every_command_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_world(tmp_path / "world", videos=12, seed=0, mp4=0, workers=1)
    shutil.move(tmp_path / "world" / "frames", tmp_path / "frames")
    shutil.move(tmp_path / "world" / "train.json", tmp_path / "records.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    ran = []
    for command in commands(PAGE):
        program, *words = command.words
        if program != "medgrpo":
            continue
        words = [word.replace("=MODEL", f"={base_model()}") for word in words]
        if words[0] == "fit":
            # The sizes of the demo come behind configs/trainer/gpu.yaml and win.
            words += next(extra for name, extra in SMALL.items() if name in words)
            words += ["--data.init_args.num_workers=0"]
        for name, extra in OTHERS.items():
            if name in " ".join(words):
                words += extra
        status = cli.main(words)
        assert status == 0, f"{words}\n{capsys.readouterr().err[-2000:]}"
        ran.append(words[0])
    assert ran == [
        *("check", "split", "sampling", "plan", "fit", "baseline", "fit"),
        *("evaluate", "evaluate", "evaluate", "compare", "report", "trust"),
    ]
    trained = json.loads(Path("runs/scores/grpo.json").read_text())
    assert trained["protocol"] == "strict"
    assert len(trained["per_record"]) == len(json.loads(Path("records.test.json").read_text()))
    for made in ("defects.json", "report.html", "runs/statistics.json", "runs/grpo/hf/config.json"):
        assert Path(made).stat().st_size > 0
    assert list(Path("runs/rollouts").rglob("*.parquet"))
