"""Building without writers: import, clips, frames on the disk, questions, and the pictures of every prompt.

Draws datasets in published layouts with frames and films of 854x480, then measures, each in a process of its
own: a plain loop (:mod:`benchmarks.build_plain`), the build with one worker and with two, the same build
again, which finds every video prepared, and the build of a quarter and of half of the videos. Seconds are of
the work with the start of the workers, without the start of the first process. Memory is the largest sum of
what the process and all below it have resident, looked at twenty times a second; what they share counts in
each of them. Results go to ``benchmarks/results/build.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.build_plain import plain_build
from benchmarks.build_sources import SIZE, generate_sources, open_sources
from benchmarks.results import RESULTS, machine, results_table, save, versions

__all__ = ["main"]

LOOK = 0.05
"""Seconds between two looks at the memory."""

Measured = dict[str, float]


def main(argv: Sequence[str] = ()) -> None:
    """Generate, measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build", description=__doc__)
    parser.add_argument("--videos", type=int, default=12, help="of each dataset (default %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, help="pixels (default %(default)s)")
    parser.add_argument("--work", type=Path, help="where to make the temporary folder")
    parser.add_argument("--out", type=Path, help="result file (default: benchmarks/results/build.json)")
    parser.add_argument("--measure", choices=("plain", "build"), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--folders", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(_measure(args.measure, args.workers, *args.folders)))
        return
    with tempfile.TemporaryDirectory(dir=args.work, prefix="build_") as name:
        folder = Path(name)
        quarter, half = (
            generate_sources(folder / name, max(1, args.videos // parts), tuple(args.size))
            for name, parts in (("few", 4), ("some", 2))
        )
        all_ = generate_sources(folder / "all", args.videos, tuple(args.size))
        load = machine()
        measured = {
            "plain": _run("plain", 1, all_, folder / "plain"),
            "one_worker": _run("build", 1, all_, folder / "one"),
            "two_workers": _run("build", 2, all_, folder / "two"),
            "again": _run("build", 2, all_, folder / "two"),
            "quarter": _run("build", 2, quarter, folder / "quarter"),
            "half": _run("build", 2, half, folder / "half"),
        }
    result = {
        "videos": args.videos,
        "size": list(args.size),
        "results": _compare(measured),
        "measured": measured,
        "machine": load,
        "versions": versions("av", "pillow", "supervision"),
    }
    print(results_table(result["results"]))
    save("build", result, args.out)


def _measure(side: str, workers: int, sources: Path, out: Path) -> dict[str, float]:
    from medgrpo.data.build.build import Build
    from medgrpo.data.build.clips import ClipPolicy
    from medgrpo.data.build.engines import LocalEngine
    from medgrpo.data.build.questions import QuestionPolicy

    # The drawn videos last less than a minute, so clips are shorter than the published ones.
    clips = ClipPolicy(min_seconds=8.0, usual_seconds=20.0, long_share=0.0)
    build = Build(str(out), dict(open_sources(sources)), clips=clips)
    build.questions = QuestionPolicy()  # a build without writers would ask for no texts
    start = time.perf_counter()
    if side == "plain":
        return plain_build(build.preparation(), out) | {"seconds": time.perf_counter() - start}
    engine = LocalEngine(workers)
    results = list(engine.map(build.preparation(), build.items))
    prepared = time.perf_counter() - start
    usable = [result for result in results if result.key]
    made = {
        "videos": len(usable),
        "clips": sum(result.clips for result in usable),
        "frames": 0,
        "pictures": 0,
    }
    for requests in engine.map(build.prompting(), usable):
        prompts = [request.prompt for request in requests if request.prompt is not None]
        made["pictures"] += sum(len(prompt.pictures) for prompt in prompts)
    seconds = time.perf_counter() - start
    engine.close()
    made["frames"] = sum(1 for _ in (out / "frames").rglob("*.jpg"))
    return made | {"seconds": seconds, "prepare_seconds": prepared}


def _run(side: str, workers: int, sources: Path, out: Path) -> Measured:
    """Measure in a process of its own, and watch the memory of it and of its workers."""
    code = "import sys; from benchmarks.build import main; main(sys.argv[1:])"
    told = ["--measure", side, "--workers", str(workers), "--folders", str(sources), str(out)]
    command = [sys.executable, "-c", code, *told]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=RESULTS.parents[1]) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(LOOK)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"measuring {side} failed with exit status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found: Measured = json.loads(output)
    found["cpu_seconds"] = cpu
    return found | {"peak_mib": peak / 2**20, "frames_per_second": found["frames"] / found["seconds"]}


def _resident(root: int) -> int:
    """Bytes that a process and all below it have resident."""
    children: dict[int, list[int]] = defaultdict(list)
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            children[int(after_name[1])].append(int(entry.name))
            pages[int(entry.name)] = int(after_name[21])
    total, left = 0, [root]
    while left:
        process = left.pop()
        total += pages.get(process, 0)
        left += children[process]
    return total * 4096


def _compare(measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """Ours against the peer."""
    plain, one, two = measured["plain"], measured["one_worker"], measured["two_workers"]
    again, quarter, half = measured["again"], measured["quarter"], measured["half"]

    def line(
        title: str, ours: float, peer: float, peer_name: str, unit: str, target: float, more: bool
    ) -> dict[str, Any]:
        ratio = ours / peer
        return {
            "name": title,
            "ours": round(ours, 3),
            "peer": round(peer, 3),
            "peer_name": peer_name,
            "unit": unit,
            "ratio": round(ratio, 3),
            "target": target,
            "met": ratio >= target if more else ratio <= target,
        }

    rate = "frames_per_second"
    return [
        line("two workers", two[rate], plain[rate], "plain loop", "frames/s", 1.5, True),
        line("one worker", one[rate], plain[rate], "plain loop", "frames/s", 1.0, True),
        line("two workers over one", two[rate], one[rate], "one worker", "frames/s", 1.5, True),
        line("processor time", one["cpu_seconds"], plain["cpu_seconds"], "plain loop", "s", 1.0, False),
        line(
            "videos that are prepared",
            again["prepare_seconds"],
            two["prepare_seconds"],
            "first run",
            "s",
            0.5,
            False,
        ),
        line("peak memory, half", half["peak_mib"], quarter["peak_mib"], "a quarter", "MiB", 1.1, False),
        line("peak memory", two["peak_mib"], quarter["peak_mib"], "a quarter", "MiB", 1.1, False),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
