"""What a build leaves: records that check clean, hashes, counts, plots and a card, the same byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from medgrpo.data.build.output.data_card import data_card
from medgrpo.data.build.output.manifest import Provenance, SourceFacts, check_manifest
from medgrpo.data.build.output.statistics import Statistics, rate_shares
from medgrpo.data.build.output.write import OutputPolicy, write_output
from medgrpo.data.build.splits import SplitPolicy, read_assignment
from medgrpo.data.build.verify.candidates import ClipCandidates, Lines
from medgrpo.data.build.verify.findings import Rejection
from medgrpo.data.build.verify.run import verify_into
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.data.frame_checks import FrameChecks
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import read_records
from medgrpo.data.validation import check_records
from medgrpo.errors import UserError
from tests.data.build.verify_scene import SUMMARY, WordEncoder, clip_of, corpus, draft_of, make_row

PROVENANCE = Provenance(
    "tiny",
    "c0ffee",
    7,
    {
        "CholecT50": SourceFacts(
            "CC BY-NC-SA 4.0", "https://example.org/t50", {"labels.json": "ab"}, {"events": 3}
        ),
        "CholecTrack20": SourceFacts("CC BY-NC-SA"),
        "EgoSurgery": SourceFacts("-"),
    },
    {"CholecT50/video_summary@1": "12ab"},
    {"gpt": {"model": "gpt-4.1", "remote": True}, "gemini": {"model": "gemini-2.5-flash", "remote": False}},
)


def build(
    out: Path, clips: Iterable[ClipCandidates], policy: OutputPolicy | None = None, **more: object
) -> Path:
    verify_into(clips, out / "work", Verifier(WordEncoder()))
    return write_output(out / "work", out, make_row, PROVENANCE, policy, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build(out, list(corpus(out)))
    return out


def test_the_records_pass_the_validator_frames_included(built: Path) -> None:
    for split, videos in (("train", 34), ("val", 6)):
        path = built / f"{split}.json"
        findings = check_records(path, frames=FrameChecks(MediaPaths.beside(path), 1), progress=False)
        assert [str(defect) for defect in findings.defects] == []
        # Each clip has three structured answers and three questions with two texts.
        clips = {row["video"][0] for row in json.loads(path.read_text())}
        assert findings.rows == 9 * len(clips)
        assert findings.frames == 4 * len(clips)
        assert len({s.video_id for s in read_records(path)}) >= videos / 2
    rows = json.loads((built / "train.json").read_text())
    assert {row["qa_type"] for row in rows} == {
        "tal", "stg", "next_action",
        "video_summary_gpt", "video_summary_gemini", "region_caption_gpt", "region_caption_gemini",
        "dense_captioning_gpt", "dense_captioning_gemini",
    }  # fmt: skip


def test_the_manifest_counts_and_hashes_everything(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    files = {p.relative_to(built).as_posix() for p in built.rglob("*") if p.is_file()}
    mine = {name for name in files if not name.startswith(("frames/", "work/")) and name != "manifest.json"}
    assert set(manifest["files"]) == mine
    for name, entry in manifest["files"].items():
        content = (built / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    counted: Counter[tuple[str, str, str]] = Counter()
    for split in ("train", "val"):
        for row in json.loads((built / f"{split}.json").read_text()):
            counted[
                split, row["data_source"], row["qa_type"].removesuffix("_gpt").removesuffix("_gemini")
            ] += 1
    told = {
        (split, source, task): levels
        for split, sources in manifest["counts"].items()
        for source, tasks in sources.items()
        for task, levels in tasks.items()
    }
    assert {key: sum(levels.values()) for key, levels in told.items()} == dict(counted)
    assert {level for key, levels in told.items() for level in levels if key[2] == "stg"} == {"frame"}
    assert {level for key, levels in told.items() for level in levels if key[2] == "tal"} == {"segment"}
    assert manifest["verification"]["encoder"] == "words-64"
    assert (manifest["config_hash"], manifest["seed"]) == ("c0ffee", 7)
    assert manifest["prompts"] == {"CholecT50/video_summary@1": "12ab"}
    assert manifest["splits"]["videos"] == {"train": 34, "val": 6}
    assert check_manifest(built, frames=True) == []


def test_the_frames_of_all_records_are_hashed(built: Path) -> None:
    listed = [line.split("  ") for line in (built / "frames.sha256").read_text().splitlines()]
    used = {
        name
        for split in ("train", "val")
        for row in json.loads((built / f"{split}.json").read_text())
        for name in row["video"]
    }
    assert sorted(name for _, name in listed) == sorted(used)
    for digest, name in listed[::50]:
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest


def test_a_file_that_was_changed_is_told(tmp_path: Path) -> None:
    build(tmp_path, list(corpus(tmp_path, videos=3, clips=1)))
    (tmp_path / "statistics.json").write_text("{}")
    next((tmp_path / "frames").rglob("*.jpg")).write_bytes(b"")
    (tmp_path / "plots" / "records.png").unlink()
    found = check_manifest(tmp_path, frames=True)
    assert [told.rpartition(": ")[2] for told in found] == [
        "is missing",
        "is not the file that was written",
        "is not the file that was written",
    ]
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="expected an object with 'files'"):
        check_manifest(tmp_path)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    manifests = [build(tmp_path / name, list(corpus(videos=4))) for name in ("a", "b")]
    first, second = (json.loads(path.read_text()) for path in manifests)
    assert first == second
    assert set(first["files"]) >= {"plots/answer_length.png", "plots/similarity.png", "rejected.jsonl"}


def test_an_earlier_assignment_is_kept_and_test_videos_get_their_own_file(tmp_path: Path) -> None:
    build(tmp_path / "a", list(corpus(videos=6)))
    before = read_assignment(tmp_path / "a" / "splits.json")
    policy = OutputPolicy(SplitPolicy(official_test="own_file"))
    manifest = json.loads(build(tmp_path / "b", list(corpus(videos=20)), policy, before=before).read_text())
    after = read_assignment(tmp_path / "b" / "splits.json")
    test = {f"cholec:{k}" for k in (5, 10, 15, 20)}
    assert {name for name, split in after.items() if split == "official_test"} == test
    assert {name: after[name] for name in set(before) - test} == {n: before[n] for n in set(before) - test}
    assert manifest["splits"]["moved_out"] == ["cholec:5"]
    assert manifest["splits"]["videos"]["official_test"] == 4
    samples = read_records(tmp_path / "b" / "official_test.json")
    assert {s.dataset for s in samples} == {"CholecT50", "CholecTrack20"}  # under any source's name

    policy = OutputPolicy(SplitPolicy(official_test="leave_out"))
    manifest = json.loads(build(tmp_path / "c", list(corpus(videos=20)), policy).read_text())
    assert not (tmp_path / "c" / "official_test.json").exists()
    assert manifest["splits"]["left_out"] == 4
    listed = (tmp_path / "c" / "frames.sha256").read_text()
    assert "VID05" not in listed
    assert "VID06" in listed


def test_training_texts_that_repeat_held_out_ones_are_set_aside(tmp_path: Path) -> None:
    def copied(clips: Iterable[ClipCandidates]) -> Iterable[ClipCandidates]:
        """All clips of one source say the same."""
        for clip in clips:
            key = clip.drafts[0].key
            texts = {name: replace(t, text=f"{SUMMARY} again.") for name, t in clip.texts[key].items()}
            yield (
                replace(clip, texts={**clip.texts, key: texts}) if clip.clip.source == "EgoSurgery" else clip
            )

    manifest = json.loads(build(tmp_path, copied(corpus(videos=10, clips=1))).read_text())
    lines = list(Lines(Rejection).read(tmp_path / "rejected.jsonl"))
    splits = read_assignment(tmp_path / "splits.json")
    trained = [n for n, split in splits.items() if split == "train" and n.startswith("egosurgery")]
    held = next(n for n, split in splits.items() if split == "val" and n.startswith("egosurgery"))
    assert [one.check for one in lines] == ["near_duplicate"] * len(trained)
    assert {one.draft.clip.canonical_id for one in lines} == set(trained)
    assert all(one.split == "train" and one.findings[0].numbers["jaccard"] >= 0.8 for one in lines)
    assert held.removeprefix("egosurgery:") in lines[0].findings[0].detail
    assert manifest["splits"]["near_duplicates"] == len(trained)
    told = [row for row in json.loads((tmp_path / "train.json").read_text()) if "again" in str(row)]
    assert told == []
    assert "again" in (tmp_path / "val.json").read_text()


def test_statistics_are_those_of_the_records() -> None:
    statistics = Statistics()
    clip = clip_of()
    for words, fps in ((1, 0.1), (5, 0.5), (6, 0.49), (21, 1.0), (21, 3.0)):
        draft = draft_of(replace(clip, fps=fps), "video_summary")
        statistics.add("train", draft, "word " * words)
    table = statistics.table()
    words = table["answer_words"]
    assert (words["least"], words["p50"], words["most"], words["mean"]) == (1, 6, 21, 10.8)
    assert (words["share_up_to_5"], words["share_over_20"]) == (0.4, 0.4)
    assert table["rates"] == {"0.1": 0.2, "0.2": 0.0, "0.5": 0.4, "1": 0.2, "2": 0.0, "3": 0.2}
    assert sum(rate_shares(statistics.all_rates()).values()) == pytest.approx(1.0)
    assert table["clip_seconds"]["p50"] == 40
    assert Statistics().table()["answer_words"] == {"n": 0, "share_up_to_5": 0.0, "share_over_20": 0.0}


def test_the_plots_are_pictures(built: Path) -> None:
    names = sorted(path.name for path in (built / "plots").iterdir())
    assert names == [
        "answer_length.png",
        "clip_duration.png",
        "frame_rate.png",
        "records.png",
        "similarity.png",
    ]
    for name in names:
        with Image.open(built / "plots" / name) as picture:
            assert min(picture.size) > 200
            assert "Software" not in picture.info


def test_the_card_tells_licences_counts_and_where_data_went(built: Path) -> None:
    card = (built / "DATA_CARD.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    for part in ("## Counts", "## Sources and licences", "## Method", "## Limits", "## Privacy"):
        assert part in card
    assert "| CholecT50 | CC BY-NC-SA 4.0 | https://example.org/t50 |" in card
    assert "| EgoSurgery | not stated: ask its authors | - |" in card
    assert "remote servers of these writers: gpt." in card
    rows = sum(len(json.loads((built / f"{split}.json").read_text())) for split in ("train", "val"))
    totals = next(line for line in card.splitlines() if line.startswith("| all |"))
    assert sum(int(cell) for cell in totals.split("|")[4:6]) == rows
    local = replace(PROVENANCE, writers={"gpt": {"remote": False}})
    verification = json.loads((built / "verification.json").read_text())
    splits = json.loads((built / "manifest.json").read_text())["splits"]
    assert "Nothing was sent to a remote server." in data_card(local, Statistics(), verification, splits)


def test_a_build_without_a_question_left_is_whole(tmp_path: Path) -> None:
    manifest = json.loads(build(tmp_path, []).read_text())
    assert manifest["counts"] == {}
    assert json.loads((tmp_path / "train.json").read_text()) == []
    assert check_manifest(tmp_path, frames=True) == []
