"""CoPESD is read as it was drawn: actions to the second, boxes to their two digits; the rest is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medgrpo.data.sources.annotations import Reading
from medgrpo.data.sources.copesd import CoPESD, clip_and_frame
from medgrpo.data.sources.copesd_words import INSTRUCTIONS, ActionWords
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.square_boxes import square_shares
from medgrpo.data.synthetic.layouts import copesd as layout
from medgrpo.data.synthetic.layouts import write_layout
from medgrpo.errors import UserError
from medgrpo.tasks.next_action import inventory

SEED, CLIPS = 3, 3
IDS = [layout.clip_of(number) for number in range(CLIPS)]
NEW = inventory()["CoPESD_legacy_to_new"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copesd")
    write_layout("CoPESD", folder, CLIPS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "copesd")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = CoPESD(root)
    assert source.videos() == sorted(IDS)
    assert source.problems() == []
    return [source.read(clip) for clip in IDS]


def edit(root: Path, change: Callable[[list[dict[str, Any]]], None], split: str = "test") -> None:
    path = root / f"smllm_{split}.json"
    items = json.loads(path.read_text())
    change(items)
    path.write_text(json.dumps(items, indent=1))


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(problem.field, problem.problem) for problem in reading.problems]


def test_actions_are_those_of_the_scene_second_by_second(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        truth = [layout.truth_at(scene, time).action for time in range(layout.DURATION)]
        read = []
        for event in reading.video.events:
            read += [event.label] * round(event.end - event.start)
            assert event.end == len(read)
        assert read == [NEW.get(label, label) for label in truth]
        assert reading.video.duration == layout.DURATION
        assert set(read) <= set(reading.video.steps) == set(inventory()["CoPESD"])


def test_boxes_are_those_of_the_scene_in_both_forms(readings: list[Reading]) -> None:
    # Two digits of a side of 168 pixels: 0.84 a corner, twice that where a size is added.
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        leeway = 0.85 if layout.form_of(number) == "xyxy" else 1.7
        truth = {
            (float(time), name.lower()): box
            for time in range(layout.DURATION)
            for name, box in layout.truth_at(scene, time).boxes.items()
        }
        found = {(one.time, one.label): one.box for one in reading.video.instances}
        assert found.keys() == truth.keys()
        for key, box in found.items():
            assert box.xyxy == pytest.approx(truth[key].xyxy, abs=leeway)
        assert reading.video.canvas == layout.CANVAS
    assert readings[2].counts["xywh_boxes"] == readings[2].counts["instances"]
    assert "xywh_boxes" not in readings[0].counts


def test_frames_show_the_scene_and_count_from_one(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        footage = reading.video.footage
        assert footage.frames[0].name == "0001.jpg"
        assert footage.times == tuple(float(k) for k in range(layout.DURATION))
        assert reading.video.frame_id(4.0) == 5
        scene = layout.scene_of(number, SEED)
        shown = np.asarray(Image.open(footage.frames[7]), float)
        assert np.abs(shown - layout.picture_at(scene, 7)).mean() < 4
        assert np.abs(shown - layout.picture_at(scene, 20)).mean() > 1.5


def test_items_with_one_box_or_none_are_read_and_counted(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        shown = [len(layout.truth_at(scene, time).boxes) for time in range(layout.DURATION)]
        own = shown.count(0) + (2 if number == 0 else 0)  # two of the odd items have no box
        assert reading.counts["items_without_boxes"] == own
        assert {1, 2} <= set(shown) <= {0, 1, 2}
        assert reading.video.annotated == reading.video.footage.times


def test_facts_of_a_clip(readings: list[Reading], root: Path) -> None:
    for number, reading in enumerate(readings):
        video = reading.video
        assert (video.source, video.clock, video.first_id) == ("CoPESD", 1.0, 1)
        assert video.canonical_id == f"copesd:{IDS[number]}"
        assert video.official_split == layout.split_of(number)
        assert video.events[0].provenance.file == f"smllm_{layout.split_of(number)}.json"
    first = readings[1].video.events[0].provenance
    lines = (root / first.file).read_text().splitlines()
    assert lines[first.line - 1].strip() == "{"
    assert [p.name for p in CoPESD(root).files(IDS[0])] == ["smllm_train.json", "smllm_test.json"]


def test_what_is_odd_in_the_first_clip_is_named(readings: list[Reading]) -> None:
    fields, texts = zip(*told(readings[0]), strict=True)
    assert fields == ("value", "value", "value", "value", "image")
    assert "is no known instruction or action; the nearest is" in texts[0]
    assert (
        texts[1] == "'Forcep' is not a known instrument; the nearest is 'Forceps'; known are: Forceps, Knife"
    )
    assert "before, here 'adjust camera'" in texts[2]
    assert texts[3] == "the knife of frame 1 has another box before"
    assert texts[4] == f"the picture of frame 33 is missing in high_light_images/{IDS[0]}"
    assert str(readings[0].problems[4].provenance).startswith("smllm_train.json, line ")
    assert readings[1].problems == readings[2].problems == ()


@pytest.mark.parametrize("padding", ["centre", "none"])
def test_another_padding_is_an_option(copy: Path, padding: str) -> None:
    scene = layout.scene_of(1, SEED)

    def rewrite(items: list[dict[str, Any]]) -> None:
        for time, item in enumerate(items):
            boxes = layout.truth_at(scene, time).boxes
            texts = [
                f"{name}[{', '.join(f'{v:.4f}' for v in square_shares(box, 'xyxy', padding, layout.CANVAS))}]"
                for name, box in boxes.items()
            ]
            item["conversations"][1]["value"] = " ".join(texts)

    edit(copy, rewrite)
    right, wrong = CoPESD(copy, padded_square=padding).read(IDS[1]), CoPESD(copy).read(IDS[1])
    assert right.problems == ()
    for one in right.video.instances:
        truth = layout.truth_at(scene, int(one.time)).boxes[one.label.capitalize()]
        assert one.box.xyxy == pytest.approx(truth.xyxy, abs=0.05)
    apart = [np.abs(np.subtract(a.box.xyxy, b.box.xyxy)).max() for a in right.video.instances
             for b in wrong.video.instances if (a.time, a.label) == (b.time, b.label)]  # fmt: skip
    assert wrong.problems or min(apart) > 5


def test_further_instructions_may_be_given(copy: Path) -> None:
    wording = "Kindly part the flap."
    edit(copy, lambda items: items[5]["conversations"][0].update(value=f"<image>\n{wording}"))
    assert "is no known instruction" in CoPESD(copy).read(IDS[1]).problems[0].problem
    more = {wording: "dissect flap with knife"}
    reading = CoPESD(copy, instructions=more).read(IDS[1])
    assert reading.problems == ()
    assert any(
        e.label == NEW["dissect flap with knife"] and e.start <= 5 < e.end for e in reading.video.events
    )
    with pytest.raises(UserError, match="'cut' is not a known action"):
        CoPESD(copy, instructions={wording: "cut"})


def test_all_released_instructions_name_an_action_of_today() -> None:
    words = ActionWords({})
    for action, wordings in INSTRUCTIONS.items():
        assert {words.read(wording, "No name.") for wording in wordings} == {NEW.get(action, action)}
    for old, new in NEW.items():
        assert words.read("What goes on?", f"{old.capitalize()}.") == new
        assert words.read(f"<image>\n{new}", "It does.") == new


def test_the_same_box_of_two_items_counts_once(copy: Path) -> None:
    before = CoPESD(copy).read(IDS[1])
    edit(copy, lambda items: items.append(items[7]))
    again = CoPESD(copy).read(IDS[1])
    assert again.video.instances == before.video.instances
    assert again.counts["repeated_boxes"] == len(layout.truth_at(layout.scene_of(1, SEED), 7).boxes)


def spoil(key: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda items: items[5].update({key: value})


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        (spoil("image", "0006.jpg"), "image", "'0006.jpg' does not end with <clip>/<frame>.jpg"),
        (spoil("image", 7), "image", "is missing or no text"),
        (spoil("conversations", None), "conversations", "is missing or no list of turns"),
        (spoil("conversations", []), "conversations", "needs a human and a gpt turn"),
        (spoil("conversations", [{"from": "robot", "value": "x"}]), "conversations", "a turn needs from"),
        (lambda items: items.__setitem__(5, "text"), "", "expected an object"),
    ],
)
def test_bad_items_are_named_and_left_out(copy: Path, change: Any, field: str, problem: str) -> None:
    edit(copy, change)
    source = CoPESD(copy)
    assert source.read(IDS[1]).counts["items"] == layout.DURATION - 1
    [found] = source.problems()
    assert found.field == field
    assert problem in found.problem
    assert found.provenance.file == "smllm_test.json"
    assert found.provenance.key == "item 5"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("the Knife[0.1, 0.2, 0.3]", "'Knife[0.1, 0.2, 0.3]' does not hold four numbers"),
        ("the Knife[a, b, c, d]", "does not hold four numbers"),
        ("the Knife[0.5, 0.5, 0.6, 0.99]", "leaves the picture of 168x130"),
        ("the Knife[0.6, 0.5, 0.5, 0.6]", "has no area, read as xyxy"),
        ("[0.1, 0.1, 0.5, 0.6]", "'' is not a known instrument"),
    ],
)
def test_bad_boxes_are_named_and_left_out(copy: Path, answer: str, problem: str) -> None:
    edit(copy, lambda items: items[5]["conversations"][1].update(value=answer))
    reading = CoPESD(copy).read(IDS[1])
    [(field, text)] = told(reading)
    assert field == "value"
    assert problem in text
    assert not [one for one in reading.video.instances if one.time == 5]
    assert [e for e in reading.video.events if e.start <= 5 < e.end]


def test_missing_and_broken_files_are_named(copy: Path) -> None:
    shutil.rmtree(copy / "high_light_images" / IDS[1])
    reading = CoPESD(copy).read(IDS[1])
    assert reading.video is None
    assert told(reading) == [
        ("image", f"its pictures are missing; expected high_light_images/{IDS[1]}/0001.jpg")
    ]
    broken = copy / "high_light_images" / IDS[2] / "0001.jpg"
    broken.write_bytes(b"no picture")
    reading = CoPESD(copy).read(IDS[2])
    assert reading.video is None
    assert str(reading.problems[0].provenance) == f"high_light_images/{IDS[2]}/0001.jpg"
    with pytest.raises(UserError, match="says anything about a clip 'nobody'"):
        CoPESD(copy).read("nobody")
    (copy / "smllm_test.json").write_text('[{"image": "a/b",\n}]')
    with pytest.raises(UserError, match=r"smllm_test\.json: not valid JSON at line 2"):
        CoPESD(copy).videos()
    for split in ("train", "test"):
        (copy / f"smllm_{split}.json").unlink()
    with pytest.raises(
        UserError, match=r"holds no annotations; expected smllm_train\.json or smllm_test\.json"
    ):
        CoPESD(copy).videos()
    with pytest.raises(UserError, match="there is no such folder; expected a copy of CoPESD"):
        CoPESD(copy / "none")


def test_a_clip_of_both_splits_is_reported(copy: Path) -> None:
    items = json.loads((copy / "smllm_train.json").read_text())
    edit(copy, lambda own: own.append(items[0]))
    source = CoPESD(copy)
    assert source.read(IDS[0]).video.official_split == "train"
    assert [p.problem for p in source.problems()] == [f"the clip {IDS[0]} is in split train too"]


NAMES = st.text(st.characters(exclude_characters="\\/", exclude_categories=("Cs",)), min_size=1, max_size=9)


@given(st.lists(NAMES, max_size=4), NAMES.filter(lambda n: n not in (".", "..")), st.integers(0, 10**9 - 1),
       st.sampled_from(["/", "\\"]))  # fmt: skip
def test_the_last_two_parts_of_any_path_count(head: list[str], clip: str, number: int, slash: str) -> None:
    assert clip_and_frame(slash.join([*head, clip, f"{number:04d}.jpg"])) == (clip, number)


@given(st.text(max_size=30))
def test_any_other_path_is_a_named_error(path: str) -> None:
    try:
        clip, number = clip_and_frame(path)
    except CellError:
        return  # any other error fails
    assert clip in path
    assert number >= 0


def test_the_drawn_forceps_are_where_their_box_says() -> None:
    scene = layout.scene_of(0, SEED)
    time = next(t for t in range(layout.DURATION) if len(layout.truth_at(scene, t).boxes) == 2)
    changed = (layout.picture_at(scene, time) != scene.render(time)).any(-1)
    ys, xs = np.nonzero(changed)
    box = layout.truth_at(scene, time).boxes["Forceps"]
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == pytest.approx(box.xyxy, abs=4)
