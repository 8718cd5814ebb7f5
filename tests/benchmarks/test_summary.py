"""The README's table is what the result files say, and better is better."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import summary
from benchmarks.__main__ import BENCHMARKS


def _entry(ours: float, peer: float, unit: str, name: str = "peer") -> dict[str, object]:
    return {"ours": ours, "peer": peer, "unit": unit, "peer_name": name}


def test_less_time_and_more_a_second_are_better() -> None:
    assert summary.gain(_entry(2.0, 8.0, "s")) == 4.0
    assert summary.gain(_entry(8.0, 2.0, "MiB")) == 0.25
    assert summary.gain(_entry(8.0, 2.0, "frames/s")) == 4.0
    assert summary.gain(_entry(1.0, 10.0, "s", "limit")) is None


def test_the_readme_and_the_page_show_the_latest_results() -> None:
    results = summary.read_results()
    table = summary.README.read_text().partition(summary.BEGIN)[2].partition(summary.END)[0].strip()
    assert table == summary.headline_table(results), "run python -m benchmarks.summary"
    assert (summary.RESULTS / "README.md").read_text() == summary.page(results)


def test_every_headline_is_of_a_benchmark_that_make_bench_runs() -> None:
    assert {headline.benchmark for headline in summary.HEADLINES} <= set(BENCHMARKS)


def test_the_same_results_make_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.summary_picture import PICTURE, draw_gains

    draw_gains(summary.read_results(), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 0
    assert PICTURE.is_file()


@pytest.mark.parametrize(("status", "told"), [(0, 0), (2, 0), (1, 1)])
def test_each_runs_by_itself_and_a_failure_is_told(
    status: int, told: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        started.append(command[-1])
        return subprocess.CompletedProcess(command, status if command[-1] == "benchmarks.step" else 0)

    monkeypatch.setattr(program.subprocess, "run", run)
    monkeypatch.setattr(program.summary, "main", lambda: started.append("summary"))
    assert program.main([]) == told
    assert started == [*(f"benchmarks.{name}" for name in BENCHMARKS), "summary"]
    assert ("failed: step" in capsys.readouterr().err) == bool(told)
