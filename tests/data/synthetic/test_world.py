"""The files of the world: formats, splits, determinism."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medgrpo.commands import synthesize
from medgrpo.data.records import read_records
from medgrpo.data.splits import canonical_video_id
from medgrpo.data.synthetic import SOURCES
from medgrpo.data.synthetic.videos import CLIPS_PER_VIDEO, SPLITS, clip_rows, split_of, video_clips
from medgrpo.data.synthetic.writer import MP4_RATE, write_world
from medgrpo.errors import UserError
from medgrpo.tasks import get_task

VIDEOS = 24
NUMBER = r"\d+\.\d{1,2}"
ANSWERS = {
    "tal": r"\d+\.\d-\d+\.\d(, \d+\.\d-\d+\.\d)* seconds\.",
    "stg": rf"(\d+\.\d seconds: \[{NUMBER}(, {NUMBER}){{3}}\] ?)+(?<! )",
    "dense_captioning": r"(\d+\.\d-\d+\.\d seconds: [a-z]+: [a-z ]+\.\n?)+(?<!\n)",
    "next_action": r"[A-Za-z ]+",
    "video_summary": r"[A-Z][a-z ,;]+\.",
    "region_caption": r"The [a-z ]+\.",
    "skill_assessment": r"Respect for tissue: [1-5]/5, Suture/needle handling: [1-5]/5, "
    r"Time and motion: [1-5]/5, Flow of operation: [1-5]/5, "
    r"Overall performance: [1-5]/5, Quality of final product: [1-5]/5",
    "cvs_assessment": r"Two structures: [0-2], Cystic plate: [0-2], Hepatocystic triangle: [0-2]",
}
QA_TYPES = {
    "tal",
    "stg",
    "next_action",
    "skill_assessment",
    "cvs_assessment",
    *(
        f"{task}_{w}"
        for task in ("dense_captioning", "video_summary", "region_caption")
        for w in ("gpt", "gemini")
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "world"
    write_world(out, videos=VIDEOS, seed=3, mp4=6, workers=1)
    return out


@pytest.fixture(scope="module")
def rows(world: Path) -> dict[str, list[dict[str, Any]]]:
    return {split: json.loads((world / f"{split}.json").read_text()) for split in SPLITS}


def everything(rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return list(itertools.chain.from_iterable(rows.values()))


def digest(root: Path) -> dict[str, str]:
    """Hash by relative path."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "again", videos=VIDEOS, seed=3, mp4=6, workers=2)
    assert digest(tmp_path / "again") == digest(world)


def test_every_task_and_source_occurs(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert {row["qa_type"] for row in everything(rows)} == QA_TYPES
    for split in SPLITS:
        pairs = {(row["dataset_name"], get_task(row["qa_type"]).name) for row in rows[split]}
        assert pairs == {(name, task) for name, spec in SOURCES.items() for task in spec.tasks}


def test_rows_have_the_published_form(world: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in everything(rows):
        spec = SOURCES[row["dataset_name"]]
        human, gpt = row["conversations"]
        assert (human["from"], gpt["from"]) == ("human", "gpt")
        assert human["value"].startswith("<video>\nYou are an expert in ")
        assert len(human["value"].split()) <= 60
        assert re.fullmatch(ANSWERS[get_task(row["qa_type"]).name], gpt["value"]), gpt["value"]
        assert all(isinstance(v, str) for v in row["metadata"].values())
        video_id, start, end, fps = row["id"].split("&&")
        assert (video_id, fps) == (row["metadata"]["video_id"], row["metadata"]["fps"])
        prefix = {"input_frame": "input_video_{}_frame", "frame": "{}_frame", "time": "input_video_{}_time"}
        assert row["metadata"][prefix[spec.extent].format("start")] == start
        assert row["metadata"][prefix[spec.extent].format("end")] == end
        assert len(row["video"]) == len(row["sampled_video_frames"])
        assert all(v.startswith(f"frames/{spec.container}/{video_id}/") for v in row["video"])
        assert row["data_source"] == row["dataset_name"]
        assert row["is_RC"] == (row["RC_info"] is not None) == row["qa_type"].startswith("region_caption")
        if row["is_RC"]:
            assert row["RC_info"]["start_frame"] in row["video"]
            assert not re.search(r"\[\d", human["value"])
    paths = {path for row in everything(rows) for path in row["video"]}
    assert paths == {str(p.relative_to(world)) for p in (world / "frames").rglob("*.jpg")}
    for name, spec in SOURCES.items():
        row = next(row for row in rows["train"] if row["dataset_name"] == name)
        assert Image.open(world / row["video"][0]).size == (spec.width, spec.height)


@pytest.mark.parametrize("split", SPLITS)
def test_the_tasks_read_answer_and_truth_alike(world: Path, split: str) -> None:
    samples = read_records(world / f"{split}.json")
    for sample in samples:
        task = get_task(sample.qa_type)
        assert sample.answer is not None
        parsed = task.parse(sample.answer, sample)
        assert parsed.status in ("ok", "free_text"), (sample.answer, parsed)
        assert task.write(task.truth(sample)) == sample.answer
        if task.metric is not None:
            assert task.score(parsed, sample) == 1.0
    assert len({s.key for s in samples}) == len(samples)


def test_times_and_boxes_lie_in_the_clip(world: Path) -> None:
    for sample in itertools.chain.from_iterable(read_records(world / f"{s}.json") for s in SPLITS):
        spec = SOURCES[sample.dataset]
        length = len(sample.clip.frames) / spec.fps
        assert sample.clip.times == tuple(np.arange(len(sample.clip.frames)) / spec.fps)
        if sample.task == "tal":
            spans = sample.truth[0]["spans"]
            assert all(0 <= s["start"] < s["end"] <= length for s in spans)
        if sample.task == "stg":
            width, height = spec.box_canvas
            boxes = sample.truth[0]["bbox_dict"]
            assert 2 <= len(boxes) <= 4
            for time, (x1, y1, x2, y2) in boxes.items():
                assert float(time) in sample.clip.times
                assert 0 <= x1 < x2 <= width
                assert 0 <= y1 < y2 <= height


def test_cholectrack_boxes_are_on_the_published_canvas(rows: dict[str, list[dict[str, Any]]]) -> None:
    far = [
        box[2]
        for row in everything(rows)
        if (row["dataset_name"], row["qa_type"]) == ("CholecTrack20", "stg")
        for box in row["struc_info"][0]["bbox_dict"].values()
    ]
    assert 224 < max(far) <= 854


def test_no_operation_is_in_two_splits(rows: dict[str, list[dict[str, Any]]]) -> None:
    homes: dict[str, set[str]] = defaultdict(set)
    for split, of_split in rows.items():
        for row in of_split:
            homes[canonical_video_id(row["metadata"]["video_id"], row["dataset_name"])].add(split)
    assert len(homes) == VIDEOS
    assert all(len(splits) == 1 for splits in homes.values())


def test_the_default_world_has_enough_test_rows_of_every_pair() -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    clips = 0
    for index in range(720):
        for plan in video_clips(index, seed=0):
            clips += 1
            if plan.split == "test" and plan.part == 0:
                for row in clip_rows(plan, plan.scene()):
                    pairs[plan.source, get_task(row["qa_type"]).name] += CLIPS_PER_VIDEO
    assert 3000 <= clips <= 4000
    assert set(pairs) == {(name, task) for name, spec in SOURCES.items() for task in spec.tasks}
    assert min(pairs.values()) >= 150


def test_a_larger_world_keeps_every_video_where_it_was() -> None:
    assert [video_clips(k, 1) for k in range(12)] == [video_clips(k, 1) for k in range(48)][:12]
    assert {split_of(n) for n in range(4)} == set(SPLITS)


def test_the_next_step_of_a_nursing_procedure_is_always_the_same() -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    others = set()
    for index in range(120):
        plan = video_clips(index, 0)[0]
        for row in clip_rows(plan, plan.scene()):
            if row["qa_type"] == "next_action":
                asked, answer = (turn["value"] for turn in row["conversations"])
                if plan.source == "NurViD":
                    answers[asked.split("The procedure is ")[1].split(".")[0]].add(answer)
                else:
                    others.add((plan.source, answer))
    assert len(answers) == 4
    assert all(len(found) == 1 for found in answers.values())
    assert len(others) >= 8


def test_labels_are_the_scorer_s(rows: dict[str, list[dict[str, Any]]]) -> None:
    from medgrpo.tasks.next_action import inventory

    lists = inventory()
    allowed = {
        "CoPESD": set(lists["CoPESD"]),
        "NurViD": set(itertools.chain.from_iterable(lists["NurViD_by_procedure_in_match_order"].values())),
    }
    for row in everything(rows):
        if row["qa_type"] == "next_action" and row["dataset_name"] in allowed:
            assert row["conversations"][1]["value"] in allowed[row["dataset_name"]]


def test_the_vocabulary_is_small() -> None:
    words: set[str] = set()
    numbers: set[str] = set()
    for index in range(240):
        plan = video_clips(index, 0)[index % CLIPS_PER_VIDEO]
        for row in clip_rows(plan, plan.scene()):
            for turn in row["conversations"]:
                words.update(re.findall(r"[a-z]+", turn["value"].lower()))
                numbers.update(re.findall(r"\d+(?:\.\d+)?", turn["value"]))
    assert len(words) < 300
    assert len(numbers) < 250


def test_video_files_show_the_listed_frames_at_their_times(world: Path) -> None:
    import av

    of_clip = {row["id"] + row["dataset_name"]: row for row in json.loads((world / "test.json").read_text())}
    rows = json.loads((world / "test_mp4.json").read_text())
    assert {row["dataset_name"] for row in rows} == set(SOURCES)
    for row in {row["video"]: row for row in rows}.values():
        listed = of_clip[row["id"] + row["dataset_name"]]
        with av.open(str(world / row["video"])) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            shown = {float(f.time): f.to_ndarray(format="rgb24") for f in container.decode(stream)}
        fps = float(row["metadata"]["fps"])
        assert len(shown) / MP4_RATE == len(listed["video"]) / fps
        stills = [np.asarray(Image.open(world / path), float) for path in listed["video"][:12]]
        errors = np.array(
            [[np.abs(still - shown[k / fps]).mean() for k in range(len(stills))] for still in stills]
        )
        # Right to a few grey levels, and nowhere better at the time of another frame that looks different.
        assert errors.diagonal().max() < 9, errors.diagonal()
        assert (errors.diagonal() <= errors.min(1) + 0.5).all()
    samples = read_records(world / "test_mp4.json")
    assert all(s.clip.video is not None and s.clip.start == 0.0 for s in samples)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    synthesize.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_makes_a_world_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "w")
    assert synthesize.run(parse(out, "--videos", "2", "--workers", "1")) == 0
    assert "10 clips" in capsys.readouterr().out
    before = (tmp_path / "w/world.json").stat().st_mtime_ns
    assert synthesize.run(parse(out, "--videos", "2", "--workers", "1")) == 0
    assert (tmp_path / "w/world.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="videos 2 instead of 3"):
        synthesize.run(parse(out, "--videos", "3", "--workers", "1"))


def test_an_interrupted_world_is_made_again(tmp_path: Path) -> None:
    partial = tmp_path / "w.partial"
    (partial / "frames").mkdir(parents=True)
    (partial / "frames" / "half").write_text("of a frame")
    write_world(tmp_path / "w", videos=1, seed=0)
    assert not partial.exists()
    assert not (tmp_path / "w/frames/half").exists()


def test_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no synthetic world"):
        write_world(tmp_path, videos=1, seed=0)
    with pytest.raises(UserError, match="is a file"):
        write_world(tmp_path / "notes.txt", videos=1, seed=0)
    with pytest.raises(UserError, match="--videos must be at least 1"):
        synthesize.run(parse(str(tmp_path / "x"), "--videos", "0"))
    assert (tmp_path / "notes.txt").read_text() == "mine"
