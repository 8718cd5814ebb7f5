"""A whole build of all eight sources: through validation into training, with two real servers, no network."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medgrpo.cli import main
from medgrpo.data.records import read_records
from medgrpo.data.splits import canonical_video_id
from tests import forks
from tests.data.build.caption_server import pictures_of, writers
from tests.data.build.small_build import CLASSES, config, digests, write_sources
from tests.services.chat_server import Answer, ChatServer
from tests.tiny_models import tiny_directory

NO_WRITERS: dict[str, str] = {}
STRUCTURED = ("Cholec80_CVS", "CholecTrack20", "JIGSAWS")


@dataclass
class World:
    """Drawn sources, the servers of both writers, and a build of all sources by them."""

    sources: Path
    servers: tuple[ChatServer, ChatServer]
    out: Path
    status: int
    printed: str

    @property
    def urls(self) -> dict[str, str]:
        """Writer to base URL."""
        return {name: one.base_url for name, one in zip(("gpt", "gemini"), self.servers, strict=True)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("build")
    sources = write_sources(folder / "sources")
    with writers() as servers:
        made = World(sources, servers, folder / "out", -1, "")
        path = config(folder / "build.yaml", sources, made.out, made.urls)
        (ended,) = forks.run_medgrpo("build", "--config", str(path), "--json")
        made.status, made.printed = ended.returncode, ended.stdout
        assert ended.returncode == 0, ended.stderr
        yield made


def test_every_source_and_task_is_in_the_records(world: World) -> None:
    rows = [row for split in ("train", "val") for row in read_records(world.out / f"{split}.json")]
    assert {row.dataset for row in rows} == set(CLASSES)
    tasks = {row.task for row in rows}
    assert tasks == {
        *("tal", "stg", "next_action", "dense_captioning", "video_summary", "region_caption"),
        *("skill_assessment", "cvs_assessment"),
    }
    told = json.loads(world.printed)
    assert told["unusable_videos"] == {}
    assert told["texts"]["gpt"] == told["texts"]["gemini"] > 0
    for name in ("DATA_CARD.md", "manifest.json", "splits.json", "statistics.json", "quarantine.jsonl"):
        assert (world.out / name).stat().st_size > 0


def test_the_records_validator_finds_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val"):
        assert main(["check", str(world.out / f"{split}.json"), "--frames", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["defects"] == 0
        assert found["duplicates"]["conflicting"]["rows"] == 0


def test_no_video_is_in_two_splits(world: World) -> None:
    videos = {
        split: {
            canonical_video_id(row.video_id, row.dataset) for row in read_records(world.out / f"{split}.json")
        }
        for split in ("train", "val")
    }
    assert not videos["train"] & videos["val"]


def test_a_model_trains_on_the_records(world: World, tmp_path: Path) -> None:
    (ended,) = forks.run_medgrpo(
        "fit",
        *("--config", "configs/sft.yaml", "--config", "configs/demo/sft.yaml"),
        *("--trainer.max_steps", "2", "--data.init_args.num_workers", "0"),
        f"--paths.model={tiny_directory('qwen2_5_vl')}",
        f"--paths.records={world.out / 'train.json'}",
        f"--paths.val_records={world.out / 'val.json'}",
        *(f"--paths.root={tmp_path}", "--paths.run=built"),
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "built").is_dir()


def test_writers_saw_annotations_of_pictures_and_plain_web_videos(world: World) -> None:
    prompts = [str(request["messages"]) for request in world.servers[0].requests]
    assert all(pictures_of(request) for request in world.servers[0].requests)
    laparoscopic = [text for text in prompts if "laparoscopic cholecystectomy" in text and "phase " in text]
    assert laparoscopic


def test_the_same_build_again_asks_nobody_and_changes_nothing(world: World, tmp_path: Path) -> None:
    before, asked = digests(world.out), [len(server.requests) for server in world.servers]
    path = config(tmp_path / "build.yaml", world.sources, world.out, world.urls)
    assert main(["build", "--config", str(path), "--json"]) == 0
    assert digests(world.out) == before
    assert [len(server.requests) for server in world.servers] == asked


@pytest.mark.parametrize(
    "engine",
    [
        {"class_path": "medgrpo.data.build.engines.LocalEngine", "init_args": {"workers": 2}},
        {"class_path": "medgrpo.data.build.engines.RayEngine", "init_args": {"concurrency": 2}},
    ],
    ids=["processes", "ray"],
)
def test_engines_give_the_same_bytes(world: World, tmp_path: Path, engine: dict[str, object]) -> None:
    one = config(tmp_path / "one.yaml", world.sources, tmp_path / "one", NO_WRITERS, STRUCTURED)
    other = config(
        tmp_path / "other.yaml", world.sources, tmp_path / "other", NO_WRITERS, STRUCTURED, engine=engine
    )
    for path in (one, other):
        (ended,) = forks.run_medgrpo("build", "--config", str(path), "--json")
        assert ended.returncode == 0, ended.stderr
    assert digests(tmp_path / "one") == digests(tmp_path / "other")


def test_a_dry_run_prices_without_a_request(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [len(server.requests) for server in world.servers]
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls)
    prices = {f"{name}-test": {"prompt": 2.0, "completion": 8.0} for name in world.urls}
    limits = [
        argument
        for name in world.urls
        for argument in ("--set", f"build.writers.{name}.init_args.limits={json.dumps({'prices': prices})}")
    ]
    assert main(["build", "--config", str(path), "--dry-run", "--json", *limits]) == 0
    told = json.loads(capsys.readouterr().out)
    made = json.loads(world.printed)
    assert told["all"]["requests"] == made["texts"]["gpt"]
    assert told["all"]["questions"] == made["answered_questions"]
    for cost in told["cost"].values():
        tokens = told["all"]["prompt_tokens"] * 2.0 + told["all"]["completion_tokens"] * 8.0
        assert cost == pytest.approx(tokens / 1e6)
    assert [len(server.requests) for server in world.servers] == asked
    assert not (tmp_path / "out").exists()


def test_problems_are_listed_quarantined_or_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (world.out / "quarantine.jsonl").read_text().splitlines()]
    assert any(line["source"] == "AVOS" and line["line"] and line["field"] for line in lines)
    assert Counter(line["source"] for line in lines) == json.loads(world.printed)["problems"]
    sources = json.loads((world.out / "manifest.json").read_text())["sources"]
    counted = {(name, field): n for name in sources for field, n in sources[name]["problems"].items()}
    assert Counter((line["source"], line["field"]) for line in lines) == counted
    assert any(not line["video_id"] for line in lines)  # also those of no single video
    path = config(
        tmp_path / "build.yaml", world.sources, tmp_path / "out", NO_WRITERS, ("AVOS",), on_problem="refuse"
    )
    assert main(["build", "--config", str(path), "--validate"]) == 1
    assert "start_seconds" in capsys.readouterr().out
    assert main(["build", "--config", str(path)]) == 2
    assert "problems in the sources" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_texts_that_do_not_come_are_asked_for_by_the_next_run(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("CholecTrack20",)
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls, names)
    quick = [f"build.writers.{name}.init_args.max_retries=0" for name in world.urls]
    arguments = ["build", "--config", str(path), "--json", *(part for q in quick for part in ("--set", q))]
    working = world.servers[1].answer
    world.servers[1].answer = lambda request: Answer(status=500)
    try:
        assert main(arguments) == 1
    finally:
        world.servers[1].answer = working
    told = json.loads(capsys.readouterr().out)
    assert told["texts_missing"] == {"gemini: http": told["texts"]["gpt"]}
    assert told["manifest"] is None
    asked = len(world.servers[0].requests)
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["texts_missing"] == {}
    assert len(world.servers[0].requests) == asked


def test_a_third_model_writes_about_the_sample_and_films_are_made(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = {
        "class_path": "medgrpo.data.build.writers.ChatWriter",
        "init_args": {
            "model": "third-test",
            "base_url": world.urls["gpt"],
            "cache": str(tmp_path / "replies.sqlite"),
        },
    }
    names = ("CholecTrack20", "EgoSurgery")
    path = config(
        tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls, names, third=third, review=5
    )
    exports = ["--parquet", str(tmp_path / "hub"), "--films", str(tmp_path / "films")]
    assert main(["build", "--config", str(path), "--json", *exports]) == 0
    told = json.loads(capsys.readouterr().out)
    table = json.loads((tmp_path / "out" / "third_model.json").read_text())
    assert table["statuses"] == {"ok": 5}
    assert table["agreement"]["all"]["similarity:gpt"]["value"] == 1.0  # it is the same model
    assert len(read_records(tmp_path / "out" / "review.json")) == 2 * 5
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    assert {"review.json", "third_model.json", "quarantine.jsonl"} <= set(listed)
    assert list((tmp_path / "hub" / "data").glob("train-*.parquet"))
    kept = {
        row["video"][0] + row["video"][-1]
        for split in ("train", "val")
        for row in json.loads((tmp_path / "out" / f"{split}.json").read_text())
    }
    assert told["films"] == {"clips": len(kept), "with_missing_frames": 0, "failed": 0}
    assert len(list((tmp_path / "films").rglob("*.mp4"))) == len(kept)


def test_two_writers_that_are_one_are_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls, ("CholecTrack20",))
    assert (
        main(["build", "--config", str(path), "--set", "build.writers.gemini.init_args.model=gpt-test"]) == 2
    )
    assert "same model" in capsys.readouterr().err


def test_nothing_goes_to_another_machine_unless_the_config_says_so(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = {"gpt": "https://api.example.org/v1", "gemini": world.urls["gemini"]}
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", urls, ("CholecTrack20",))
    assert main(["build", "--config", str(path)]) == 2
    assert "allow_remote: true" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_key_is_told_before_anything_is_made_or_said_to_leave(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls, ("CholecTrack20",))
    key = "build.writers.gemini.init_args.api_key_env=NO_SUCH_KEY"
    assert main(["build", "--config", str(path), "--set", key]) == 2
    assert "NO_SUCH_KEY" in capsys.readouterr().err
    assert "of clips" not in caplog.text
    assert not (tmp_path / "out" / "frames").exists()


def test_a_key_is_nowhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WRITER_KEY", "sk-very-secret-0123456789")
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", world.urls, ("CholecTrack20",))
    keys = [f"build.writers.{name}.init_args.api_key_env=WRITER_KEY" for name in world.urls]
    assert main(["build", "--config", str(path), *(part for key in keys for part in ("--set", key))]) == 0
    printed = capfd.readouterr()
    assert world.servers[0].headers[-1]["authorization"] == "Bearer sk-very-secret-0123456789"
    assert "very-secret" not in printed.out + printed.err
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"very-secret" not in file.read_bytes()


def test_lost_frames_are_written_again(world: World, tmp_path: Path) -> None:
    path = config(tmp_path / "build.yaml", world.sources, tmp_path / "out", NO_WRITERS, ("CholecTrack20",))
    assert main(["build", "--config", str(path), "--json"]) == 0
    before = digests(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "frames")
    assert main(["build", "--config", str(path), "--json"]) == 0
    assert digests(tmp_path / "out") == before
