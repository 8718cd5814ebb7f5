"""Opening a records file of full size: time and memory against ``json.load``.

Generates rows of realistic shape (frame lists, answers, truths, metadata; several questions a clip) in a
temporary folder, then measures in a process of its own each: ``json.load`` of the file, the first
``open_records`` (which checks every row and builds the index) and later ones, and reading rows at random.
The file is read once before each measurement, so that all find it in the page cache alike, as far as it fits.
Peak memory is the process's own, without mapped files that others could use (``RssAnon``), and in all
(``ru_maxrss``). Results go to ``benchmarks/results/records_index.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS, machine, results_table, save, versions
from medgrpo.data.media import AUTHOR_ROOT

__all__ = ["generate", "main"]

FULL = 531_850
"""Rows of the large training corpus."""

RANDOM_ROWS = 1000
RATES = {0.1: 0.02, 0.2: 0.03, 0.5: 0.633, 1.0: 0.22, 2.0: 0.075, 3.0: 0.022}
"""Published shares of the frame lists' rates."""

SOURCES = {
    "EgoSurgery": (152752, "EgoSurgery_frames/{video}/{frame:09d}.jpg"),
    "NurViD": (95955, "NurViD_frames/frames_2fps/{video}/frame_{frame:06d}.jpg"),
    "CholecTrack20": (81855, "CAMMA_data/cholectrack20/{video}/Frames/{frame:06d}.jpg"),
    "CoPESD": (62454, "CoPESD/frames/{video}/frame_{frame:06d}.jpg"),
    "AVOS": (57776, "AVOS/frames_15fps/{video}/{frame:06d}.jpg"),
    "CholecT50": (6004, "CAMMA_data/CholecT50/videos/{video}/{frame:06d}.png"),
}
QA_TYPES = ("tal", "stg", "dense_captioning_gpt", "video_summary_gemini", "next_action")
WORDS = [
    *("the", "surgeon", "retracts", "tissue", "grasps", "dissects", "along", "plane", "with", "hook"),
    *("while", "left", "instrument", "holds"),
]


def main(argv: Sequence[str] = ()) -> None:
    """Generate, measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.records_index", description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL, help="rows of the file (default %(default)s)")
    parser.add_argument("--work", type=Path, help="where to make the temporary folder; needs about 5 GB")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(MEASUREMENTS[args.measure](args.file)))
        return
    with tempfile.TemporaryDirectory(dir=args.work, prefix="records_index_") as folder:
        path = Path(folder) / "records.json"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(generate(args.rows))
        size = path.stat().st_size
        index = path.with_name(f"{path.name}.index.arrow")
        measured = {name: _run(name, path) for name in ("json_load", "first_open", "second_open")}
        index_size = index.stat().st_size if index.is_file() else 0
    result = {
        "rows": args.rows,
        "file_bytes": size,
        "index_bytes": index_size,
        "results": _compare(measured),
        "measured": measured,
        "machine": machine(),
        "versions": versions("pyarrow"),
    }
    print(f"{args.rows:,} rows, {size / 1e9:.2f} GB, index {index_size / 1e6:.1f} MB")
    print(results_table(result["results"], 5))
    save("records_index", result)


def generate(rows: int, seed: int = 0) -> Iterator[str]:
    """The text of a records file, piece by piece."""
    chance = random.Random(seed)
    names, shares = list(SOURCES), [share for share, _ in SOURCES.values()]
    yield "[\n"
    row = 0
    while row < rows:
        source = chance.choices(names, shares)[0]
        clip, metadata, frames = _clip(source, chance)
        for question in range(min(rows - row, chance.randint(1, 8))):
            record = _question(source, metadata, frames, chance)
            record["id"] = f"{metadata['video_id']}&&{frames[0]}&&{frames[-1]}&&{metadata['fps']}"
            record["conversations"][0]["value"] += f" (question {question + 1})"
            yield (",\n" if row else "") + json.dumps(record)[:-1] + clip
            row += 1
    yield "\n]\n"


def _clip(source: str, chance: random.Random) -> tuple[str, dict[str, str], list[int]]:
    """The end of a row's text, which all rows about the clip share, its metadata and frame ids."""
    fps = chance.choices(list(RATES), list(RATES.values()))[0]
    seconds = min(1800.0, max(20.0, chance.lognormvariate(4.6, 0.8)))
    count = max(4, round(seconds * fps))
    video = f"{chance.randrange(36**6):011x}"
    first, stride = chance.randrange(60_000), 15 / fps
    ids = [first + round(i * stride) for i in range(count)]
    pattern = f"{AUTHOR_ROOT}/{SOURCES[source][1]}"
    files = [pattern.format(video=video, frame=frame) for frame in ids]
    metadata = {
        "fps": str(fps),
        "video_id": video,
        "input_video_start_frame": str(ids[0]),
        "input_video_end_frame": str(ids[-1]),
    }
    shared = {"video": files, "sampled_video_frames": ids, "metadata": metadata}
    return ", " + json.dumps(shared)[1:], metadata, ids


def _question(
    source: str, metadata: dict[str, str], frames: list[int], chance: random.Random
) -> dict[str, Any]:
    """A row without its clip."""
    qa_type = chance.choice(QA_TYPES)
    length = len(frames) / float(metadata["fps"])
    start = round(chance.uniform(0, length * 0.8), 1)
    end = round(chance.uniform(start, length), 1)
    truth: list[Any] = []
    if qa_type == "tal":
        truth = [{"spans": [{"start": start, "end": end}], "action": "retract", "action_list": WORDS}]
        answer = f"{start}-{end} seconds."
    elif qa_type == "stg":
        boxes = {
            f"{start + 2 * i:.1f}": [100.5 + i, 80.25, 300.75 + i, 240.0] for i in range(chance.randint(1, 9))
        }
        truth = [{"bbox_dict": boxes}]
        answer = " ".join(f"{time} seconds: {box}" for time, box in boxes.items())
    elif qa_type.startswith("dense"):
        events = [
            {"start": float(i), "end": i + 0.5, "caption": " ".join(chance.choices(WORDS, k=14))}
            for i in range(chance.randint(2, 9))
        ]
        truth = [events]
        answer = "\n".join(f"{e['start']}-{e['end']} seconds: {e['caption']}" for e in events)
    else:
        answer = " ".join(chance.choices(WORDS, k=2 if qa_type == "next_action" else 40))
    asked = "<video>\nYou are an expert in surgical video. This is a clip of a procedure. " + " ".join(
        chance.choices(WORDS, k=40)
    )
    return {
        "id": "",
        "qa_type": qa_type,
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}],
        "data_source": source,
        "struc_info": truth,
        "is_RC": False,
        "RC_info": None,
    }


def _json_load(path: Path) -> dict[str, float]:
    start = time.perf_counter()
    with path.open(encoding="utf-8") as file:
        rows = json.load(file)
    return {"seconds": time.perf_counter() - start, "rows": len(rows)} | _memory()


def _first_open(path: Path) -> dict[str, float]:
    from medgrpo.data.lazy_records import open_records

    start = time.perf_counter()
    records = open_records(path, progress=False)
    return {"seconds": time.perf_counter() - start, "rows": len(records)} | _memory()


def _second_open(path: Path) -> dict[str, float]:
    from medgrpo.data.lazy_records import open_records

    start = time.perf_counter()
    records = open_records(path, progress=False)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    columns = (records.pairs, records.clip_ids, records.answered)
    columned = time.perf_counter() - start
    chosen = random.Random(1).sample(range(len(records)), min(RANDOM_ROWS, len(records)))
    start = time.perf_counter()
    for row in chosen:
        assert records[row].pair == columns[0][row]
    fetched = time.perf_counter() - start
    return {
        "seconds": opened,
        "rows": len(records),
        "columns_seconds": columned,
        "random_rows": len(chosen),
        "random_rows_seconds": fetched,
    } | _memory()


MEASUREMENTS = {"json_load": _json_load, "first_open": _first_open, "second_open": _second_open}


def _memory() -> dict[str, float]:
    """Peak resident memory of this process, and the part of the present one that is its own, in MiB."""
    own = 0.0
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        own = int(fields["RssAnon"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1024**2
    )
    return {"peak_mib": peak, "own_mib_at_end": own}


def _run(name: str, path: Path) -> dict[str, float]:
    with path.open("rb") as file:  # the same page cache for all
        while file.read(1 << 24):
            pass
    command = [
        sys.executable,
        "-c",
        "import sys; from benchmarks.records_index import main; main(sys.argv[1:])",
        "--measure",
        name,
        "--file",
        str(path),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=RESULTS.parents[1])
    return json.loads(done.stdout)


def _compare(measured: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Ours against the peer; below the target is better."""
    peer, first, second = measured["json_load"], measured["first_open"], measured["second_open"]
    name = "json.load (parses, checks nothing)"

    def line(title: str, ours: float, against: float | None, unit: str, target: float) -> dict[str, Any]:
        ratio = ours / against if against else None
        return {
            "name": title,
            "ours": round(ours, 4),
            "peer": None if against is None else round(against, 4),
            "peer_name": None if against is None else name,
            "unit": unit,
            "ratio": None if ratio is None else round(ratio, 5),
            "target": target,
            "met": (ours if ratio is None else ratio) <= target,
        }

    return [
        line("first open: check every row, build the index", first["seconds"], peer["seconds"], "s", 2.0),
        line("second open", second["seconds"], peer["seconds"], "s", 0.01),
        line("peak memory, first open", first["peak_mib"], peer["peak_mib"], "MiB", 0.1),
        line("peak memory, second open and 1,000 rows", second["peak_mib"], peer["peak_mib"], "MiB", 0.1),
        line("columns for choosing and batching", second["columns_seconds"], None, "s", 2.0),
        line(
            "one row at random", 1e3 * second["random_rows_seconds"] / second["random_rows"], None, "ms", 1.0
        ),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
