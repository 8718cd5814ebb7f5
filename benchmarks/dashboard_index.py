"""The dashboard over 1,000,000 stored answers: how long people wait, and how much memory it takes.

Generates a rollout store in a temporary folder (``benchmarks/generated_rollouts.py``), then measures medians:
from the start of ``python -m app`` until it answers with a filled index, the first time and later; from then
to curves in a headless Chromium; lists under all filters and orders, searches in texts and opening groups
through :class:`app.index.RolloutIndex`; memory of the dashboard after all of it. The same questions are asked
of one SQLite file and of JSON lines. Results go to ``benchmarks/results/dashboard_index.json``: of each limit
the part that is used, and of each peer the part of its time.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from benchmarks.dashboard_peers import jsonl_times, sqlite_times
from benchmarks.generated_rollouts import COMMON, RARE, generate_store
from benchmarks.results import machine, results_table, save, versions

__all__ = ["main"]

FULL = 1_000_000
"""Answers."""

LIMITS = {"ready": 10.0, "page": 4.0, "list": 0.3, "text": 1.0, "open": 0.1, "memory": 2000.0}
"""Seconds, and MB of memory."""

_ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str] = ()) -> None:
    """Generate, measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard_index", description=__doc__)
    parser.add_argument("--answers", type=int, default=FULL, help="stored answers (default %(default)s)")
    parser.add_argument("--starts", type=int, default=3, help="later starts (default %(default)s)")
    parser.add_argument("--work", type=Path, help="where to make the temporary folder; needs about 12 GB")
    parser.add_argument("--out", type=Path, help="where to write the results")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.work, prefix="dashboard_index_") as folder:
        work = Path(folder)
        answers = generate_store(work / "runs", args.answers)
        measured = _starts(work, args.starts) | _questions(work)
        peers = {
            "SQLite": sqlite_times(work / "runs", work / "peer.sqlite"),
            "JSON lines": jsonl_times(work / "runs", work / "peer.jsonl"),
        }
        sizes = {"store": sum(path.stat().st_size for path in (work / "runs").rglob("*.parquet"))}
        sizes["own"] = sum(path.stat().st_size for path in (work / "own").rglob("*") if path.is_file())
    result = {
        "answers": answers,
        "results": _compare(measured, peers),
        "measured": measured,
        "peers": peers,
        "bytes": sizes,
        "machine": machine(),
        "versions": versions("duckdb", "gradio", "pyarrow"),
    }
    print(f"{answers:,} answers, {sizes['store'] / 1e6:,.0f} MB, own files {sizes['own'] / 1e6:,.0f} MB")
    print(results_table(result["results"], 3))
    save("dashboard_index", result, args.out)


@contextmanager
def _dashboard(work: Path) -> Iterator[tuple[float, str, int]]:
    """Seconds until the dashboard answered, its address, and its process id."""
    command = [sys.executable, "-m", "app", "--runs", str(work / "runs"), "--workspace", str(work / "own")]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()  # once the index is filled
        addresses = [word for word in said.split() if word.startswith("http")]
        if not addresses:
            raise RuntimeError("the dashboard did not start; what it said is above")
        urlopen(f"{addresses[0]}training/", timeout=60).read()
        yield time.perf_counter() - start, addresses[0], process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _starts(work: Path, times: int) -> dict[str, float | None]:
    """The first start, later ones, the first page, and memory once all texts are searchable."""
    from app.index.texts import TextIndex

    with _dashboard(work) as (first, _, process):
        start = time.perf_counter()
        shards = len(list((work / "runs").rglob("*.parquet")))
        texts = TextIndex((work / "own" / "index").resolve())
        while len(texts.sources()) < shards:
            time.sleep(0.2)
        building, memory = time.perf_counter() - start, _memory(process)
    ready, pages = [], []
    for _ in range(times):
        with _dashboard(work) as (seconds, address, process):
            ready.append(seconds)
            pages.append(_first_page(f"{address}training/"))
            memory = max(memory, _memory(process))
    shown = [seconds for seconds in pages if seconds is not None]
    return {
        "first_start": first,
        "ready": median(ready),
        "page": median(shown) if shown else None,
        "texts_build": building,
        "memory": memory,
    }


def _first_page(address: str) -> float | None:
    """Seconds until curves are on the page; None without a browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("no chromium here: the first page is not measured")
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto("about:blank")
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("#curves svg", timeout=120_000)
        seconds = time.perf_counter() - start
        browser.close()
    return seconds


def _questions(work: Path) -> dict[str, float]:
    """Seconds, medians over questions of a kind."""
    from app.index import ORDERS, GroupFilter, RolloutIndex

    index = RolloutIndex(work / "runs")
    index.keep_in((work / "own" / "index").resolve())
    index.refresh()
    filters = [
        GroupFilter(),
        GroupFilter("run-0"),
        GroupFilter(dataset="AVOS"),
        GroupFilter(task="video_summary", step=3),
        GroupFilter("run-1", dataset="NurViD", task="tal"),
        GroupFilter(reward_from=0.8),
        GroupFilter(reward_from=0.1, reward_to=0.2, parse_status="failed"),
    ]
    texts = [RARE, COMMON, f'"{COMMON} the"', f"{RARE[:6]}*", f"{COMMON} tissue grasps"]
    listed = [
        _seconds(lambda c=chosen, o=order: index.groups(c, o)) for chosen in filters for order in ORDERS
    ]
    listed.append(_seconds(lambda: index.groups(GroupFilter(), "worst", offset=5000)))
    searches = [
        _seconds(lambda t=text, r=run, o=order: index.groups(GroupFilter(r, text=t), o))
        for text in texts
        for run in (None, "run-0")
        for order in ("newest", "disagreement")
    ]
    rows, _ = index.groups(GroupFilter(), limit=5000)
    chosen = random.Random(0).sample(rows, min(40, len(rows)))
    opened = [_seconds(lambda g=group: index.group(g.run, g.step, g.group_id)) for group in chosen]
    index.close()
    kinds = {"list": listed, "text": searches, "open": opened}
    slowest = {f"{kind}_slowest": max(seconds) for kind, seconds in kinds.items()}
    return {kind: median(seconds) for kind, seconds in kinds.items()} | slowest


def _seconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return time.perf_counter() - start


def _memory(process: int) -> float:
    """Peak of a process, MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def _compare(measured: dict[str, float | None], peers: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Against the limits, then against the peers; a ratio below 1 is better."""
    lines = [
        ("ready after the first start", "first_start", "ready", "s"),
        ("ready after a later start", "ready", "ready", "s"),
        ("first page with curves", "page", "page", "s"),
        ("a list under filters, ordered", "list", "list", "s"),
        ("the slowest such list", "list_slowest", "list", "s"),
        ("a search in texts", "text", "text", "s"),
        ("opening a group", "open", "open", "s"),
        ("memory", "memory", "memory", "MB"),
    ]
    entries = [_entry(name, measured[key], LIMITS[limit], "limit", unit) for name, key, limit, unit in lines]
    for peer, times in peers.items():
        entries += [
            _entry(f"{name}, against {peer}", measured[key], times[key], peer, "s")
            for name, key in (("list", "list"), ("search in texts", "text"), ("opening a group", "open"))
        ]
    return entries


def _entry(name: str, ours: float | None, peer: float, peer_name: str, unit: str) -> dict[str, Any]:
    ratio = None if ours is None else ours / peer
    demanded = (
        peer_name == "limit"
    )  # peers are told beside it; a row store with an index opens a group faster
    return {
        "name": name,
        "ours": None if ours is None else round(ours, 6),
        "peer": round(peer, 6),
        "peer_name": peer_name,
        "unit": unit,
        "ratio": None if ratio is None else round(ratio, 4),
        "target": 1.0 if demanded else None,
        "met": ratio <= 1.0 if demanded and ratio is not None else None,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
