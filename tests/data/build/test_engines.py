"""Every engine gives the same results in the same order, and says what went wrong in one line."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from medgrpo.data.build.engines import Engine, LocalEngine, RayEngine
from medgrpo.errors import UserError

ITEMS = [("CholecT50", f"VID{k:02d}") for k in range(9)]


def told(item: tuple[str, str]) -> str:
    assert isinstance(item, tuple)
    return "/".join(item)


def unchanged(item: tuple[str, str]) -> tuple[tuple[str, str], Path]:
    return item, Path(*item)


def refused(item: tuple[str, str]) -> str:
    if item[1] == "VID04":
        raise UserError("VID04: cannot be read")
    return told(item)


def killed(item: tuple[str, str]) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return told(item)


@pytest.fixture(params=["here", "processes", "ray"], scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param != "ray":
        yield LocalEngine(workers=1 if request.param == "here" else 2)
        return
    yield RayEngine(concurrency=2)
    import ray

    ray.shutdown()


def test_results_come_in_the_order_of_the_items(engine: Engine) -> None:
    assert list(engine.map(told, ITEMS)) == [told(item) for item in ITEMS]
    assert list(engine.map(told, [])) == []


def test_nothing_becomes_of_another_type_on_the_way(engine: Engine) -> None:
    assert list(engine.map(unchanged, ITEMS)) == [unchanged(item) for item in ITEMS]


def test_a_mistake_of_the_user_stays_one(engine: Engine) -> None:
    results = engine.map(refused, ITEMS)
    with pytest.raises(UserError, match=r"^VID04: cannot be read$"):
        list(results)


def test_a_worker_that_dies_ends_in_one_line() -> None:
    with pytest.raises(UserError, match="worker process of the build died"):
        list(LocalEngine(2).map(killed, ITEMS))


def test_little_is_ahead_of_the_result_that_is_waited_for() -> None:
    asked: list[str] = []

    def items() -> Iterator[tuple[str, str]]:
        for item in ITEMS * 20:
            asked.append(item[1])
            yield item

    class Counted(list):  # a sequence whose reading is watched
        __iter__ = lambda self: items()  # noqa: E731

    results = LocalEngine(2).map(told, Counted(ITEMS * 20))
    next(results)
    assert len(asked) <= 8
    results.close()


@pytest.mark.parametrize("make", [lambda: LocalEngine(0), lambda: RayEngine(concurrency=0)])
def test_no_workers_are_refused(make: object) -> None:
    with pytest.raises(UserError, match="at least 1"):
        make()  # type: ignore[operator]
