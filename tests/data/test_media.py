"""Names in records become paths: two public splits, own prefixes, never the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.data.media import AUTHOR_ROOT, MediaPaths, parse_prefixes
from medgrpo.errors import UserError

ROOT = Path("media")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (f"{AUTHOR_ROOT}/AVOS/frames_15fps/v/000015.jpg", "media/valdata/AVOS/frames_15fps/v/000015.jpg"),
        (f"{AUTHOR_ROOT}//AVOS/./v/1.jpg", "media/valdata/AVOS/v/1.jpg"),
        (AUTHOR_ROOT, "media/valdata"),
        (f"{AUTHOR_ROOT}base/1.jpg", f"{AUTHOR_ROOT}base/1.jpg"),
        ("testdata/CAMMA_data/1.jpg", "media/testdata/CAMMA_data/1.jpg"),
        ("./testdata/1.jpg", "media/testdata/1.jpg"),
        ("/elsewhere/1.jpg", "/elsewhere/1.jpg"),
        ("frames/\u00e9 \U0001d11e.jpg", "media/frames/\u00e9 \U0001d11e.jpg"),
    ],
)
def test_the_public_splits(name: str, path: str) -> None:
    assert MediaPaths(ROOT).resolve(name) == Path(path)


def test_own_prefixes_extend_and_replace() -> None:
    media = MediaPaths(
        ROOT,
        {
            AUTHOR_ROOT: "other",
            f"{AUTHOR_ROOT}/AVOS/": "/disk/avos",
            "testdata": "/disk/test",
            "/kept": "/kept",
        },
    )
    assert media.resolve(f"{AUTHOR_ROOT}/CoPESD/1.jpg") == Path("media/other/CoPESD/1.jpg")
    assert media.resolve(f"{AUTHOR_ROOT}/AVOS/1.jpg") == Path("/disk/avos/1.jpg")  # the longest counts
    assert media.resolve(f"{AUTHOR_ROOT}/AVOS2/1.jpg") == Path("media/other/AVOS2/1.jpg")
    assert media.resolve("testdata/a/1.jpg") == Path("/disk/test/a/1.jpg")
    assert media.resolve("./testdata/a/1.jpg") == Path("/disk/test/a/1.jpg")
    assert media.resolve("testdata2/1.jpg") == Path("media/testdata2/1.jpg")
    assert media.resolve("/kept/1.jpg") == Path("/kept/1.jpg")


def test_every_absolute_path() -> None:
    media = MediaPaths(ROOT, {"/": "all"})
    assert media.resolve("/a/b.jpg") == Path("media/all/a/b.jpg")
    assert media.resolve(f"{AUTHOR_ROOT}/b.jpg") == Path("media/valdata/b.jpg")


def test_the_root_is_the_folder_of_the_records() -> None:
    assert MediaPaths.beside("data/rows.json").root == Path("data")
    assert MediaPaths.beside("data/rows.json", "media").root == ROOT


def test_prefixes_on_a_command_line() -> None:
    assert parse_prefixes(["a=b", "/c=d=e", "a=f"]) == {"a": "f", "/c": "d=e"}
    for wrong in ("a", "=b", "a="):
        with pytest.raises(UserError, match="has the form OLD=NEW"):
            parse_prefixes([wrong])
    with pytest.raises(UserError, match="must not be empty"):
        MediaPaths(ROOT, {"": "x"})
