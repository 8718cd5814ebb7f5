"""Drawn datasets: importers find the drawn mistakes and no other, and bytes are the same again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medgrpo.data.build.fingerprints import settings_of
from medgrpo.data.sources.avos import AVOS
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.cholec80_cvs import Cholec80CVS
from medgrpo.data.sources.cholect50 import CholecT50
from medgrpo.data.sources.cholectrack20 import CholecTrack20
from medgrpo.data.sources.coco_csv import CocoCsv
from medgrpo.data.sources.copesd import CoPESD
from medgrpo.data.sources.egosurgery import EgoSurgery
from medgrpo.data.sources.jigsaws import JIGSAWS
from medgrpo.data.sources.nurvid import NurViD
from medgrpo.data.sources.validate import validate
from medgrpo.data.synthetic.layouts import LAYOUTS, write_layout
from medgrpo.data.synthetic.layouts.coco_csv import options
from medgrpo.errors import UserError

IMPORTERS: dict[str, Callable[[Path], Source]] = {
    "AVOS": AVOS,
    "Cholec80_CVS": Cholec80CVS,
    "CholecT50": CholecT50,
    "CholecTrack20": CholecTrack20,
    "CoPESD": CoPESD,
    "EgoSurgery": EgoSurgery,
    "JIGSAWS": JIGSAWS,
    "NurViD": NurViD,
    "coco_csv": lambda root: CocoCsv(root, **options()),
}


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_drawn_dataset_is_read_and_is_the_same_again(name: str, tmp_path: Path) -> None:
    for again in ("a", "b"):
        write_layout(name, tmp_path / again, 1, 5)
    assert digests(tmp_path / "a") == digests(tmp_path / "b") != {}
    source = IMPORTERS[name](tmp_path / "a")
    found = validate(source)
    assert json.dumps(settings_of(source))  # results of a build are known by a source's arguments
    assert found.refused == ""
    assert found.operations == 1
    assert found.unusable == []
    assert sum(found.counts.values()) > 0
    own = [group.file for group in found.groups if group.field in ("clock", "duration", "footage")]
    assert not own, found.table()


def test_another_seed_draws_another_dataset(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_layout("CoPESD", tmp_path / str(seed), 1, seed)
    assert digests(tmp_path / "1") != digests(tmp_path / "2")


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    assert set(IMPORTERS) == set(LAYOUTS)
    with pytest.raises(UserError, match="'Nobody' has no layout to draw; known are: AVOS, "):
        write_layout("Nobody", tmp_path, 1, 0)
