"""The evaluate command on files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medgrpo.commands import evaluate as command
from medgrpo.data.records import read_records
from medgrpo.errors import UserError
from medgrpo.evaluation import blind, runner
from medgrpo.types import Completion, Sample
from tests.tasks.samples import make_sample


def _record(row: int, qa_type: str, answer: str, video: str = "v1") -> dict[str, Any]:
    return {
        "id": f"{video}&&{row}&&9&&1.0",
        "qa_type": qa_type,
        "conversations": [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": answer}],
        "video": ["a.jpg", "b.jpg"],
        "sampled_video_frames": [0, 1],
        "metadata": {
            "fps": "1.0",
            "video_id": video,
            "input_video_start_frame": "0",
            "input_video_end_frame": "1",
        },
        "struc_info": [],
        "is_RC": False,
        "RC_info": None,
        "data_source": "AVOS",
    }


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., argparse.Namespace]:
    """Parsed arguments of the command on written files."""
    records = [_record(k, "next_action", label) for k, label in enumerate(("tying", "cutting", "suturing"))]
    (tmp_path / "records.json").write_text(json.dumps(records))

    def parse(predictions: Any = None, *extra: str) -> argparse.Namespace:
        arguments = [
            "--records",
            str(tmp_path / "records.json"),
            "--out",
            str(tmp_path / "out" / "scores.json"),
            *extra,
        ]
        if predictions is not None:
            text = predictions if isinstance(predictions, str) else json.dumps(predictions)
            (tmp_path / "predictions.json").write_text(text, encoding="utf-8")
            arguments += ["--predictions", str(tmp_path / "predictions.json")]
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return parser.parse_args(arguments)

    return parse


def _entries(*texts: str) -> list[dict[str, str]]:
    return [
        {"id": f"v1&&{k}&&9&&1.0", "qa_type": "next_action", "prediction": text}
        for k, text in enumerate(texts)
    ]


@pytest.mark.parametrize("protocol", ["official", "strict"])
def test_scores_a_predictions_file(
    protocol: str, files: Callable[..., argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    args = files(_entries("tying", "tying", "suturing"), "--protocol", protocol)
    assert command.run(args) == 0
    scores = json.loads(args.out.read_text())
    assert scores["protocol"] == protocol
    assert scores["per_record"] == [1.0, 0.0, 1.0]
    assert scores["board"]["NAP_acc"] == pytest.approx(2 / 3)
    assert scores["board"]["VS_llm"] is None
    assert "0.667" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (_entries("tying"), "1 predictions for 3 records"),
        (
            [*_entries("a", "b"), {"id": "v1&&2&&9&&1.0", "qa_type": "next_action"}],
            'row 2: field "prediction" is missing',
        ),
        ([*_entries("a", "b"), None], "row 2: .*got null"),
        ({"a": 1}, "expected a JSON list of predictions, got dict"),
        ("[{", "not valid JSON"),
    ],
)
def test_mistakes_name_file_and_row(
    predictions: Any, message: str, files: Callable[..., argparse.Namespace]
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        command.run(files(predictions))
    assert "predictions.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_mistake(files: Callable[..., argparse.Namespace]) -> None:
    assert command.run(files("\ufeff" + json.dumps(_entries("tying", "cutting", "suturing")))) == 0


def test_missing_files(files: Callable[..., argparse.Namespace], tmp_path: Path) -> None:
    args = files(_entries("a", "b", "c"))
    args.predictions = tmp_path / "none.json"
    with pytest.raises(UserError, match=r"none\.json: cannot be read"):
        command.run(args)
    args = files(_entries("a", "b", "c"))
    args.records = tmp_path / "no_records.json"
    with pytest.raises(UserError, match=r"no_records\.json"):
        command.run(args)


@pytest.mark.parametrize("option", ["--shuffle-videos", "--temperature=1.0", "--save-predictions=x.json"])
def test_options_of_a_model_need_one(option: str, files: Callable[..., argparse.Namespace]) -> None:
    with pytest.raises(UserError, match="need --model"):
        command.run(files(_entries("a", "b", "c"), option))


def test_a_model_answers_no_defective_records(files: Callable[..., argparse.Namespace]) -> None:
    args = files(None, "--model", "m", "--on-error", "quarantine")
    args.records.write_text(json.dumps([_record(0, "guess", "tying")]))
    with pytest.raises(UserError, match=r"records\.json: row 0: field 'qa_type'"):
        command.run(args)


def test_a_model_answers_first(
    files: Callable[..., argparse.Namespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def complete(model_dir: Path, samples: list[Sample], **options: Any) -> list[list[Completion]]:
        asked.update(options, model=model_dir, samples=samples)
        texts = [["tying", s.answer or ""][: options["n"]] for s in samples]
        return [[Completion(t, (), (), "stop" if t == "tying" else "length") for t in pair] for pair in texts]

    monkeypatch.setattr(runner, "complete", complete)
    monkeypatch.setattr(blind, "shuffle_videos", lambda samples, seed: samples[::-1][::-1])
    saved = tmp_path / "made" / "p.json"
    options = ("--model", "m", "--shuffle-videos", "--samples", "2", "--save-predictions", str(saved))
    args = files(None, *options, "--protocol", "strict")
    assert command.run(args) == 0
    assert len(asked["samples"]) == 3
    scores = json.loads(args.out.read_text())
    assert scores["per_record"] == [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    assert scores["by_task"]["next_action"]["truncated"] == pytest.approx(1 / 3)
    again = files(json.loads(saved.read_text()), "--samples", "2", "--protocol", "strict")
    assert command.run(again) == 0
    assert json.loads(again.out.read_text())["per_record"] == [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]


def test_rows_are_chosen_by_key_alone() -> None:
    samples = [make_sample(q, "x", video=f"v{k}", row=k) for k in range(20) for q in ("tal", "stg")]
    chosen = command.select_rows(samples, 5)
    assert len(chosen) == 10
    assert [s.row for s in chosen] == sorted(s.row for s in chosen)
    assert {s.key for s in command.select_rows(samples[::-1], 5)} == {s.key for s in chosen}
    assert {s.key for s in command.select_rows(samples, 3)} < {s.key for s in chosen}
    assert command.select_rows(samples, None) == samples


def test_predictions_with_keys_may_come_in_any_order(
    files: Callable[..., argparse.Namespace], tmp_path: Path
) -> None:
    args = files(_entries("tying", "cutting", "suturing"))
    keys = [sample.key for sample in read_records(args.records)]
    entries = [e | {"key": k} for e, k in zip(_entries("tying", "cutting", "tying"), keys, strict=True)]
    assert command.run(files(entries[::-1])) == 0
    assert json.loads(args.out.read_text())["per_record"] == [1.0, 1.0, 0.0]
    with pytest.raises(UserError, match=r'predictions row 3: field "key" a second prediction'):
        command.run(files([*entries, entries[0]]))
    with pytest.raises(UserError, match="records row 1: no prediction for"):
        command.run(files([entries[0], entries[2]]))


BROKEN = [
    ([*_entries("a", "b"), {"id": "v1&&2&&9&&1.0"}], "predictions", 2, "prediction"),
    ([*_entries("a", "b"), 7], "predictions", 2, ""),
    ([*_entries("a", "b"), {"prediction": "c", "qa_type": "tal"}], "predictions", 2, "qa_type"),
    ([*_entries("a", "b"), {"prediction": "c", "id": "v9"}], "predictions", 2, "id"),
    ([*_entries("a", "b"), {"prediction": ["c"]}], "predictions", 2, "prediction"),
]


@pytest.mark.parametrize("protocol", ["official", "strict"])
@pytest.mark.parametrize(("predictions", "file", "row", "field"), BROKEN)
def test_defects_are_set_aside_and_counted(
    predictions: Any,
    file: str,
    row: int,
    field: str,
    protocol: str,
    files: Callable[..., argparse.Namespace],
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = files(predictions, "--protocol", protocol, "--on-error", "quarantine", "--json")
    assert command.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["counts"]["records"] == 2
    assert printed["counts"]["quarantined"][file] == 1
    aside = Path(printed["counts"]["quarantined"]["file"]).read_text()
    (entry,) = [json.loads(line) for line in aside.splitlines()]
    assert (entry["file"], entry["row"], entry["field"]) == (file, row, field)
    assert entry["content"] == predictions[2]


@pytest.mark.parametrize(
    ("protocol", "change", "field"),
    [
        ("official", {"qa_type": "tal_x"}, "qa_type"),
        ("strict", {"qa_type": "tal_x"}, "qa_type"),
        ("strict", {"metadata": {"fps": "fast"}}, "metadata.fps"),
        ("strict", {"conversations": []}, "conversations"),
        ("strict", {"conversations": [{"from": "human", "value": "What?"}]}, "struc_info"),
        ("official", None, ""),
        ("strict", None, ""),
    ],
)
def test_defective_records_stop_or_are_set_aside(
    protocol: str, change: dict[str, Any] | None, field: str, files: Callable[..., argparse.Namespace]
) -> None:
    args = files([{"prediction": t} for t in ("tying", "b", "suturing")], "--protocol", protocol)
    rows = json.loads(args.records.read_text())
    rows[1] = "no record" if change is None else rows[1] | change
    args.records.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=rf"row 1.*{field}"):
        command.run(args)
    args.on_error = "quarantine"
    assert command.run(args) == 0
    scores = json.loads(args.out.read_text())
    assert scores["per_record"] == [1.0, 1.0]
    assert scores["counts"]["quarantined"]["records"] == 1


def test_a_broken_line_is_set_aside(files: Callable[..., argparse.Namespace], tmp_path: Path) -> None:
    args = files([], "--on-error", "quarantine")
    lines = [json.dumps(entry) for entry in _entries("tying", "cutting", "suturing")]
    args.predictions = tmp_path / "p.jsonl"
    args.predictions.write_text("\n".join([lines[0], lines[1][:20], lines[2]]))
    assert command.run(args) == 0
    assert json.loads(args.out.read_text())["per_record"] == [1.0, 1.0]
    args.on_error = "stop"
    with pytest.raises(UserError, match=r"p\.jsonl: not valid JSON at line 2"):
        command.run(args)


def test_a_truncated_file_says_so(files: Callable[..., argparse.Namespace]) -> None:
    whole = json.dumps(_entries("tying", "cutting", "suturing"))
    with pytest.raises(UserError, match=r"line 1, column \d+.*is it complete"):
        command.run(files(whole[:-20]))


def test_fewer_rows_take_the_matching_predictions(files: Callable[..., argparse.Namespace]) -> None:
    for protocol in ("official", "strict"):
        with pytest.raises(UserError, match="3 predictions for 2 records"):
            command.run(files(_entries("a", "b", "c"), "--rows-per-pair", "2", "--protocol", protocol))
