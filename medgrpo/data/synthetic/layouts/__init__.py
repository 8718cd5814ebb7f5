"""Tiny drawn datasets in the layouts in which the real ones are published: for tests and a first try."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["LAYOUTS", "write_layout"]

LAYOUTS: Mapping[str, str] = {
    "AVOS": "medgrpo.data.synthetic.layouts.avos",
    "Cholec80_CVS": "medgrpo.data.synthetic.layouts.cholec80_cvs",
    "CholecT50": "medgrpo.data.synthetic.layouts.cholect50",
    "CholecTrack20": "medgrpo.data.synthetic.layouts.cholectrack20",
    "CoPESD": "medgrpo.data.synthetic.layouts.copesd",
    "EgoSurgery": "medgrpo.data.synthetic.layouts.egosurgery",
    "JIGSAWS": "medgrpo.data.synthetic.layouts.jigsaws",
    "NurViD": "medgrpo.data.synthetic.layouts.nurvid",
    "coco_csv": "medgrpo.data.synthetic.layouts.coco_csv",
}
"""The benchmark's name of each source, and that of the user-defined one, to the module that draws it."""


def write_layout(name: str, root: Path, videos: int, seed: int) -> None:
    """Draw a tiny dataset in the layout of a source.

    Args:
        name: A key of :data:`LAYOUTS`.
        root: Folder to fill; made if it is not there.
        videos: How many source videos.
        seed: Of everything: the same seed gives the same bytes.

    Raises:
        UserError: If no source has that name.
    """
    if name not in LAYOUTS:
        raise UserError(f"{name!r} has no layout to draw; known are: {', '.join(LAYOUTS)}")
    root.mkdir(parents=True, exist_ok=True)
    import_module(LAYOUTS[name]).write(root, videos, seed)
