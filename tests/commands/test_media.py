"""Making the review clips of stored rollouts and of records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from medgrpo import cli
from medgrpo.data.records import write_records
from medgrpo.rollout.store import RolloutStore
from tests.data.encoding import encode, picture
from tests.data.test_records import row
from tests.rollout.rollouts import make_rollout, make_sample


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two rounds about two clips, whose paths are relative; of the second one a frame is missing."""
    samples = []
    for clip in range(2):
        names = tuple(Path(f"frames/{clip}/{k}.jpg") for k in range(4))
        (tmp_path / "frames" / str(clip)).mkdir(parents=True)
        for k, name in enumerate(names):
            Image.fromarray(picture(10 * clip + k)).save(tmp_path / name)
        samples.append(make_sample(frames=names))
    (tmp_path / "frames/1/2.jpg").unlink()
    store = RolloutStore(tmp_path / "runs" / "grpo", "r")
    for step in range(2):
        store.write(step, [make_rollout(sample, group_id=str(k)) for k, sample in enumerate(samples)])
    return tmp_path / "runs"


def media(*arguments: object) -> int:
    return cli.main(["media", *map(str, arguments)])


def counts(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_each_clip_of_a_store_gets_one_film(
    workers: int, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert media(runs, "--base", runs.parent, "--workers", workers, "--json") == 0
    told = counts(capsys)
    folder = runs.parent / "runs-review" / "media"
    films = sorted(folder.glob("*.mp4"))
    assert told == {
        "clips": 2, "made": 2, "incomplete": 1, "missing_frames": 1, "failed": 0, "unread_shards": 0,
        "bytes": sum(film.stat().st_size for film in films), "problems": [],
    }  # fmt: skip
    assert len(films) == 2
    assert folder.stat().st_mode & 0o777 == 0o700
    assert media(runs, "--base", runs.parent, "--workers", workers) == 0
    assert "2 clips, 0 films made now, 1 with 1 frames missing" in capsys.readouterr().out


def test_what_cannot_be_made_is_counted_and_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("0.jpg", "1.jpg", "3.jpg"):
        (runs.parent / "frames/1" / name).unlink()
    shard = next(runs.rglob("rank=*.parquet"))
    (shard.parent / "rank=001-00000000.parquet").write_bytes(b"PAR1 cut off")
    assert media(runs, "--base", runs.parent, "--workers", 1, "--json") == 1
    told = counts(capsys)
    assert (told["made"], told["failed"], told["unread_shards"]) == (1, 1, 1)
    assert "rank=001-00000000.parquet: not a readable Parquet file" in str(told["problems"])
    assert "none of the 4 frames of the clip can be read" in str(told["problems"])


def test_records_and_their_video_files_get_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encode(tmp_path / "a.mp4", 40)
    span = {"fps": "1", "video_id": "v", "input_video_start_time": "0.4", "input_video_end_time": "1.2"}
    video = row(id="video", video="a.mp4", sampled_video_frames=..., metadata=span)
    write_records([video, video | {"id": "again"}], tmp_path / "records.json")
    assert media(tmp_path / "records.json", "--out", tmp_path / "m", "--workers", 1, "--json") == 0
    assert counts(capsys)["clips"] == 1
    sidecar = json.loads(next((tmp_path / "m").glob("*.json")).read_text())
    assert sidecar["source"] == {"video": str(tmp_path / "a.mp4"), "start": 0.4, "end": 1.2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{0}/records.json"], "--out is needed where no folder of runs is given"),
        (["{0}"], "no rollouts in it"),
        (["{0}", "--workers", "0"], "--workers must be at least 1"),
        (["{0}/nowhere.json", "--out", "{0}/m"], "nowhere.json"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert media(*(argument.format(tmp_path) for argument in arguments)) == 2
    assert words in capsys.readouterr().err
