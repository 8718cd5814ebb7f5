"""Decoding sampled frames: CPU time and memory against decord, OpenCV, torchcodec and the ffmpeg program.

Generates videos of 854x480 and 1920x1080 with a keyframe every 12 and every 250 frames, then reads 0.1 frames
a second over ten minutes, 1 over two minutes and 3 over thirty seconds from inside, resized while decoding.
Every decoder uses one thread and a process of its own; the five runs of a cell are interleaved. Times are
medians, peaks of memory the highest of all runs. OpenCV and ffmpeg, where they take over twice as long as
ours in their first run, are not run again: the number is that of one run, or, where that was stopped, a lower
bound.

What is chosen is compared: each peer's frame must be closer to ours than to ours of the source frame before
and after it. torchcodec decodes with another FFmpeg and resizes as we do: its pixels must be ours.

To keep generation short a minute is encoded and repeated without encoding again, at keyframes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.results import RESULTS, machine, save, versions
from benchmarks.video_decode_peers import RATE, Cell, frame_indices
from medgrpo.errors import UserError

__all__ = ["main"]

SIZES = {"854x480": (854, 480, "2500k", 392, 224), "1920x1080": (1920, 1080, "8000k", 504, 280)}
"""Width, height and bit rate of a video; width and height of the frames that are asked for."""

GOPS = (12, 250)
SPANS = {
    "3 FPS over 30 s": (0.5, 0.05, 3.0),
    "1 FPS over 2 min": (0.4, 0.2, 1.0),
    "0.1 FPS over 10 min": (0.0, 1.0, 0.1),
}
"""Start and length as shares of the video, frames a second."""

SLOW = ("opencv", "ffmpeg")
LIMIT = 2.0
"""Times ours at which a peer is not run again, or is stopped."""


def main(argv: Sequence[str] = ()) -> None:
    """Generate, measure, compare, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video_decode", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="length of the videos (default %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of a cell (default %(default)s)")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--videos", type=Path, help="folder of videos, which are made where missing")
    parser.add_argument(
        "--opencv-python",
        default=sys.executable if find_spec("cv2") else None,
        help="interpreter with opencv-python-headless and NumPy (default: this one, where it has them)",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "video_decode.json", help="results file")
    parser.add_argument("--resume", action="store_true", help="keep the cells that the results file holds")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="video_decode_") as folder:
        cells = _cells(args.videos or Path(folder), folder, args.seconds, args.sizes)
        peers = _peers(args.opencv_python)
        measured = _kept(args) if args.resume else {}
        for name in tqdm([name for name in cells if name not in measured], desc="decode", unit="cell"):
            measured[name] = _measure(cells[name], peers, args.runs)
            _write(measured, args)  # what is there, should the rest be interrupted
    print(_table(_write(measured, args)))


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """The cells of an earlier run of the same benchmark."""
    found = json.loads(args.out.read_text(encoding="utf-8"))
    if (found["seconds"], found["runs"]) != (args.seconds, args.runs):
        raise UserError(f"{args.out}: is of {found['seconds']} s and {found['runs']} runs: give the same")
    measured: dict[str, Any] = found["measured"]
    return measured


def _write(measured: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Compare the cells there are and write the results file."""
    result = {
        "seconds": args.seconds,
        "runs": args.runs,
        "results": _compare(measured),
        "measured": measured,
        "skipped": {} if args.opencv_python else {"opencv": "no interpreter with opencv was given"},
        "machine": machine(),
        "versions": _versions(args.opencv_python),
    }
    save("video_decode", result, args.out)
    return result


def _cells(videos: Path, folder: str, seconds: int, sizes: Sequence[str]) -> dict[str, Cell]:
    cells = {}
    videos.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        for gop in GOPS:
            path = _video(videos, size, gop, seconds)
            for span, (start, length, rate) in SPANS.items():
                cells[f"{size}, GOP {gop}, {span}"] = {
                    "path": str(path),
                    "folder": folder,
                    "start": start * seconds,
                    "seconds": length * seconds,
                    "step": round(RATE / rate),
                    "width": SIZES[size][3],
                    "height": SIZES[size][4],
                }
    return cells


def _video(videos: Path, size: str, gop: int, seconds: int) -> Path:
    """A generated video: moving patterns, blurred, with noise; encoded with B-frames and no scene cuts."""
    path = videos / f"{size}_gop{gop}_{seconds}s.mp4"
    if path.is_file():
        return path
    width, height, bits, _, _ = SIZES[size]
    once = min(seconds, 60)
    part, whole = path.with_suffix(".part.mp4"), path.with_suffix(".whole.mp4")
    source = f"testsrc2=size={width}x{height}:rate={RATE}:duration={once}"
    encode = ["-f", "lavfi", "-i", source, "-vf", "gblur=sigma=1.2,noise=alls=12:allf=t"]
    encode += ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-sc_threshold", "0", "-b:v", bits]
    encode += ["-g", str(gop), "-keyint_min", str(gop), "-pix_fmt", "yuv420p", "-threads", "1", str(part)]
    repeat = ["-stream_loop", str(math.ceil(seconds / once) - 1), "-i", str(part), "-c", "copy", str(whole)]
    for arguments in (encode, repeat):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], check=True)
    part.unlink()
    return whole.rename(path)


def _peers(opencv_python: str | None) -> dict[str, str]:
    """The interpreter of each peer; ours first."""
    peers = dict.fromkeys(("pyav", "torchcodec", "decord"), sys.executable)
    if opencv_python:
        peers["opencv"] = opencv_python
    return peers | {"ffmpeg": sys.executable, "cache": sys.executable}


def _measure(cell: Cell, peers: dict[str, str], runs: int) -> dict[str, Any]:
    """Medians by peer."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=cell["folder"]) as folder:
        children: dict[str, _Child] = {}
        outputs = {name: Path(folder) / f"{name}.npy" for name in peers}
        for run in range(runs):
            for name, python in peers.items():
                ours = taken["pyav"][0]["cpu_ms"] if taken["pyav"] else math.inf
                if run == 0:
                    children[name] = _Child(name, python, cell, LIMIT * ours / 1000)
                elif name not in children:
                    continue
                told = children[name].measure(outputs[name] if run == 0 else None)
                if told is not None:
                    taken[name].append(told)
                if told is None or (name in SLOW and told["cpu_ms"] > LIMIT * ours):
                    children.pop(name).end()
                elif name in SLOW:
                    children[name].lift_limit()
        for child in children.values():
            child.end()
        neighbours = _neighbours(cell)
        limit = LIMIT * taken["pyav"][0]["cpu_ms"]
        for name, values in taken.items():
            if not values:
                found[name] = {"cpu_ms_at_least": round(limit, 1), "runs": 0}
                continue
            found[name] = {
                "cpu_ms": round(statistics.median(value["cpu_ms"] for value in values), 2),
                "spread_ms": [round(pick(value["cpu_ms"] for value in values), 2) for pick in (min, max)],
                "peak_mb": round(max(value["peak_mb"] for value in values), 1),
                "output_mb": round(values[0]["output_mb"], 2),
                "runs": len(values),
            } | _agreement(np.load(outputs[name]), neighbours)
    return found


class _Child:
    """A process that measures one peer on one cell."""

    def __init__(self, name: str, python: str, cell: Cell, limit: float) -> None:
        def bound() -> None:
            if math.isfinite(limit):  # for each process: what it imports and saves is on top
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit) + 2, resource.RLIM_INFINITY))

        script = Path(__file__).with_name("video_decode_peers.py")
        needs_package = name in ("pyav", "torchcodec", "cache")
        program = ["-m", "benchmarks.video_decode_peers"] if needs_package else [str(script)]
        self.process = subprocess.Popen(
            [python, *program, name, json.dumps(cell)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if name == "ffmpeg" else None,
            text=True,
            cwd=RESULTS.parents[1],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=bound if name in SLOW else None,
        )
        self.name = name
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def measure(self, save: Path | None) -> dict[str, float] | None:
        """One run; None if it was stopped for its time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{save or ''}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line and self.name not in SLOW:
            raise RuntimeError(f"{self.name} failed")
        return json.loads(line) if line else None

    def lift_limit(self) -> None:
        """Let it run on: the limit counts all its runs together."""
        resource.prlimit(self.process.pid, resource.RLIMIT_CPU, (resource.RLIM_INFINITY,) * 2)

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _neighbours(cell: Cell) -> np.ndarray:
    """Our frames before, at and after each of the cell's, ``[3, T, 3, H, W]``."""
    from medgrpo.data.readers import open_reader
    from medgrpo.types import Clip

    indices = np.asarray(frame_indices(cell))
    reader = open_reader(Clip(video=Path(cell["path"])))
    wanted = np.concatenate([np.maximum(indices - 1, 0), indices, indices + 1])
    frames = reader.read(wanted, cell["height"], cell["width"])
    return frames.reshape(3, len(indices), *frames.shape[1:])


def _agreement(frames: np.ndarray, neighbours: np.ndarray) -> dict[str, Any]:
    """How many frames are the ones asked for, and how far pixels are from ours."""
    if len(frames) != neighbours.shape[1]:
        return {"same_frames": f"{len(frames)} frames instead of {neighbours.shape[1]}"}
    same, differences = 0, []
    for k, frame in enumerate(frames):
        away = [float(np.abs(frame.astype(np.int16) - other[k]).mean()) for other in neighbours]
        same += away[1] <= min(away)
        differences.append(away[1])
    return {
        "same_frames": f"{same}/{len(frames)}",
        "identical": bool(np.array_equal(frames, neighbours[1])),
        "mean_difference": round(float(np.mean(differences)), 3),
    }


def _compare(measured: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Our numbers against each target."""
    lines: list[dict[str, Any]] = []

    def add(
        name: str, unit: str, ours: float, peer: tuple[str, float] | None, ratio: float, target: str
    ) -> None:
        sign, bound = target.split()
        lines.append(
            {
                "name": name,
                "ours": round(ours, 2),
                "peer": None if peer is None else round(peer[1], 2),
                "peer_name": None if peer is None else peer[0],
                "unit": unit,
                "ratio": round(ratio, 3),
                "target": target,
                "met": ratio <= float(bound) if sign == "<=" else ratio >= float(bound),
            }
        )

    speedups, exact = [], []
    for name, found in measured.items():
        ours, decord = found["pyav"]["cpu_ms"], found["decord"]["cpu_ms"]
        speedups.append(decord / ours)
        exact.append(found["torchcodec"]["identical"] and found["cache"]["identical"])
        add(f"{name}: decord's time to ours", "CPU ms", ours, ("decord", decord), decord / ours, ">= 1.25")
        times = {peer: of["cpu_ms"] for peer, of in found.items() if peer != "cache" and "cpu_ms" in of}
        best = min(times, key=lambda peer: times[peer])
        add(f"{name}: ours to the fastest", "CPU ms", ours, (best, times[best]), ours / times[best], "<= 1.3")
        if name.startswith("1920x1080"):
            over, theirs = (found[peer]["peak_mb"] - found[peer]["output_mb"] for peer in ("pyav", "decord"))
            add(f"{name}: peak over the result", "MB", over, ("decord", theirs), over, "<= 40")
        cached = found["cache"]["cpu_ms"]
        add(f"{name}: ours to cached", "CPU ms", cached, ("decoding", ours), ours / cached, ">= 100")
    mean = math.exp(statistics.fmean(math.log(value) for value in speedups))
    add("all cells: decord's time to ours, geometric mean", "times", mean, None, mean, ">= 2")
    share = sum(exact) / len(exact)
    add("cells with frames as torchcodec's, cached too", "share", share, None, share, ">= 1")
    return lines


def _versions(opencv_python: str | None) -> dict[str, str]:
    found = versions("av", "torchcodec", "decord", "torch", "numpy")
    shown = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    found["ffmpeg"] = shown.split()[2]
    if opencv_python:
        command = [opencv_python, "-c", "import cv2; print(cv2.__version__)"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found["opencv"] = done.stdout.strip()
    return found


def _table(result: dict[str, Any]) -> str:
    """What was measured and which targets are met, for people."""
    peers = list(next(iter(result["measured"].values())))
    lines = [f"{'CPU ms':44}" + "".join(f"{peer:>12}" for peer in peers)]
    for name, found in result["measured"].items():
        times = [
            f"{of['cpu_ms']:.1f}" if "cpu_ms" in of else f">{of['cpu_ms_at_least']:.0f}"
            for of in found.values()
        ]
        lines.append(f"{name:44}" + "".join(f"{value:>12}" for value in times))
    lines.append("")
    for entry in result["results"]:
        met = "met" if entry["met"] else "MISSED"
        lines.append(f"{entry['name']:70} {entry['ratio']:>9.2f} {entry['target']:>8}  {met}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
