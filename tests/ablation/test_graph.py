"""Stages that wait for others: order, number at a time, resume, and what is redone after a change."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.ablation.trained.graph import Node, run_graph
from medgrpo.demo import runner
from medgrpo.demo.runner import Stage
from medgrpo.errors import UserError


class Program:
    """Stands for the processes: ``make FILE`` makes it after a moment, ``fail`` fails."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.log: list[tuple[str, str]] = []
        self.now = self.most = 0

    def __call__(self, command: Sequence[str], **_: Any) -> Any:
        program = self

        class Process:
            def wait(self) -> int:
                with program.lock:
                    program.now += 1
                    program.most = max(program.most, program.now)
                    program.log.append(("begin", command[4]))
                time.sleep(0.01)
                if command[3] == "make":
                    Path(command[4]).write_text("x")
                with program.lock:
                    program.now -= 1
                    program.log.append(("end", command[4]))
                return 1 if command[3] == "fail" else 0

            def poll(self) -> int:
                return 0

        return Process()

    @property
    def made(self) -> list[str]:
        return [Path(name).name for what, name in self.log if what == "begin"]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    fake = Program()
    monkeypatch.setattr(runner.subprocess, "Popen", fake)
    return fake


def node(root: Path, name: str, *after: str, verb: str = "make", extra: str = "") -> Node:
    arguments = (verb, str(root / name), *((extra,) if extra else ()))
    return Node(Stage(name, name, arguments, (root / name,)), after)


@settings(max_examples=25, deadline=None)
@given(
    edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12), processes=st.integers(1, 3)
)
def test_nothing_begins_before_what_it_waits_for(
    tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int]], processes: int
) -> None:
    root = tmp_path_factory.mktemp("graph")
    after = {later: {str(a) for a, b in edges if b == later and a < later} for later in range(8)}
    fake = Program()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.subprocess, "Popen", fake)
        times = run_graph([node(root, str(k), *sorted(after[k])) for k in range(8)], root, processes)
    assert [time.name for time in times] == [str(k) for k in range(8)]
    assert fake.most <= processes
    places = {(what, Path(name).name): place for place, (what, name) in enumerate(fake.log)}
    for later, names in after.items():
        assert all(places["end", name] < places["begin", str(later)] for name in names)


def test_independent_stages_run_at_a_time(tmp_path: Path, program: Program) -> None:
    run_graph([node(tmp_path, name) for name in "abcd"], tmp_path, 2)
    assert program.most == 2


def test_the_longest_chain_goes_first(tmp_path: Path, program: Program) -> None:
    short = [node(tmp_path, name) for name in "ab"]
    chain = [node(tmp_path, "c"), node(tmp_path, "d", "c"), node(tmp_path, "e", "d")]
    run_graph([*short, *chain], tmp_path)
    assert program.made == ["c", "d", "a", "b", "e"]


def test_what_is_done_is_not_done_again_and_a_change_redoes_what_follows(
    tmp_path: Path, program: Program
) -> None:
    def graph(extra: str) -> list[Node]:
        return [
            node(tmp_path, "a"),
            node(tmp_path, "b", "a", extra=extra),
            node(tmp_path, "c", "a"),
            node(tmp_path, "d", "b"),
        ]

    run_graph(graph(""), tmp_path)
    assert all(time.reused for time in run_graph(graph(""), tmp_path))
    program.log.clear()
    run_graph(graph("more"), tmp_path)
    assert program.made == ["b", "d"]


def test_a_stage_that_fails_is_named_and_the_rest_goes_on_next_time(tmp_path: Path, program: Program) -> None:
    failing = [node(tmp_path, "a"), node(tmp_path, "b", "a", verb="fail"), node(tmp_path, "c", "b")]
    with pytest.raises(UserError, match="stage 'b' stopped"):
        run_graph(failing, tmp_path)
    assert program.made == ["a", "b"]
    run_graph([node(tmp_path, "a"), node(tmp_path, "b", "a"), node(tmp_path, "c", "b")], tmp_path)
    assert program.made == ["a", "b", "b", "c"]


_ENDLESS = """
import subprocess, sys
from pathlib import Path
from medgrpo.ablation.trained.graph import Node, run_graph
from medgrpo.demo import runner
from medgrpo.demo.runner import Stage

class Endless(subprocess.Popen):
    def __init__(self, command, **_):
        super().__init__([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(command[4]).write_text(str(self.pid))

runner.subprocess.Popen = Endless
root = Path(sys.argv[1])
run_graph([Node(Stage(n, n, ("make", str(root / n)), (root / n,))) for n in "ab"], root, 2)
"""


def test_sigterm_leaves_no_stage_running(tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(tmp_path)], cwd=Path.cwd())
    files = [tmp_path / name for name in "ab"]
    until = time.monotonic() + 60
    while not all(file.is_file() and file.read_text() for file in files) and time.monotonic() < until:
        time.sleep(0.05)
    stages = [int(file.read_text()) for file in files]
    try:
        program.terminate()
        assert program.wait(60) == 128 + signal.SIGTERM
        for stage in stages:
            with pytest.raises(ProcessLookupError):
                os.kill(stage, 0)
    finally:
        for stage in stages:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stage, signal.SIGKILL)
    assert not list((tmp_path / "stages").glob("[ab].json"))
