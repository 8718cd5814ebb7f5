"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from medgrpo.errors import UserError
from medgrpo.services.files import clear_parts, whole_file, whole_folder, write_whole


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_replaced_when_all_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    assert write_whole(path, ["one ", "two"]).read_text() == "one two"
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "one two"
    assert path.read_bytes() == b"new"
    assert _names(tmp_path) == ["a", "a/b.txt"]


def test_an_error_in_between_changes_nothing(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "b.txt", "old")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert (path.read_text(), _names(tmp_path)) == ("old", ["b.txt"])


def test_a_folder_is_replaced_when_all_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "hf"
    for names in (["one", "two"], ["three"]):
        before = _names(path) if path.exists() else []
        with whole_folder(path) as folder:
            for name in names:
                (folder / name).write_text(name)
            assert (_names(path) if path.exists() else []) == before
        assert _names(path) == sorted(names)

    def fail() -> None:
        with whole_folder(path) as folder:
            (folder / "four").write_text("4")
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert _names(tmp_path) == ["hf", "hf/three"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.ENOSPC, "no space is left on the disk"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_a_disk_that_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Any, code: int, told: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=rf"new: cannot be written: .*{told}"), writer(tmp_path / "new"):
        pass
    assert _names(tmp_path) == []


def test_what_killed_writers_left_is_cleared(tmp_path: Path) -> None:
    for name in (".a[1].ckpt.01.part", ".a[1].ckpt.01.old", ".b.ckpt.01.part", "a[1].ckpt"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".a[1].ckpt.02.part").mkdir()
    clear_parts(tmp_path / "a[1].ckpt")
    assert _names(tmp_path) == [".b.ckpt.01.part", "a[1].ckpt"]
