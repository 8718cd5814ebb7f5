"""Every way to read records takes the same places of frames."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import pytest

from medgrpo.commands import baseline, check, evaluate
from medgrpo.commands.media_options import media_options
from medgrpo.data.grpo import GRPOData
from medgrpo.data.index import index_paths
from medgrpo.data.lazy_records import open_records
from medgrpo.data.media import AUTHOR_ROOT
from medgrpo.data.records import write_records
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.data.sft import SFTData
from tests.data.test_records import row

NEEDED = {
    baseline: ["--model=m", "--records=r", "--out=o", "--config=c"],
    check: ["r"],
    evaluate: ["--model=m", "--records=r", "--out=o"],
}


@pytest.mark.parametrize("command", NEEDED)
def test_commands_take_places_of_frames(command: ModuleType) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert media_options(parser.parse_args(NEEDED[command])) == {"media_root": None, "media_prefixes": {}}
    given = ["--media-root", "m", "--media-prefix", "a=b", "--media-prefix", f"{AUTHOR_ROOT}=c"]
    assert media_options(parser.parse_args([*NEEDED[command], *given])) == {
        "media_root": Path("m"),
        "media_prefixes": {"a": "b", AUTHOR_ROOT: "c"},
    }


@pytest.mark.parametrize("kind", [SFTData, GRPOData])
def test_training_data_takes_places_of_frames(
    kind: type[SFTData] | type[GRPOData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medgrpo.data.index.KEPT_FROM", 1)
    path = tmp_path / "rows.json"
    write_records([row(video=[f"{AUTHOR_ROOT}/X/1.jpg", "testdata/2.jpg", "f/3.jpg", "/f/4.jpg"])], path)
    data = kind(str(path), SamplingPolicy(), media_prefixes={"f": "/disk", "/f": "inside"})
    data.prepare_data()
    assert index_paths(path)[0].is_file()
    places = ("valdata/X/1.jpg", "testdata/2.jpg", "/disk/3.jpg", "inside/4.jpg")
    assert data.open_records(str(path))[0].clip.frames == tuple(tmp_path / place for place in places)


def test_evaluations_of_a_selection_stay_lazy(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    write_records([row(id=f"v{k}") for k in range(9)], path)
    records = open_records(path)
    chosen = evaluate.select_rows(records, 4)
    assert isinstance(chosen, type(records))
    assert [s.key for s in chosen] == [s.key for s in evaluate.select_rows(list(records), 4)]
    assert evaluate.select_rows(records, None) is records


def test_questions_are_spread_over_the_file_and_its_pairs() -> None:
    pairs = [("A", "tal"), ("B", "stg")] * 6 + [("A", "stg")]
    assert baseline.spread_over_pairs(pairs, 3) == [12, 0, 4, 8, 1, 5, 9]
    assert sorted(baseline.spread_over_pairs(pairs, 100)) == list(range(13))
