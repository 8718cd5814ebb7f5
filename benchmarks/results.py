"""What all benchmarks write and print: entries of one form, the machine, the versions.

A result file holds ``results``, a list of ``{"name", "ours", "peer", "peer_name", "unit", "ratio", "target",
"met"}``, beside what the benchmark adds.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import medgrpo
from medgrpo.evaluation.tables import grid

__all__ = ["RESULTS", "machine", "results_table", "save", "versions"]

RESULTS = Path(__file__).parent / "results"
"""Where results are kept."""


def machine() -> dict[str, Any]:
    """The machine and how busy it was."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.system(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Versions of medgrpo, Python and further packages."""
    own = {"medgrpo": medgrpo.__version__, "python": platform.python_version()}
    return own | {package: version(package) for package in packages}


def save(name: str, result: Mapping[str, Any], path: Path | None = None) -> Path:
    """Write a result, by default to ``results/<name>.json``, and say where."""
    target = path or RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"benchmark": name, **result}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}")
    return target


def results_table(results: Sequence[Mapping[str, Any]], digits: int = 3) -> str:
    """The entries for people."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    head = ["measured", "ours", "peer", "unit", "ratio", "target", "met"]
    body = [
        [
            entry["name"],
            *(number(entry[key]) for key in ("ours", "peer")),
            entry["unit"],
            number(entry["ratio"]),
            "-" if entry["target"] is None else str(entry["target"]),
            {True: "yes", False: "no", None: "-"}[entry["met"]],
        ]
        for entry in results
    ]
    return grid(head, body)
