"""All arms over all seeds, and what a table needs of them: means, paired intervals, every seed's value."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medgrpo.ablation.intervals import by_name, mean_interval
from medgrpo.ablation.simulated.settings import Arm, SimulatedSettings
from medgrpo.ablation.simulated.start import Start, fine_tuned
from medgrpo.ablation.simulated.training import Trained, train
from medgrpo.ablation.simulated.world import PAIRS, names
from medgrpo.errors import UserError

__all__ = ["Progress", "simulated_report"]

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
"""Called with the jobs that are done, all jobs, and the name of the one that ended."""

_SHOWN = ("tal", "stg")  # tasks whose metrics are overlaps, for the means over them


def simulated_report(
    settings: SimulatedSettings, seeds: Sequence[int], processes: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Train every arm with every seed and compare.

    The same numbers whatever the number of processes: seeds are trained in blocks of ``sizes.block``, in
    order.

    Args:
        settings: What to run.
        seeds: At least two.
        processes: At a time.
        progress: Told of each job that ended.

    Returns:
        Ready for JSON. ``pairs``: names, in the order of all tables. ``start``: the fine-tuned policies'
        numbers. ``arms``: by name, the arm and its changes from the start, paired by seed. ``comparisons``:
        second arm minus first. Every number over seeds is a
        :func:`~medgrpo.ablation.intervals.mean_interval`.

    Raises:
        UserError: If there are fewer than two seeds, or one twice.
    """
    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise UserError(f"the simulated ablations need at least two seeds, each once, got {list(seeds)}")
    arms = settings.all_arms()
    size = settings.sizes.block
    blocks = [tuple(seeds[first : first + size]) for first in range(0, len(seeds), size)]
    total = len(blocks) * (1 + len(arms))
    done = 0

    def ended(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, name)

    with _runner(processes) as run:
        starts: list[Start] = [None] * len(blocks)  # type: ignore[list-item]
        for index, start in run(fine_tuned, {i: (block, settings.sizes) for i, block in enumerate(blocks)}):
            starts[index] = start
            ended("fine-tuning")
        jobs = {
            (name, index): (start, arm, settings)
            for name, arm in arms.items()
            for index, start in enumerate(starts)
        }
        found: dict[tuple[str, int], Trained] = {}
        for key, trained in run(train, jobs):
            found[key] = trained
            ended(key[0])
    parts = {name: [found[name, index] for index in range(len(blocks))] for name in arms}
    return _tabulated(settings, seeds, starts, parts)


@contextmanager
def _runner(processes: int) -> Iterator[Any]:
    """A function that runs jobs by key and yields results as they come."""
    if processes <= 1:

        def here(function: Any, jobs: Mapping[Any, tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:
            with _one_thread():
                for key, arguments in jobs.items():
                    yield key, function(*arguments)

        yield here
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:

        def there(function: Any, jobs: Mapping[Any, tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:
            waiting = {pool.submit(function, *arguments): key for key, arguments in jobs.items()}
            for future in as_completed(waiting):
                yield waiting[future], future.result()

        yield there


@contextmanager
def _one_thread() -> Iterator[None]:
    """Such small products are faster on one thread, and the same on every machine's number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tabulated(
    settings: SimulatedSettings,
    seeds: Sequence[int],
    starts: Sequence[Start],
    parts: Mapping[str, Sequence[Trained]],
) -> dict[str, Any]:
    arms = settings.all_arms()
    greedy = _joined([start.measured.greedy for start in starts])
    changes = {
        name: _joined([one.curve[-1].greedy for one in trained]) - greedy for name, trained in parts.items()
    }
    mixes = {name: _mix(settings, arm) for name, arm in arms.items()}
    labels = names(PAIRS)
    return {
        "seeds": list(seeds),
        "sizes": vars(settings.sizes).copy(),
        "pairs": labels,
        "tasks": list(settings.tasks),
        "start": _start(starts),
        "arms": {name: _arm(arms[name], mixes[name], changes[name], starts, parts[name]) for name in parts},
        "comparisons": [
            {"first": first, "second": second}
            | _compared((changes[first], changes[second]), (mixes[first], mixes[second]))
            for first, second in settings.comparisons
        ],
    }


def _compared(changes: tuple[Floats, Floats], mixes: tuple[Sequence[int], Sequence[int]]) -> dict[str, Any]:
    """The second arm's changes less the first's: by pair, and over pairs that are in the mix of both."""
    first, second = changes
    common = sorted(set(mixes[0]) & set(mixes[1]))
    outside = [index for index in range(len(PAIRS)) if index not in mixes[0]]
    difference = second - first
    return {
        "change": by_name(names(PAIRS), difference),
        "in_both": [PAIRS[index].name for index in common],
        "mean": mean_interval(difference[:, common].mean(axis=1)),
        "worst": mean_interval(second[:, common].min(axis=1) - first[:, common].min(axis=1)),
        "grounding": mean_interval(_grounding(difference)),
        "outside_first": mean_interval(difference[:, outside].mean(axis=1)) if outside else None,
    }


def _start(starts: Sequence[Start]) -> dict[str, Any]:
    labels = names(PAIRS)
    quartiles: dict[str, Any] = {}
    for label, pair in zip(labels, PAIRS, strict=True):
        entries = [statistics.entries[pair.key] for start in starts for statistics in start.statistics]
        quartiles[label] = {
            metric: {
                key: mean_interval([getattr(entry[metric], key) for entry in entries])
                for key in ("p25", "p50", "p75", "scale")
            }
            for metric in entries[0]
        }
    return {
        **{
            name: by_name(labels, _joined([getattr(start.measured, name) for start in starts]))
            for name in ("greedy", "sampled", "validity", "entropy", "similarity")
        },
        "quartiles": quartiles,
    }


def _arm(
    arm: Arm, mix: Sequence[int], change: Floats, starts: Sequence[Start], trained: Sequence[Trained]
) -> dict[str, Any]:
    labels = names(PAIRS)
    outside = [index for index in range(len(PAIRS)) if index not in mix]
    before = {
        key: _joined([getattr(start.measured, key) for start in starts]) for key in ("sampled", "similarity")
    }
    after = {
        key: _joined([getattr(one.curve[-1], key) for one in trained])
        for key in ("sampled", "similarity", "validity", "entropy")
    }
    worst = change[:, mix].argmin(axis=1)
    return {
        "normalizer": arm.normalizer,
        "advantage": arm.advantage,
        "in_mix": [labels[index] for index in mix],
        "change": by_name(labels, change),
        "change_sampled": by_name(labels, after["sampled"] - before["sampled"]),
        "change_similarity": by_name(labels, after["similarity"] - before["similarity"]),
        "mean": mean_interval(change[:, mix].mean(axis=1)),
        "grounding": mean_interval(_grounding(change)),
        "worst": mean_interval(change[:, mix].min(axis=1)),
        "worst_pairs": [labels[mix[index]] for index in worst],
        "outside": mean_interval(change[:, outside].mean(axis=1)) if outside else None,
        "outside_validity": mean_interval(after["validity"][:, outside].mean(axis=1)) if outside else None,
        "validity": by_name(labels, after["validity"]),
        "entropy": by_name(labels, after["entropy"]),
        **{
            name: by_name(labels, _joined([getattr(one, name) for one in trained]))
            for name in ("share", "share_late", "gradient", "gradient_norm", "flat")
        },
        "clipped": mean_interval([one.clipped for one in trained])["mean"],
        "curve": {
            "rounds": list(trained[0].rounds),
            **{name: _curve(trained, name) for name in ("greedy", "entropy", "validity")},
        },
    }


def _curve(trained: Sequence[Trained], name: str) -> dict[str, list[float]]:
    """The mean over seeds of a measurement on the way, by pair."""
    points = len(trained[0].curve)
    means = [
        _joined([getattr(one.curve[point], name) for one in trained]).mean(axis=0) for point in range(points)
    ]
    return {label: [round(float(m[index]), 4) for m in means] for index, label in enumerate(names(PAIRS))}


def _mix(settings: SimulatedSettings, arm: Arm) -> list[int]:
    tasks = settings.tasks if arm.tasks is None else arm.tasks
    return [index for index, pair in enumerate(PAIRS) if pair.task in tasks]


def _grounding(change: Floats) -> Floats:
    """Mean over the pairs of TAG and STG, ``[S]``."""
    means: Floats = change[:, [pair.task in _SHOWN for pair in PAIRS]].mean(axis=1)
    return means


def _joined(blocks: Sequence[Floats]) -> Floats:
    return np.concatenate(blocks)
