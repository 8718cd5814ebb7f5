"""What the guide to sources shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from medgrpo.data.sources.annotations import Event
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.coco_csv import CocoCsv, EventTable
from medgrpo.data.sources.validate import validate
from medgrpo.data.synthetic.layouts import coco_csv as layout
from medgrpo.data.synthetic.layouts import write_layout
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.errors import UserError

GUIDE = (Path(__file__).parents[3] / "docs/sources.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def test_the_config_of_the_guide_reads_the_drawn_dataset(tmp_path: Path) -> None:
    write_layout("coco_csv", tmp_path, 2, 1)
    [text] = blocks("yaml")
    arguments = yaml.safe_load(text)["build"]["sources"]["Wards"]["init_args"]
    arguments["events"] = EventTable(**arguments["events"])
    found = validate(CocoCsv(**{**arguments, "root": tmp_path}))
    assert (found.problems, found.videos, found.operations) == (0, 2, 1)
    assert found.counts["events"] == sum(len(layout.scene_of(n, 1).actions) for n in (0, 1))


def test_the_tenth_source_of_the_guide_works(tmp_path: Path) -> None:
    [text] = [block for block in blocks("python") if "class Bench" in block]
    space: dict[str, object] = {"__name__": "bench"}
    exec(compile(text, "docs/sources.md", "exec"), space)
    bench = space["Bench"]
    assert isinstance(bench, type)
    assert issubclass(bench, Source)
    write_film(tmp_path / "t1.mp4", layout.scene_of(0, 1).render, 4, 5)
    (tmp_path / "t1.csv").write_text("what,from,to\nIn,1,2.5\nout,2,3\nOut,3,99\n")
    reading = bench(tmp_path).read("t1")
    [event] = reading.video.events
    assert isinstance(event, Event)
    assert (event.label, event.start, event.end) == ("needle insertion", 1.0, 2.5)
    assert [problem.problem for problem in reading.problems] == [
        "'out' is not a known action; the nearest is 'Out'; known are: In, Out",
        "3-99 is not within 4 s",
    ]
    assert validate(bench(tmp_path)).problems == 2
    (tmp_path / "t1.csv").unlink()
    with pytest.raises(UserError, match=r"t1\.csv: is missing"):
        bench(tmp_path).read("t1")
    (tmp_path / "t1.mp4").write_bytes(b"no film")
    assert validate(bench(tmp_path)).unusable == ["t1"]


def test_the_layouts_of_the_guide_are_the_drawn_ones() -> None:
    from medgrpo.data.synthetic.layouts import LAYOUTS

    titles = set(re.findall(r"^### .*\(`\w+\.(\w+)`\)$", GUIDE, re.MULTILINE))
    assert titles == {name.replace("_", "") for name in LAYOUTS if name != "coco_csv"}
