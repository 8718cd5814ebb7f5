"""Where the work of a build runs: in this process, in several, or on the machines of a Ray cluster.

Results come in the order of the items whatever the engine, and each item is worked on alone, so that every
engine gives the same build.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from medgrpo.errors import MissingExtraError, UserError

__all__ = ["Engine", "LocalEngine", "RayEngine"]

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # items that are handed out beyond those that are worked on, for each worker


class Engine(Protocol):
    """Applies a function to items."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in the order of the items.

        Args:
            function: Can be pickled; what it raises is raised here.
            items: Small things that can be pickled.
        """
        ...

    def close(self) -> None:
        """Let go of what runs the work; the next :meth:`map` starts it again."""
        ...


class LocalEngine:
    """This machine. Worker processes stay for the next stage, with all that they have imported.

    Args:
        workers: Processes; 1 works in this one, None takes one for each core.

    Raises:
        UserError: If there are fewer than one.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UserError(f"engine: workers must be at least 1, got {workers}")
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """See :class:`Engine`; only a few items are ahead of the one whose result is waited for.

        Raises:
            UserError: If a worker process died.
        """
        workers = self.workers or len(os.sched_getaffinity(0))
        if min(workers, len(items)) < 2:
            yield from map(function, items)
            return
        if self._pool is None:
            # Spawned, as a fork would copy the locks of this process's threads.
            self._pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            yield from _in_order(self._pool, function, items, workers * (1 + _AHEAD))
        except BrokenProcessPool as error:
            self.close()
            raise UserError(
                "a worker process of the build died, perhaps for lack of memory; run the same command again "
                "to continue, with fewer workers"
            ) from error

    def close(self) -> None:
        """See :class:`Engine`."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _in_order(
    pool: ProcessPoolExecutor, function: Callable[[T], R], items: Iterable[T], most: int
) -> Iterator[R]:
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # one failed, or nobody wants the rest
        for future in waiting:
            future.cancel()


class RayEngine:
    """The machines of a Ray cluster, by Ray Data; all see the build's folder and the sources at one path.

    Args:
        address: Of the cluster, e.g. ``auto``; None starts Ray on this machine alone.
        concurrency: Most items that are worked on at a time; None lets Ray decide.
    """

    def __init__(self, address: str | None = None, concurrency: int | None = None) -> None:
        if concurrency is not None and concurrency < 1:
            raise UserError(f"engine: concurrency must be at least 1, got {concurrency}")
        self.address = address
        self.concurrency = concurrency

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """See :class:`Engine`.

        Raises:
            MissingExtraError: If Ray is not installed.
            UserError: If the cluster cannot be reached.
        """
        if not items:
            return
        data = self._data()
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        rows = [{"item": pickle.dumps(item)} for item in items]
        numbered = data.from_items(rows, override_num_blocks=len(items))
        mapped = numbered.map(_Applied(function), concurrency=self.concurrency)
        for row in mapped.iter_rows():
            result = pickle.loads(row["result"])
            if isinstance(result, UserError):
                raise result
            yield result

    def close(self) -> None:
        """See :class:`Engine`; the cluster is not ours to stop."""

    def _data(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        try:
            import ray
            from ray import data
        except ImportError as error:
            raise MissingExtraError("ray", "cluster") from error
        if not ray.is_initialized():
            try:
                ray.init(
                    address=self.address,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                )
            except ConnectionError as error:
                raise UserError(f"engine: no Ray cluster at {self.address!r}: {error}") from error
        return data


class _Applied:
    """A function as Ray Data wants it; a user's mistake comes back as a value instead of a trace.

    Items and results are pickled, since Arrow would make lists of tuples.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self.function(pickle.loads(row["item"]))
        except UserError as error:
            result = error
        return {"result": pickle.dumps(result)}
