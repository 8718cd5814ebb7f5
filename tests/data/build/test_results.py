"""Results of stages are found again by content, appear whole, and read back as what was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.build.results import Results, content_hash
from medgrpo.data.sources.annotations import Event, Instance, Problem, Provenance, Reading, SourceVideo
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas, Clip

KEY = content_hash("a key")
WHERE = Provenance("labels/VID01.json", key="annotations/3")
VIDEO = SourceVideo(
    source="CholecT50",
    video_id="VID01",
    canonical_id="cholec:1",
    footage=Clip(frames=(Path("videos/VID01/000000.png"),), times=(0.0,)),
    clock=1.0,
    duration=1.0,
    canvas=Canvas(854, 480),
    events=(Event("phase", "preparation", 0.0, 1.0, WHERE),),
    instances=(Instance(0.0, "grasper", WHERE, Box(1.0, 2.0, 3.5, 4.0), attributes={"hand": "left"}),),
    annotated=(0.0,),
)
READING = Reading(VIDEO, (Problem("VID01", WHERE, "row", "two numbers are missing"),), {"events": 1})


def unused() -> Reading:
    raise AssertionError("it was made before")


def test_a_result_is_made_once_and_reads_back_as_it_was(tmp_path: Path) -> None:
    results: Results[Reading] = Results(tmp_path, "import@1", Reading)
    assert results.get(KEY) is None
    assert results.made(KEY, lambda: READING) == READING
    assert results.made(KEY, unused) == READING
    assert Results[Reading](tmp_path, "import@1", Reading).get(KEY) == READING
    assert Results[Reading](tmp_path, "import@2", Reading).get(KEY) is None


@pytest.mark.parametrize("damage", [lambda text: text[:40], lambda text: "", lambda text: '{"problems": 3}'])
def test_a_damaged_result_is_made_anew(tmp_path: Path, damage: Callable[[str], str]) -> None:
    results: Results[Reading] = Results(tmp_path, "import@1", Reading)
    results.made(KEY, lambda: READING)
    results.path(KEY).write_text(damage(results.path(KEY).read_text()))
    assert results.get(KEY) is None
    assert results.made(KEY, lambda: READING) == READING
    assert results.get(KEY) == READING


def test_nothing_is_kept_of_what_failed(tmp_path: Path) -> None:
    results: Results[Reading] = Results(tmp_path, "import@1", Reading)
    with pytest.raises(AssertionError):
        results.made(KEY, unused)
    assert not list(tmp_path.rglob("*.json*"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "import@1").write_text("a file")
    with pytest.raises(UserError, match="import@1"):
        Results[Reading](tmp_path, "import@1", Reading).made(KEY, lambda: READING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equal_hashes_are_equal_content(one: object, other: object) -> None:
    assert content_hash(one) == content_hash(json.loads(json.dumps(one)))
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (content_hash(one) == content_hash(other)) == same


def test_the_order_of_keys_changes_no_hash() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
