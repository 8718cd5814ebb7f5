"""A build of tiny datasets in the layouts of the real ones, for tests that need a whole one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medgrpo.data.synthetic.layouts import write_layout

__all__ = ["CLASSES", "config", "digests", "write_sources"]

CLASSES: Mapping[str, str] = {
    "AVOS": "medgrpo.data.sources.avos.AVOS",
    "Cholec80_CVS": "medgrpo.data.sources.cholec80_cvs.Cholec80CVS",
    "CholecT50": "medgrpo.data.sources.cholect50.CholecT50",
    "CholecTrack20": "medgrpo.data.sources.cholectrack20.CholecTrack20",
    "CoPESD": "medgrpo.data.sources.copesd.CoPESD",
    "EgoSurgery": "medgrpo.data.sources.egosurgery.EgoSurgery",
    "JIGSAWS": "medgrpo.data.sources.jigsaws.JIGSAWS",
    "NurViD": "medgrpo.data.sources.nurvid.NurViD",
}
"""Name of each source of the benchmark to its importer."""


def write_sources(root: Path, names: Sequence[str] = tuple(CLASSES), videos: int = 2) -> Path:
    """Draw tiny datasets, one in each folder of ``root``."""
    for name in names:
        write_layout(name, root / name, videos, seed=0)
    return root


def config(
    path: Path,
    sources: Path,
    out: Path,
    servers: Mapping[str, str],
    names: Sequence[str] = tuple(CLASSES),
    **changes: Any,
) -> Path:
    """Write the config of a build.

    Args:
        path: The file.
        sources: Of :func:`write_sources`.
        out: Folder of the build.
        servers: Writer to base URL.
        names: Which sources.
        **changes: Over the keys of ``build``.
    """
    build: dict[str, Any] = {
        "out": str(out),
        "sources": {
            name: {"class_path": CLASSES[name], "init_args": {"root": str(sources / name)}} for name in names
        },
        "writers": {
            name: {
                "class_path": "medgrpo.data.build.writers.ChatWriter",
                "init_args": {
                    "model": f"{name}-test",
                    "base_url": url,
                    "cache": str(out / "work" / "replies.sqlite"),
                    "concurrency": 2,
                    "backoff_s": 0.01,
                },
            }
            for name, url in servers.items()
        },
        "engine": {"class_path": "medgrpo.data.build.engines.LocalEngine", "init_args": {"workers": 1}},
        "clips": {"min_seconds": 8.0, "usual_seconds": 20.0, "long_share": 0.0, "per_video": 2},
        "output": {"splits": {"fractions": {"train": 0.6, "val": 0.4}}, "near_duplicate": 1.0},
    }
    path.write_text(yaml.safe_dump({"build": build | changes}))
    return path


def digests(out: Path) -> dict[str, str]:
    """Every file of a build but those of its work, with its hash."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "work" not in path.relative_to(out).parts
    }
