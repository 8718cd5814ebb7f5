"""Every file of configs/build parses on its entry, and a wrong key is one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.commands.build import parsed_build
from medgrpo.data.build.build import Build
from medgrpo.errors import UserError

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "build"
ENTRY = CONFIGS / "medvidbench.yaml"
OVERLAYS = sorted(path for path in CONFIGS.glob("*.yaml") if path != ENTRY)
SOURCES = ("AVOS", "Cholec80_CVS", "CholecT50", "CholecTrack20", "CoPESD", "EgoSurgery", "JIGSAWS", "NurViD")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "WRITER_THREE"):
        monkeypatch.setenv(name, "stand-in")
    for name in SOURCES:
        (tmp_path / name).mkdir()
    return [f"paths.sources={tmp_path}", f"paths.out={tmp_path / 'out'}"]


def parsed(files: list[Path], places: list[str], *changes: str) -> Build:
    return parsed_build([str(file) for file in files], [*places, *changes])


def test_the_entry_has_all_sources_and_no_writer(places: list[str]) -> None:
    build = parsed([ENTRY], places)
    assert tuple(sorted(build.sources)) == SOURCES
    assert not build.writers
    assert "video_summary" not in build.questions.per_clip
    assert tuple(parsed([ENTRY], places, "build.sources.AVOS=null").sources) == SOURCES[1:]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_an_overlay_parses_on_the_entry(overlay: Path, places: list[str]) -> None:
    build = parsed([ENTRY, overlay], places)
    if overlay.stem.endswith("_writers"):
        assert sorted(build.writers) == ["gemini", "gpt"]


def test_overlays_fold_in_one_build(places: list[str]) -> None:
    build = parsed([ENTRY, *OVERLAYS], places)
    assert build.third is not None
    assert build.transcriber is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("build.sauces=1", "sauces"),
        ("build.clips.min_secnds=1", "min_secnds"),
        ("build.clips.min_seconds=long", "min_seconds"),
        ("build.clips.min_seconds=500", "min_seconds"),
        ("build.on_problem=ignore", "on_problem"),
        ("build.sources.AVOS.class_path=medgrpo.data.sources.avos.AVOSS", "AVOSS"),
        ("build.sources.AVOS.init_args.root=/nowhere", "/nowhere"),
        ("build.questions.per_clip={tall: 1}", "tall"),
        ("build.output.splits.official_test=maybe", "official_test"),
        ("build.engine.init_args.workers=0", "workers"),
        ("speed=3", "speed"),
        ("build.review=-1", "review"),
    ],
)
def test_a_mistake_is_named(change: str, named: str, places: list[str]) -> None:
    with pytest.raises(UserError, match=named):
        parsed([ENTRY], places, change)


def test_a_config_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("model: {}\n")
    with pytest.raises(UserError, match="no key build"):
        parsed_build([str(other)])
    with pytest.raises(UserError, match="KEY=VALUE"):
        parsed_build([str(other)], ["build.out"])
