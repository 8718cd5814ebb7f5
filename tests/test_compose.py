"""Composition: each row of the table of modes that decided for it, the class-aware merge, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.compose import Arguments, compose, environment_overrides, merge, split_arguments
from medgrpo.errors import UserError


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def composed(*files: Path, overrides: list[tuple[str, str]] | None = None, **kwargs: Any) -> dict[str, Any]:
    return compose(files, overrides or [], base=None, **kwargs)


def test_interpolation_inside_one_file(write: Any) -> None:
    assert composed(write("a.yaml", "paths: {root: r}\nout: ${paths.root}/x\n")) == {"out": "r/x"}


def test_override_of_a_variable_reaches_its_users(write: Any) -> None:
    file = write("a.yaml", "paths: {root: r}\nout: ${paths.root}/x\nkept: ${out}/y\n")
    assert composed(file, overrides=[("paths.root", "X")]) == {"out": "X/x", "kept": "X/x/y"}


def test_later_file_changes_the_variable(write: Any) -> None:
    first = write("a.yaml", "paths: {root: r}\nout: ${paths.root}/x\n")
    assert composed(first, write("b.yaml", "paths: {root: s}\n")) == {"out": "s/x"}


def test_reference_to_a_variable_in_another_file(write: Any) -> None:
    user = write("a.yaml", "out: ${vars.name}\n")
    assert composed(user, write("b.yaml", "vars: {name: n}\n")) == {"out": "n"}


def test_interpolation_keeps_numbers(write: Any) -> None:
    file = write("a.yaml", "vars: {n: 3, lr: 1e-5}\nsteps: ${vars.n}\nlr: ${vars.lr}\n")
    assert composed(file) == {"steps": 3, "lr": 1e-5}


def test_whole_node_from_a_variable(write: Any) -> None:
    file = write("a.yaml", "vars: {j: {class_path: a.J, init_args: {k: 1}}}\njudge: ${vars.j}\n")
    assert composed(file) == {"judge": {"class_path": "a.J", "init_args": {"k": 1}}}


def test_class_path_from_a_variable(write: Any) -> None:
    file = write("a.yaml", "vars: {c: a.J}\njudge: {class_path: '${vars.c}'}\n")
    assert composed(file, overrides=[("vars.c", "a.K")]) == {"judge": {"class_path": "a.K"}}


def test_second_file_adds_an_entry_to_a_mapping(write: Any) -> None:
    first = write("a.yaml", "components: {tal: {class_path: a.T, init_args: {weight: 1.0}}}\n")
    second = write("b.yaml", "components: {vs: {class_path: a.V}}\n")
    assert list(composed(first, second)["components"]) == ["tal", "vs"]


def test_another_class_replaces_the_node_and_its_arguments(write: Any) -> None:
    first = write("a.yaml", "judge: {class_path: a.J, init_args: {stats: s.json, k: 3}}\n")
    second = write("b.yaml", "judge: {class_path: a.K, init_args: {url: u}}\n")
    assert composed(first, second) == {"judge": {"class_path": "a.K", "init_args": {"url": "u"}}}


@pytest.mark.parametrize("name", ["a.J", "J"])
def test_the_same_class_merges(write: Any, name: str) -> None:
    first = write("a.yaml", "judge: {class_path: a.J, init_args: {stats: s.json, k: 3}}\n")
    second = write("b.yaml", f"judge: {{class_path: {name}, init_args: {{k: 4}}}}\n")
    assert composed(first, second)["judge"]["init_args"] == {"stats": "s.json", "k": 4}


def test_override_with_a_class_name_swaps_the_class(write: Any) -> None:
    file = write("a.yaml", "judge: {class_path: a.J, init_args: {k: 3}}\n")
    swapped = composed(file, overrides=[("judge", "a.K"), ("judge.url", "u")])
    assert swapped == {"judge": {"class_path": "a.K", "init_args": {"url": "u"}}}


def test_override_below_an_interpolated_node_leaves_the_variable(write: Any) -> None:
    file = write("a.yaml", "vars: {j: {class_path: a.J, init_args: {k: 1}}}\nx: ${vars.j}\ny: ${vars.j}\n")
    result = composed(file, overrides=[("x.k", "2")])
    assert (result["x"]["init_args"], result["y"]["init_args"]) == ({"k": 2}, {"k": 1})


def test_override_reaches_into_lists_and_leaves_out_init_args(write: Any) -> None:
    file = write("a.yaml", "callbacks: [{class_path: a.C, init_args: {n: 1}}]\n")
    assert composed(file, overrides=[("callbacks.0.n", "2")])["callbacks"][0]["init_args"] == {"n": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-5", 1e-5), ("-1", -1), ("true", True), ("null", None), ("[1, a]", [1, "a"]), ("", "")],
)
def test_override_values_read_as_yaml(text: str, value: Any) -> None:
    assert compose([], [("a.b", text)], base=None) == {"a": {"b": value}}


def test_named_callbacks_become_a_list_and_null_removes_one(write: Any) -> None:
    first = write("a.yaml", "trainer: {callbacks: {a: {class_path: x.A}, b: {class_path: x.B}}}\n")
    second = write("b.yaml", "trainer: {callbacks: {a: null, c: {class_path: x.C}}}\n")
    names = [node["class_path"] for node in composed(first, second)["trainer"]["callbacks"]]
    assert names == ["x.B", "x.C"]


def test_precedence_is_base_environment_file_override(write: Any) -> None:
    base, file = write("base.yaml", "a: 0\nb: 0\nc: 0\nd: 0\n"), write("f.yaml", "c: 2\nd: 2\n")
    environment = environment_overrides("P_FIT", {"P_FIT__B": "1", "P_FIT__C": "1", "P_TEST__A": "9"})
    result = compose([file], [("d", "3")], base=base, defaults=environment)
    assert result == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_environment_names_are_nested_keys() -> None:
    found = environment_overrides("MEDGRPO_FIT", {"MEDGRPO_FIT__TRAINER__MAX_EPOCHS": "3"})
    assert found == [("trainer.max_epochs", "3")]


def test_arguments_are_sorted() -> None:
    tokens = "-c a.yaml --x.y=1 --config=b.yaml --n -1 --print_config=skip_default --l+=3 --m.help C --help"
    assert split_arguments(tokens.split()) == Arguments(
        files=("a.yaml", "b.yaml"),
        overrides=(("x.y", "1"), ("n", "-1")),
        rest=("--print_config=skip_default", "--l+=3", "--m.help", "C", "--help"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1,\nb: {\n", ["a.yaml", "line 3"]),
        ("a: 1\na: 2\n", ["a.yaml", "line 2", "duplicate"]),
        ("- 1\n", ["a.yaml", "mapping"]),
        ("word\n", ["a.yaml", "mapping"]),
        ("out: ${paths.root}/x\n", ["out", "paths.root", "not defined"]),
        ("paths: {root: '???'}\nout: ${paths.root}/x\n", ["--paths.root=VALUE", "out"]),
        ("model: {lr: '???'}\n", ["--model.lr=VALUE"]),
        ("a: '${oc.env:MEDGRPO_UNSET_VARIABLE}'\n", ["MEDGRPO_UNSET_VARIABLE"]),
        ("a: ${b}\nb: ${a}\n", ["Recursive"]),
        ("a: '${b'\n", ["a.yaml", "${b"]),
    ],
)
def test_mistakes_in_a_file_are_named_in_one_line(write: Any, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        composed(write("a.yaml", text))
    message = str(caught.value)
    assert all(word in message for word in words)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("a.b.c", "1", ["a.b", "has no c"]),
        ("a..b", "1", ["a..b"]),
        ("l.7", "1", ["l is a list"]),
        ("x", "a: [", ["--x"]),
    ],
)
def test_mistakes_in_an_override(write: Any, key: str, text: str, words: list[str]) -> None:
    file = write("a.yaml", "a: {b: 1}\nl: [1]\n")
    with pytest.raises(UserError) as caught:
        composed(file, overrides=[(key, text)])
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("argv", "word"), [(["x.yaml"], "x.yaml"), (["--a"], "--a=VALUE"), (["--a", "--b=1"], "--a")]
)
def test_mistakes_in_tokens(argv: list[str], word: str) -> None:
    with pytest.raises(UserError, match=word):
        split_arguments(argv)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        composed(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not a file"):
        composed(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        composed(tmp_path / "binary.yaml")


def test_shipped_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert compose(["configs/trainer/cpu.yaml"], base=None)["trainer"]["accelerator"] == "cpu"


_keys = st.text("abcd", min_size=1, max_size=2)
_trees = st.recursive(st.integers(), lambda inner: st.dictionaries(_keys, inner, max_size=3), max_leaves=8)
_mappings = st.dictionaries(_keys, _trees, max_size=3)


def _paths(node: Any, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Leaves by path: the independent picture of a mapping."""
    if not isinstance(node, dict):
        return {at: node}
    return {path: leaf for key, value in node.items() for path, leaf in _paths(value, (*at, key)).items()}


@given(base=_mappings, over=_mappings)
def test_merge_keeps_every_leaf_that_is_not_overlaid(base: Any, over: Any) -> None:
    merged = _paths(merge(base, over))
    top = _paths(over)
    assert top.items() <= merged.items()
    for path, leaf in _paths(base).items():
        hidden = any(other[: len(path)] == path or path[: len(other)] == other for other in top)
        if not hidden and path in merged:
            assert merged[path] == leaf


@given(a=_mappings, b=_mappings)
def test_merge_leaves_its_inputs_alone_and_is_idempotent(a: Any, b: Any) -> None:
    before = yaml.safe_dump([a, b])
    merged = merge(a, b)
    assert merge(merged, b) == merged
    assert merge(a, {}) == a
    assert yaml.safe_dump([a, b]) == before
