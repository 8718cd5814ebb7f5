"""What the command line may name beside the runs, and what it says when that is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from app.sources import Sources, add_source_options, sources_of
from medgrpo.errors import UserError

ROOT = Path(__file__).parents[2]
TINY = ROOT / "medgrpo" / "assets" / "tiny_base"


def given(*options: str) -> Sources:
    parser = argparse.ArgumentParser()
    add_source_options(parser)
    return sources_of(parser.parse_args(options))


def test_paths_are_absolute_and_frames_follow_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    sources = given("--records", "train.json", "--media-root", "frames")
    ((path, media),) = sources.records
    assert path == tmp_path / "train.json"
    assert media.resolve("a.jpg") == tmp_path / "frames" / "a.jpg"
    assert sources.sampling_origin == "the usual settings"
    config = given("--config", str(ROOT / "configs" / "grpo.yaml"), "--model", str(TINY))
    assert config.sampling_origin == "grpo.yaml"
    model = given("--model", str(TINY), "--judge", "lexicon")
    assert model.sampling_origin == "the model assets/tiny_base"
    assert model.judge.id.startswith("lexicon")
    assert model.sampling != config.sampling


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--records", "none.json"), "none.json: no such file"),
        (("--model", "nowhere"), "is not a model directory"),
        (("--endpoint", "http://localhost:1/v1"), "--endpoint needs --endpoint-model"),
        (("--endpoint-model", "m"), "need --endpoint"),
        (("--endpoint", "https://api.example.org/v1", "--endpoint-model", "m"), "--endpoint-elsewhere"),
        (("--endpoint", "nonsense", "--endpoint-model", "m"), "--endpoint: base_url must look like"),
        (("--judge", "nobody"), "unknown judge 'nobody'"),
        (("--media-prefix", "x"), "OLD=NEW"),
    ],
)
def test_mistakes_are_one_clear_error(options: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        given(*options)


def test_another_machine_is_asked_only_where_that_is_said() -> None:
    sources = given(
        "--endpoint", "https://api.example.org/v1", "--endpoint-model", "m", "--endpoint-elsewhere"
    )
    assert sources.endpoint is not None
    assert sources.endpoint.allow_remote
