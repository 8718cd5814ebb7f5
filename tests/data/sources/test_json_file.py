"""JSON is read with its places, and what is no JSON is named by line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonFileError, JsonNode, read_json


def test_values_know_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"frames": {"12": [{"box": [1, 2.0]}]}}', encoding="utf-8")
    document = read_json(tmp_path, "a.json")
    [(key, frame)] = document.member("frames").members()
    [entry] = frame.elements()
    one, two = entry.member("box").elements()
    assert key == "12"
    assert str(two.provenance) == "a.json, frames/12/0/box/1"
    assert two.field == "box"
    assert (one.whole(), two.whole(), two.number()) == (1, 2, 2.0)
    assert entry.has("box")
    assert not entry.has("label")
    assert not one.has("box")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1,\n "b": }', "line 2: is not valid JSON: Expecting value"),
        ("", "line 1: is not valid JSON: Expecting value"),
        ('{"a": 1, "a": 2}', "is not valid JSON: the key 'a' is twice in one object"),
        ('{"a": NaN}', "is not valid JSON: NaN is no number"),
        ("[" * 100_000, "is not valid JSON: "),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(JsonFileError) as caught:
        read_json(tmp_path, "a.json")
    assert str(caught.value).startswith(f"{path}: {problem}")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.line) == (str(caught.value), caught.value.line)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(JsonFileError, match=r"a\.json: is missing"):
        read_json(tmp_path, "a.json")
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(JsonFileError, match=r"a\.json: is not UTF-8 text"):
        read_json(tmp_path, "a.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JsonFileError, match="folder: cannot be read: Is a directory"):
        read_json(tmp_path, "folder")


def test_values_of_another_kind_are_refused_with_their_key() -> None:
    node = JsonNode({"box": "none", "n": True, "x": 1.5}, "a.json", ("frames", "3"))
    for call, column, problem in (
        (lambda: node.member("label"), "label", "is missing"),
        (lambda: list(node.elements()), "frames", "is not a list"),
        (lambda: list(node.member("box").elements()), "box", '"none" is not a list'),
        (lambda: node.member("box").member("x"), "box", '"none" is not an object'),
        (lambda: node.member("n").number(), "n", "true is not a number"),
        (lambda: node.member("x").whole(), "x", "1.5 is not a whole number"),
    ):
        with pytest.raises(CellError) as caught:
            call()
        assert caught.value.column == column
        assert problem in caught.value.problem
        assert str(node.problem(caught.value, "v").provenance) == "a.json, frames/3"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@given(value=JSON)
def test_every_document_is_read_as_it_is(folder: Path, value: object) -> None:
    (folder / "a.json").write_text(json.dumps(value))
    assert read_json(folder, "a.json").value == value
