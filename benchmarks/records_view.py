"""The dashboard's data view over a records file of full size: how long its lists take, and its memory.

Generates rows as :mod:`benchmarks.records_index` does, then reads the file as the page does
(:mod:`app.records`), each time in a process of its own: until rows can be listed, the first time, which makes
the index that training uses, and later; until the check of every row is done; and lists under filters and
searches in texts while nothing else runs. A search ends with the page it fills, so the peer, ``grep`` over
the whole file, is asked for a text that no row holds. Results go to ``benchmarks/results/records_view.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.records_index import generate
from benchmarks.results import RESULTS, machine, results_table, save, versions

__all__ = ["main"]

FULL = 500_000
"""Rows."""

LIMITS = {"list": 0.3, "text": 1.0, "memory": 2000.0}
"""Seconds, and MB: those of the lists of rollouts."""

TEXTS = ("holds along hook", "question 8", "(question 1)")
"""Searched for: seldom, in some, in many rows."""

ABSENT = "no row holds this"


def main(argv: Sequence[str] = ()) -> None:
    """Generate, measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.records_view", description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL, help="rows of the file (default %(default)s)")
    parser.add_argument("--work", type=Path, help="where to make the temporary folder; needs about 2 GB")
    parser.add_argument("--out", type=Path, help="where to write the results")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.file:
        print(json.dumps(_view(args.file)))
        return
    with tempfile.TemporaryDirectory(dir=args.work, prefix="records_view_") as folder:
        path = Path(folder) / "records.json"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(generate(args.rows))
        size = path.stat().st_size
        first, later = _run(path), _run(path)
        peer = _grep(path, ABSENT)
    results = [
        _entry("rows listed, the first time", first["listed"], None, "s"),
        _entry("rows listed, later", later["listed"], None, "s"),
        _entry("every row checked", first["checked"], None, "s"),
        _entry("a list under filters", later["list"], LIMITS["list"], "s"),
        _entry("a search in texts", later["text"], LIMITS["text"], "s"),
        _entry("a search for what no row holds", later["text_absent"], peer, "s", "grep"),
        _entry("memory", max(first["memory"], later["memory"]), LIMITS["memory"], "MB"),
    ]
    print(f"{args.rows:,} rows, {size / 1e6:,.0f} MB")
    print(results_table(results))
    result = {"rows": args.rows, "file_bytes": size, "results": results, "measured": [first, later]}
    save("records_view", result | {"machine": machine(), "versions": versions("pyarrow")}, args.out)


def _view(path: Path) -> dict[str, float]:
    """Seconds, medians over questions of a kind, and MB."""
    from app.records.catalogue import Filters
    from app.records.library import RecordsFile
    from app.records.listing import list_rows
    from medgrpo.data.media import MediaPaths

    file = RecordsFile(path, MediaPaths(path.parent))
    start = time.perf_counter()
    file.refresh()
    catalogue = file.listed(3600).catalogue
    listed = time.perf_counter() - start
    if catalogue is None:
        raise RuntimeError(f"{path}: {file.state.problem or 'no list'}")
    while not file.state.done:
        time.sleep(0.05)
    checked = time.perf_counter() - start

    def seconds(filters: Filters, first: int) -> float:
        begun = time.perf_counter()
        list_rows(catalogue, filters, first, file.defects)
        return time.perf_counter() - begun

    plain = [Filters(), Filters("AVOS"), Filters(task="stg"), Filters("NurViD", "tal")]
    lists = [seconds(filters, first) for filters in plain for first in (0, len(catalogue) // 2)]
    texts = [seconds(Filters(text=text), 0) for text in TEXTS]
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM"))
    return {
        "listed": listed,
        "checked": checked,
        "list": median(lists),
        "list_slowest": max(lists),
        "text": median(texts),
        "text_slowest": max(texts),
        "text_absent": seconds(Filters(text=ABSENT), 0),
        "memory": memory,
    }


def _grep(path: Path, text: str) -> float:
    start = time.perf_counter()
    # It ends at the first line found if nobody reads what it prints.
    subprocess.run(["grep", "-c", "-i", "-F", text, str(path)], stdout=subprocess.PIPE, check=False)
    return time.perf_counter() - start


def _run(path: Path) -> dict[str, float]:
    code = "import sys; from benchmarks.records_view import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "--file", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=RESULTS.parents[1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _entry(name: str, ours: float, peer: float | None, unit: str, peer_name: str = "limit") -> dict[str, Any]:
    demanded = peer is not None and peer_name == "limit"
    return {
        "name": name,
        "ours": round(ours, 4),
        "peer": None if peer is None else round(peer, 4),
        "peer_name": None if peer is None else peer_name,
        "unit": unit,
        "ratio": None if peer is None else round(ours / peer, 4),
        "target": 1.0 if demanded else None,
        "met": ours <= peer if demanded and peer is not None else None,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
