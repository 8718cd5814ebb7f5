"""Filling, verifying and measuring a frame cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from medgrpo import cli
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.lazy_records import open_records
from medgrpo.data.records import write_records
from medgrpo.data.sampling import SamplingPolicy
from tests.data.encoding import encode, picture
from tests.data.test_records import row

CONFIG = """\
paths: {run: r}
data:
  init_args:
    sampling: {f_goal: 1.0, max_frames: 8, factor: 28}
    decode_seconds: null
"""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Clips of images, one of them asked about twice and one with a broken image, and a video file."""
    rows = []
    for clip in range(3):
        names = [f"{clip}/{k}.jpg" for k in range(6)]
        for k, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture(10 * clip + k)).save(path)
        rows.append(row(id=f"clip {clip}", video=names, sampled_video_frames=list(range(6))))
    rows.append(rows[0] | {"id": "again"})
    encode(tmp_path / "a.mp4", 40)
    span = {"fps": "1", "video_id": "v", "input_video_start_time": "0", "input_video_end_time": "1.5"}
    rows.append(row(id="video", video="a.mp4", sampled_video_frames=..., metadata=span))
    (tmp_path / "2" / "5.jpg").write_text("no image")
    (tmp_path / "c.yaml").write_text(CONFIG)
    path = tmp_path / "records.json"
    write_records(rows, path)
    return path


def fill(records: Path, *options: str) -> int:
    folder = records.parent
    config = f"--config={folder / 'c.yaml'}"
    return cli.main(["cache", "fill", str(records), f"--cache={folder / 'cache'}", config, *options])


@pytest.mark.parametrize("workers", [1, 2])
def test_filling_reports_and_training_finds_the_frames(
    workers: int, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = records.parent / "bad.json"
    assert fill(records, "--json", f"--workers={workers}", f"--quarantine={bad}") == 1
    counts = json.loads(capsys.readouterr().out)
    assert (counts["clips"], counts["decoded"], counts["bad_rows"], counts["entries"]) == (4, 3, 1, 4)
    (quarantined,) = json.loads(bad.read_text())
    assert (quarantined["_row"], quarantined["id"]) == (2, "clip 2")
    assert "5.jpg: frame 5 of the clip is not an image" in quarantined["_defects"][0]["problem"]
    cache = FrameCache(records.parent / "cache")
    frames = ClipFrames(SamplingPolicy(f_goal=1.0, max_frames=8, factor=28), cache, decode_seconds=None)
    for sample in (sample for sample in open_records(records) if sample.row != 2):
        stack, plan = frames.read(sample)
        assert len(stack) == len(plan.indices)
    assert cache.misses == 0


def test_filling_again_decodes_nothing_but_what_is_damaged(
    records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = records.parent / "cache"
    fill(records, "--workers=1")
    capsys.readouterr()
    fill(records, "--workers=1", "--json")
    assert json.loads(capsys.readouterr().out)["decoded"] == 0
    entry = sorted(folder.glob("??/*.safetensors"))[0]
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    assert cli.main(["cache", "verify", str(folder)]) == 1
    assert f"{entry}: wrong checksum" in capsys.readouterr().out
    fill(records, "--workers=1", "--json")
    counts = json.loads(capsys.readouterr().out)
    assert counts["broken_entries"] == 1
    assert counts["decoded"] <= 1  # none, if what was damaged are the times of a video's frames
    assert cli.main(["cache", "verify", "--json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out) == {"entries": 4, "damaged": {}}
    assert cli.main(["cache", "size", "--json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 4


def test_damaged_entries_can_be_removed(records: Path) -> None:
    folder = records.parent / "cache"
    fill(records, "--workers=1")
    entry = sorted(folder.glob("??/*.safetensors"))[0]
    entry.write_bytes(entry.read_bytes()[:-9])
    assert cli.main(["cache", "verify", "--remove", str(folder)]) == 1
    assert not entry.exists()
    assert cli.main(["cache", "verify", str(folder)]) == 0


def test_mistakes_are_one_line(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (records.parent / "c.yaml").write_text(CONFIG + "    video_backend: opencv\n")
    filling = ["fill", str(records), "--cache=x"]
    for arguments, says in (
        ([*filling, f"-c={records.parent / 'c.yaml'}"], "unknown video_backend 'opencv'"),
        ([*filling, "-c=configs/sft.yaml", "--max-gb=0"], "size must be positive"),
        ([*filling, "-c=configs/sft.yaml", "--workers=0"], "--workers must be at least"),
        (["size", "nowhere"], "nowhere: no such folder"),
        ([], "required: ACTION"),
    ):
        assert cli.main(["cache", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert says in lines[0]


def test_the_cache_is_bounded(records: Path) -> None:
    fill(records, "--workers=1")
    folder = records.parent / "cache"
    sizes = [path.stat().st_size for path in folder.glob("??/*.safetensors")]
    shutil.rmtree(folder)
    fill(records, "--workers=1", f"--max-gb={(sum(sizes) - 1) / 1e9}")
    assert 1 <= len(list(folder.glob("??/*.safetensors"))) < len(sizes)
