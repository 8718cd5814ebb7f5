"""Judging at full speed, over a failing server and from the cache, and the arithmetic of a million rewards.

A server in a process of its own answers after 200 ms. 2,000 judgements at concurrency 64 are compared with
the ideal, 2,000 / 64 x 200 ms; then they are asked for again; then a server that fails 30% of all requests in
nine ways judges 2,000 more, each of which must end with the only right scores or an explicit failure. Last,
1,000,000 caption rewards are normalised, mixed from similarity and judge, and turned into advantages on one
core, round by round and with every record that a round keeps, as training does. Results go to
``benchmarks/results/judging.json``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from benchmarks.judge_server import asked, running, scores_of
from benchmarks.results import machine, results_table, save, versions
from medgrpo.modules.advantages import GroupAdvantage
from medgrpo.modules.rounds import estimate, settle_failures
from medgrpo.rewards import (
    ChatJudge,
    CompositeReward,
    JudgeRequest,
    LogisticNormalizer,
    MetricSpec,
    RawScore,
    RewardComponent,
    Statistics,
    summarise,
)
from medgrpo.types import Clip, Sample

__all__ = ["main"]

PAIRS = [(dataset, "video_summary") for dataset in ("AVOS", "CholecT50", "CoPESD", "NurViD")]
GROUP = 8
CHUNK = 8_000  # rewards held at a time: training holds those of one round


def main(argv: Sequence[str] = ()) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judging", description=__doc__)
    parser.add_argument("--judgements", type=int, default=2000, help="default %(default)s")
    parser.add_argument("--rollouts", type=int, default=1_000_000, help="default %(default)s")
    parser.add_argument("--concurrency", type=int, default=64, help="default %(default)s")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds; default %(default)s")
    args = parser.parse_args(argv)
    requests = [
        JudgeRequest("What happens?", "The grasper dissects the cystic duct.", f"The hook cuts {i} times.")
        for i in range(args.judgements)
    ]
    with tempfile.TemporaryDirectory() as folder:
        results = list(_speed(requests, args.latency, args.concurrency, Path(folder, "replies.sqlite")))
        results += _faults(requests, args.concurrency, Path(folder, "faults.sqlite"))
    results += _arithmetic(args.rollouts // CHUNK * CHUNK)
    report = {
        "judgements": args.judgements,
        "concurrency": args.concurrency,
        "latency_s": args.latency,
        "rollouts": args.rollouts,
        "results": results,
        "machine": machine(),
        "versions": versions("openai", "numpy"),
    }
    print(results_table(results, 2))
    save("judging", report)


def _entry(
    name: str, ours: float, target: float, unit: str, peer: float | None = None, ideal: str | None = None
) -> dict[str, Any]:
    ratio = None if not peer else ours / peer
    measured = ours if ratio is None else ratio
    return {
        "name": name,
        "ours": round(ours, 4),
        "peer": peer,
        "peer_name": ideal,
        "unit": unit,
        "ratio": None if ratio is None else round(ratio, 4),
        "target": target,
        "met": measured <= target,
    }


def _speed(
    requests: Sequence[JudgeRequest], latency: float, concurrency: int, cache: Path
) -> Iterator[dict[str, Any]]:
    """The time of a first run against the ideal, and what a second asks for."""
    ideal = len(requests) / concurrency * latency
    with running(latency) as url:
        ChatJudge("warm-up", url).judge(requests[:1])  # imports the SDK
        before = asked(url)
        judge = ChatJudge("judge", url, concurrency=concurrency, cache=str(cache))
        started = time.perf_counter()
        judgements = judge.judge(requests)
        took = time.perf_counter() - started
        assert asked(url) - before == len(requests)
        assert all(j.scores == scores_of(r.candidate) for j, r in zip(judgements, requests, strict=True))
        shown = f"ideal, {len(requests)} / {concurrency} x {latency} s"
        yield _entry(f"{len(requests):,} judgements", took, 1.5, "s", ideal, shown)
        before = asked(url)
        again = ChatJudge("judge", url, concurrency=concurrency, cache=str(cache))
        started = time.perf_counter()
        same = again.judge(requests)
        took = time.perf_counter() - started
        assert [j.scores for j in same] == [j.scores for j in judgements]
        yield _entry("requests of a repeated run", asked(url) - before, 0, "requests")
        yield _entry("a repeated run", took, 2.0, "s")


def _faults(requests: Sequence[JudgeRequest], concurrency: int, cache: Path) -> list[dict[str, Any]]:
    """What becomes of judgements when 30% of all requests fail."""
    with running(0.02, faults=0.3) as url:
        judge = ChatJudge(
            "judge", url, concurrency=concurrency, cache=str(cache), timeout_s=2.0, backoff_s=0.1, reasks=4
        )
        started = time.perf_counter()
        judgements = judge.judge(requests)
        took = time.perf_counter() - started
    wrong = sum(
        j.scores != (scores_of(r.candidate) if j.status == "ok" else {})
        for j, r in zip(judgements, requests, strict=True)
    )
    counts = Counter(j.status for j in judgements)
    failed = sum(count for status, count in counts.items() if status != "ok")
    return [
        _entry("30% faults: invented or lost judgements", wrong, 0, "judgements"),
        _entry("30% faults: explicit failures", failed, 0.02 * len(requests), "judgements"),
        _entry("30% faults: time", took, 120.0, "s"),
    ]


class _Given(RewardComponent):
    """Raw values that are already known: the time to score is not measured."""

    def __init__(self, name: str, low: float, high: float, values: np.ndarray) -> None:
        super().__init__({"video_summary": 0.5})
        self.spec = MetricSpec(name, low, high)
        self.values = iter(values.tolist())

    def metric(self, task: str) -> MetricSpec:
        return self.spec

    def score(self, samples: Sequence[Sample], texts: Sequence[str], parsed: Any) -> list[RawScore]:
        return [RawScore(next(self.values)) for _ in samples]


def _arithmetic(count: int) -> list[dict[str, Any]]:
    """Seconds to normalise, mix and compare the rewards of whole rounds of caption rollouts."""
    chance = np.random.default_rng(0)
    similarity, judge = chance.beta(5, 2, count), 1.0 + chance.integers(0, 21, count) / 5
    components: dict[str, RewardComponent] = {
        "similarity": _Given("similarity", 0.0, 1.0, similarity),
        "judge": _Given("judge", 1.0, 5.0, judge),
    }
    entry = {
        "similarity": summarise(similarity[:5000], 0.0, 1.0),
        "judge": summarise(judge[:5000], 1.0, 5.0),
    }
    reward = CompositeReward(components, LogisticNormalizer(), Statistics(dict.fromkeys(PAIRS, entry)))
    clip = Clip(frames=(Path("a.jpg"),), times=(0.0,))
    samples = [
        Sample(*("key", "id", 0, task, task, dataset, "v", "What happens?", "The hook cuts.", None, clip))
        for dataset, task in PAIRS
    ]
    rows = [samples[i // GROUP % len(samples)] for i in range(CHUNK)]
    asked = [SimpleNamespace(sample=sample) for sample in rows[::GROUP]]
    estimator = GroupAdvantage()
    started = time.perf_counter()
    mixed = finite = 0.0
    for _ in range(count // CHUNK):
        begun = time.perf_counter()
        scored = reward.score(rows, ["The hook cuts."] * CHUNK)
        mixed += time.perf_counter() - begun
        groups = [scored[first : first + GROUP] for first in range(0, CHUNK, GROUP)]
        advantages = estimate(estimator, settle_failures(groups, "skip"), cast(Any, asked))
        finite += np.isfinite(advantages.values).sum()
    took = time.perf_counter() - started
    assert finite == count
    return [
        _entry(f"normalise and mix {count:,} rollouts on one core", mixed, 60.0, "s"),
        _entry(f"normalise, mix, advantages of {count:,} rollouts on one core", took, 60.0, "s"),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
