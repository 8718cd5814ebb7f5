"""All results in one place: ``benchmarks/results/README.md`` and the README's table, from the JSON files.

How many times better ours is follows from the numbers and their unit alone: of times, bytes and counts less
is better, of rates more. Each benchmark's own ``ratio`` and ``target`` are as it defines them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS

__all__ = ["HEADLINES", "Headline", "gain", "headline_table", "main", "page"]

README = RESULTS.parents[1] / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
"""Around the table in the README."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Headline:
    """A line of the README's table.

    Attributes:
        benchmark: Its name.
        entry: Name of the result.
        words: What was measured.
        peer: Against what, where the result's own name of the peer is short.
    """

    benchmark: str
    entry: str
    words: str
    peer: str = ""


HEADLINES = (
    Headline("update", "long: 535 + 8x32 tokens, time", "GRPO update, 535 prompt + 8x32 answer tokens"),
    Headline("update", "long: 535 + 8x32 tokens, live tensors", "its live tensors"),
    Headline(
        "gpu_training",
        "3B, short clip: update",
        "GRPO update of 3B with LoRA on an H100, 1,943 + 8x256 tokens",
        "TRL as it is by default, without FlashAttention",
    ),
    Headline("gpu_training", "3B, short clip: update, peak memory", "its peak memory"),
    Headline(
        "step",
        "4 prompts with a picture of 256 tokens, 8x32 to each: step",
        "whole GRPO step, a picture of 256 tokens",
        "TRL's GRPOTrainer",
    ),
    Headline(
        "generation",
        "4 prompts of 535 tokens, 8x32 to each",
        "sampling 8 answers to a prompt of 535 tokens",
        "transformers' generate",
    ),
    Headline(
        "video_decode",
        "854x480, GOP 12, 1 FPS over 2 min: decord's time to ours",
        "frames at 1 FPS out of 2 min of 854x480",
    ),
    Headline("scoring", "official", "scoring the 6,245 test rows", "a loop, one embedding at a time"),
    Headline(
        "records_index",
        "peak memory, first open",
        "memory to open and check 531,850 records",
        "json.load, which checks nothing",
    ),
    Headline("records_index", "second open", "opening them again", "json.load"),
    Headline("build", "two workers", "building data, two workers", "a plain loop"),
    Headline(
        "dashboard_index",
        "search in texts, against SQLite",
        "searching the texts of 1,000,000 answers",
        "SQLite's full-text index",
    ),
    Headline(
        "dashboard_index",
        "opening a group, against SQLite",
        "opening one group of eight of them",
        "SQLite's index",
    ),
)


def gain(entry: Entry) -> float | None:
    """How many times better ours is than the peer; None without a peer or for a limit."""
    ours, peer = entry["ours"], entry["peer"]
    if not ours or not peer or entry["peer_name"] == "limit":
        return None
    return float(ours / peer if entry["unit"].endswith("/s") else peer / ours)


def headline_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The README's table, Markdown.

    Args:
        results: Content of each benchmark's file, by name.

    Raises:
        KeyError: If a result is missing that a headline names.
    """
    lines = ["| measured | medgrpo | peer | | ours is better by |", "|---|---:|---:|---|---:|"]
    for headline in HEADLINES:
        entries = {entry["name"]: entry for entry in results[headline.benchmark]["results"]}
        entry = entries[headline.entry]
        times = gain(entry)
        assert times is not None, headline
        lines.append(
            f"| {headline.words} | {_number(entry['ours'])} {entry['unit']} | "
            f"{_number(entry['peer'])} {entry['unit']} | {headline.peer or entry['peer_name']} | "
            f"{_times(times)} |"
        )
    return "\n".join(lines)


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """All results of all benchmarks, Markdown."""
    parts = [
        "# Results of the benchmarks",
        "Made by `make bench` (`python -m benchmarks NAME` for one) from the JSON files beside it. `better "
        "by` is how many times less time or memory ours takes than the peer, or how many times more it does "
        "a second; `ratio` and `target` are as each benchmark defines them. Both sides of a line were "
        "measured in one run.",
    ]
    for name, result in sorted(results.items()):
        if isinstance(result.get("results"), list):
            parts += [f"## {name}", _machine(result), "\n".join(_rows(result["results"]))]
    return "\n\n".join(parts) + "\n"


def main(argv: Sequence[str] = ()) -> None:
    """Write the page and the README's table, and draw the picture."""
    from benchmarks.summary_picture import draw_gains

    results = read_results()
    (RESULTS / "README.md").write_text(page(results), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{headline_table(results)}\n{END}{after}", encoding="utf-8")
    draw_gains(results)


def read_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Content of all result files, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def _rows(entries: Sequence[Entry]) -> Iterator[str]:
    yield "| measured | ours | peer | unit | peer is | better by | ratio | target | met |"
    yield "|---|---:|---:|---|---|---:|---:|---:|---|"
    for entry in entries:
        times = gain(entry)
        cells = [
            entry["name"],
            _number(entry["ours"]),
            _number(entry["peer"]),
            entry["unit"],
            entry["peer_name"] or "",
            "" if times is None else _times(times),
            _number(entry["ratio"]),
            "" if entry["target"] is None else str(entry["target"]),
            {True: "yes", False: "**no**", None: ""}[entry["met"]],
        ]
        yield f"| {' | '.join(cells)} |"


def _machine(result: Mapping[str, Any]) -> str:
    told = result.get("machine", {})
    machine = ", ".join(f"{key} {value}" for key, value in told.items())
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
    return f"Machine: {machine}. Versions: {versions}."


def _number(value: float | None) -> str:
    """Four significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _times(value: float) -> str:
    return f"{value:,.0f}x" if value >= 100 else f"{value:.2g}x" if value < 10 else f"{value:.0f}x"


if __name__ == "__main__":
    main()
