"""What the page Data says about records, without a browser."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.records.browser import Browser
from app.records.catalogue import Collector, Filters
from app.records.frames import see
from app.records.library import Library, RecordsFile
from app.records.listing import LIMIT, Listing
from medgrpo.data.bad_clips import BadClips
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.json_rows import scan_rows
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import read_records
from medgrpo.data.row_fields import inspect_fields
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.evaluation.runner import Checkpoint
from medgrpo.types import Box
from tests.app.asking import text_of
from tests.app.records_scene import ATTACK, make_long, make_records, patient, row_of, sources_on
from tests.app.test_html import Reader

NO_FILTERS = ("", "", "", "")


def browser_on(folder: Path, *names: str, runs: Path | None = None, **others: Any) -> Browser:
    """A browser whose files are read."""
    sources = sources_on(folder, *names, **others)
    library = Library(sources.records, runs or folder / "runs")
    for file in library.files:
        patient(file)
    return Browser(library, sources)


def numbers(listing: Listing) -> list[int]:
    return [int(cells[0]) for cells in listing.cells]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def browser(scene: Path) -> Browser:
    return browser_on(scene, "train.json", "bad.jsonl", model=scene / "model")


def test_counts_are_those_of_the_file(browser: Browser, scene: Path) -> None:
    status, counts, aside = map(text_of, browser.overview("0"))
    samples = read_records(scene / "world" / "train.json")
    assert f"{len(samples)} rows, 0 without a reference answer. No row has a defect." in status
    catalogue = browser.library.files[0].state.catalogue
    assert catalogue is not None
    for pair, count in catalogue.counts.items():
        assert count == sum(sample.pair == pair for sample in samples)
    assert sum(catalogue.counts.values()) == len(samples)
    assert "CoPESD" in counts
    assert "When does it happen?" in counts
    assert "No row has a defect" in aside


def test_the_list_passes_the_filters(browser: Browser, scene: Path) -> None:
    samples = read_records(scene / "world" / "train.json")
    listed = browser.rows("0", 0, *NO_FILTERS)
    assert numbers(listed) == list(range(len(samples)))
    assert listed.words == f"1 to {len(samples)} of {len(samples)} rows."
    for dataset, task in {sample.pair for sample in samples}:
        found = browser.rows("0", 0, dataset, task, "", "")
        assert numbers(found) == [sample.row for sample in samples if sample.pair == (dataset, task)]
    later = browser.rows("0", 17, *NO_FILTERS)
    assert numbers(later) == list(range(17, len(samples)))
    assert later.earlier
    word = (samples[9].answer or "").split()[0]
    rows = json.loads((scene / "world" / "train.json").read_text())
    wanted = [number for number, row in enumerate(rows) if word.lower() in json.dumps(row).lower()]
    searched = browser.rows("0", 0, "", "", word.upper(), "")
    assert numbers(searched) == wanted
    assert searched.words == f"{len(wanted)} rows that hold this text."
    assert browser.rows("0", 0, "no such dataset", "", "", "").words == "No row passes the filters."
    assert numbers(browser.rows("0", 10**30, *NO_FILTERS)) == []


def test_the_list_shows_the_sentence_that_asks(browser: Browser, scene: Path) -> None:
    sample = next(s for s in read_records(scene / "world" / "train.json") if ". Which" in s.question)
    asked = browser.rows("0", sample.row, *NO_FILTERS).cells[0][4]
    assert asked.startswith("… Which")
    assert asked.removeprefix("… ").removesuffix(" …") in sample.question


@pytest.mark.parametrize("plain", [True, False])
def test_text_is_found_however_it_is_spelled_and_never_across_rows(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "r.jsonl"
    rows = [{"id": "a"}, {"id": 'Größe "x"'}, {"id": "b"}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=plain) for row in rows) + "\n", encoding="utf-8")
    collector = Collector()
    for raw in scan_rows(path):
        collector.see(raw, inspect_fields(raw.value)[0])
    catalogue = collector.catalogue(path)
    for text, wanted in {'Größe "X"': [1], "b": [2], '}\n{"id': [], '"b"': []}.items():
        # The last is in quotes of JSON, not of the text.
        assert catalogue.rows_from(0, Filters(text=text), 9) == wanted
    assert catalogue.rows_from(1, Filters(text="id"), 1) == [1]
    assert catalogue.rows_before(2, Filters(text="id"), 1) == [1]
    assert catalogue.counts == {("unknown", "unknown"): 3}


def test_a_long_file_is_paged_through(scene: Path) -> None:
    make_long(scene, 2 * LIMIT + 100)
    browser = browser_on(scene, "long.json")
    for filters in (NO_FILTERS, ("", "", "row", "")):
        seen, start, starts = [], 0, []
        while True:
            listed = browser.rows("0", start, *filters)
            seen += numbers(listed)
            starts.append(start)
            assert listed.earlier == (start > 0)
            if listed.after is None:
                break
            start = listed.after
        assert seen == list(range(2 * LIMIT + 100))
        assert starts == [0, LIMIT, 2 * LIMIT]
        assert [browser.start_before("0", start, *filters) for start in (2 * LIMIT, LIMIT, 7)] == [
            LIMIT,
            0,
            0,
        ]
    assert browser.rows("0", LIMIT, *NO_FILTERS).words == "201 to 400 of 500 rows."
    assert browser.rows("0", 499, "", "", "row 0", "").words == "No further row passes the filters."


def test_frames_are_those_that_the_policy_gives_the_model(browser: Browser, scene: Path) -> None:
    path = scene / "world" / "train.json"
    sample = read_records(path)[row_of(path, "tal")]
    frames = ClipFrames(SamplingPolicy(max_frames=4), decode_seconds=None)
    whole, plan = frames.read(sample)
    clip = see(frames, sample)
    assert list(clip.pictures) == list(range(len(whole)))
    assert np.array_equal(clip.plan.true_times, plan.true_times)
    page = browser.record("0", str(sample.row))
    words = text_of(page)
    seen, _ = browser.prompts.frames.plan(sample)
    assert f"The model gets {len(seen.indices)} frames" in words
    assert f"{seen.width} x {seen.height} pixels" in words
    for time in seen.true_times:
        assert f"{time:.2f} s" in words
    tokens = len(seen.indices) // 2 * seen.width * seen.height // browser.prompts.policy.factor**2
    assert f"all of them {tokens}" in words
    assert 'class="segment true"' in page


def test_the_prompt_is_the_encoders_own(browser: Browser, scene: Path) -> None:
    sample = read_records(scene / "world" / "train.json")[3]
    words = text_of(browser.record("0", "3"))
    prompt = Checkpoint(scene / "model", browser.prompts.sources.sampling).encoder.prompt(sample)
    assert " ".join(prompt.text.split()) in words
    assert f"{len(prompt.ids)} word pieces with the frames" in words


def test_boxes_and_regions_are_drawn_where_the_model_sees_them(browser: Browser, scene: Path) -> None:
    path = scene / "world" / "train.json"
    row = row_of(path, "stg")
    sample = read_records(path)[row]
    page = browser.record("0", str(row))
    truth = sample.truth[0]["bbox_dict"]
    assert page.count('class="box expert"') == min(8, len(truth))
    clip = see(browser.prompts.frames, sample)
    first = clip.boxes.model_from_canvas(Box(*next(iter(truth.values()))))
    assert f'x="{first.x1}"' in page
    assert "asked about" in text_of(browser.record("0", str(row_of(path, "region_caption"))))


def test_defects_are_those_of_the_check_and_rows_with_them_open(browser: Browser) -> None:
    status, _, aside = map(text_of, browser.overview("1"))
    findings = browser.library.files[1].state.findings
    assert findings is not None
    bad = findings.by_row
    assert f"{len(bad)} rows have a defect" in status
    for defect in findings.defects:
        assert " ".join(defect.problem.split()) in aside
    assert "rows 7, " in aside  # repeated
    assert numbers(browser.rows("1", 0, "", "", "", "defects")) == sorted(bad)
    assert f'href="?file=1&amp;row={max(bad)}"' in browser.overview("1")[2]
    missing = text_of(browser.record("1", "2"))
    assert "bad.jsonl: row 2: field 'metadata.fps': is missing" in missing
    assert "The row as it stands in the file" in missing
    assert "not valid JSON" in text_of(browser.record("1", str(max(bad) - 1)))
    assert "expected an object" in text_of(browser.record("1", str(max(bad))))


def test_a_reference_that_its_own_reader_cannot_read_is_told(browser: Browser) -> None:
    told = "the reference answer cannot be read by the reader of its own task"
    assert told in text_of(browser.record("1", "0"))
    assert "disagrees with field 'struc_info'" in text_of(browser.record("1", "1"))
    sound = text_of(browser.record("0", "0"))
    assert told not in sound
    assert "disagrees" not in sound


def test_hostile_records_stay_text(browser: Browser) -> None:
    broken = str(max(browser.library.files[1].state.findings.by_row) - 1)  # type: ignore[union-attr]
    for page in (browser.record("1", "5"), browser.record("1", broken), *browser.overview("1")):
        read = Reader(page)
        assert not {"script", "iframe", "object", "img"} & set(read.tags)
        assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert ATTACK in text_of(browser.record("1", "5"))
    assert ATTACK in text_of(browser.record("1", broken))
    assert "the frames cannot be shown" in text_of(browser.record("1", "5"))


@pytest.mark.parametrize("row", ["999999", "-1", "../0", "<b>", "1.5", "9" * 5000])
def test_a_foreign_row_is_answered(browser: Browser, row: str) -> None:
    words = text_of(browser.record("0", row))
    assert "rows 0 to" in words or "A row has a number" in words
    for file in ("7", "../../etc/passwd", "9" * 5000):
        assert "no records file" in text_of(browser.record(file, "0"))


def test_missing_frames_and_files_are_said(scene: Path, tmp_path: Path) -> None:
    rows = json.loads((scene / "world" / "train.json").read_text())
    (tmp_path / "world").mkdir()
    path = tmp_path / "world" / "train.json"
    path.write_text(json.dumps(rows[:3]))
    browser = browser_on(tmp_path, "train.json")
    (file,) = browser.library.files
    words = text_of(browser.record("0", "0"))
    assert "train.json: row 0: field 'video': the frames cannot be shown" in words
    assert rows[0]["video"][0] in words
    os.remove(path)
    assert "cannot be read" in text_of(browser.record("0", "1"))
    file.refresh()
    assert "no such records file" in text_of(browser.overview("0")[0])


def test_a_changed_file_is_read_again(tmp_path: Path, scene: Path) -> None:
    rows = json.loads((scene / "world" / "train.json").read_text())
    path = tmp_path / "r.json"
    path.write_text(json.dumps(rows[:2]))
    file = patient(RecordsFile(path, MediaPaths(tmp_path)))
    assert len(file.state.catalogue or []) == 2
    path.write_text(json.dumps(rows[:5]))
    assert len(patient(file).state.catalogue or []) == 5
    path.write_text("[{]")
    assert "not valid JSON" in patient(file).state.problem


def test_rows_that_runs_left_out_are_listed(browser: Browser, scene: Path) -> None:
    sample = read_records(scene / "world" / "train.json")[4]
    report = scene / "runs" / "first" / "bad_clips.jsonl"
    BadClips(report, 3).set_aside("world/train.json", sample, "frame 0 is missing")
    aside = text_of(browser.overview("0")[2])
    assert "Left out by training" in aside
    assert "first4frame 0 is missing" in aside
    assert "Left out" not in text_of(browser.overview("1")[2])


def test_without_records_the_page_says_how_to_give_them(tmp_path: Path) -> None:
    browser = browser_on(tmp_path)
    assert "--records train.json" in text_of(browser.overview(None)[0])
    assert browser.rows(None, 0, *NO_FILTERS) == Listing()
    assert "Choose a row" in text_of(browser.record(None, ""))


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name / "train.json" for name in ("a", "b")]
    library = Library([(path, MediaPaths(path.parent)) for path in paths], tmp_path)
    assert library.choices() == [("train.json (a)", "0"), ("train.json (b)", "1")]
    with pytest.raises(UserError, match="no records file"):
        library.file("2")
