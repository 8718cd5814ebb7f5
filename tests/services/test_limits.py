"""Rates, budget, pauses, and what the client makes of a server that fails in every way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge_server import asked, running, scores_of
from medgrpo.errors import UserError
from medgrpo.rewards import ChatJudge, JudgeRequest
from medgrpo.services.chat import ChatClient
from medgrpo.services.chat_attempts import retry_after
from medgrpo.services.limits import Limits, Price, RateLimit
from tests.services.chat_server import Answer, ChatServer, serve
from tests.services.clock import Clock

PRICES = {"judge": Price(prompt=2.0, completion=8.0, cached=0.5)}


def client(server: ChatServer, limits: Limits, **arguments: Any) -> ChatClient:
    given = {"max_retries": 0, "timeout_s": 60.0, "parameters": {"max_tokens": 20}, **arguments}
    return ChatClient("judge", server.base_url, limits=limits, **given)


async def taken(limit: RateLimit, units: Iterable[float]) -> list[float]:
    """The waits of those who take so much, one after the other."""
    return [await limit.take(wanted) for wanted in units]


async def taken_at_once(limit: RateLimit, count: int) -> list[float]:
    """The waits of so many who take one unit each at the same moment."""
    return await asyncio.gather(*(limit.take(1.0) for _ in range(count)))


def test_a_second_is_there_at_once_and_the_rest_comes_in_order(clock: Clock) -> None:
    expected = [0.0] * 10 + [0.1 * k for k in range(1, 11)]
    assert asyncio.run(taken_at_once(RateLimit(600.0), 20)) == pytest.approx(expected)
    assert clock.now == pytest.approx(1.0)
    assert asyncio.run(taken(RateLimit(600.0), [1.0] * 20)) == pytest.approx([0.0] * 10 + [0.1] * 10)
    assert clock.now == pytest.approx(2.0)
    limit = RateLimit(600.0)
    clock.now += 100.0  # no more than a second's worth gathers
    assert asyncio.run(taken_at_once(limit, 20)) == pytest.approx(expected)


def test_units_of_any_size_are_waited_for_and_may_be_given_back(clock: Clock) -> None:
    assert asyncio.run(taken(RateLimit(600.0), [5.0, 6.0, 3.0])) == pytest.approx([0.0, 0.1, 0.3])
    limit = RateLimit(60.0)
    assert asyncio.run(taken(limit, [1.0])) == [0.0]
    limit.give_back(100.0)
    assert asyncio.run(taken(limit, [1.0, 0.1])) == pytest.approx([0.0, 0.1])
    assert asyncio.run(taken(RateLimit(None), [1e9])) == [0.0]


def test_requests_a_minute_count_retries_too(clock: Clock) -> None:
    answers = iter([Answer("", 500), *["x"] * 50])

    def answer(request: dict[str, Any]) -> Answer | str:
        clock.now += 0.01
        return next(answers)

    with serve(answer) as server:
        limits = Limits(requests_per_minute=600)
        limited = client(server, limits, max_retries=1, backoff_s=0.0, concurrency=1)
        replies = limited.ask([str(i) for i in range(19)])
    assert {reply.status for reply in replies} == {"ok"}
    assert len(server.requests) == 20
    assert clock.now == pytest.approx(1.01)  # ten at once, ten more at ten a second, and the last answer
    latencies = [reply.latency_s for reply in replies]
    assert latencies == pytest.approx([0.02] + [0.01] * 18)  # without the waits


def test_tokens_a_minute_are_those_that_were_used(clock: Clock) -> None:
    # A request could come to 908 tokens, and a reply is 120: the rest is given back.
    with serve(lambda request: "x") as server:
        limited = client(server, Limits(tokens_per_minute=60_000), concurrency=1)
        limited.parameters["max_tokens"] = 900
        limited.ask([str(i) for i in range(6)])
    assert clock.now == pytest.approx((5 * 120 + 908 - 1000) / 1000)


def test_what_is_spent_and_when_it_ends() -> None:
    with serve(lambda request: "x") as server:
        # A reply costs (100 * 2 + 20 * 8) / 1e6; one more, at its most, must fit.
        limited = client(server, Limits(max_cost=0.0011, prices=PRICES), concurrency=1)
        replies = limited.ask([str(i) for i in range(5)])
        assert [reply.status for reply in replies] == ["ok", "ok", "ok", "budget", "budget"]
        assert [reply.cost for reply in replies] == pytest.approx([0.00036] * 3 + [0.0, 0.0])
        assert limited.spent == (pytest.approx(0.00108), 360)
        assert "0.00108 of 0.0011" in replies[-1].detail
        assert limited.ask(["more"])[0].status == "budget"
        assert len(server.requests) == 3
        by_tokens = client(server, Limits(max_tokens=250), concurrency=1).ask(["a", "b", "c", "d"])
        assert [reply.status for reply in by_tokens] == ["ok", "ok", "budget", "budget"]


def test_requests_under_way_count_against_the_budget() -> None:
    with serve(lambda request: Answer("x", delay_s=0.05)) as server:
        limited = client(server, Limits(max_tokens=400), concurrency=64)
        limited.ask([str(i) for i in range(200)])
    assert len(server.requests) < 20  # not all 64, which the estimate of 28 tokens each would overrun
    assert len(server.requests) >= 3


def test_a_budget_that_is_used_up_is_a_failed_judgement_and_no_failure_is_kept(tmp_path: Path) -> None:
    with running() as url:
        judge = ChatJudge("judge", url, limits=Limits(max_tokens=10), cache=str(tmp_path / "c"))
        (judgement,) = judge.judge([JudgeRequest("What?", "the hook cuts", "a hook")])
        assert (judgement.status, judgement.scores) == ("budget", {})
        assert math.isnan(judgement.mean)
        assert asked(url) == 0
        rich = ChatJudge("judge", url, limits=Limits(prices=PRICES, max_cost=1.0), cache=str(tmp_path / "c"))
        (judgement,) = rich.judge([JudgeRequest("What?", "the hook cuts", "a hook")])
        assert (judgement.status, judgement.cost) == ("ok", pytest.approx(0.0026))


def test_prices() -> None:
    assert PRICES["judge"].of(1_000_000, 500_000, 400_000) == pytest.approx(1.2 + 0.2 + 4.0)
    assert Price(1.0, 2.0).of(1_000_000, 1_000_000, 1_000_000) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"max_cost": -1.0}, "max_cost"),
        ({"failure_share": 1.0}, "failure_share"),
        ({"failure_window": 0}, "failure_window"),
    ],
)
def test_limits_out_of_range(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Limits(**wrong)
    with pytest.raises(UserError, match="price"):
        Price(-1.0, 1.0)


def test_a_limited_cost_needs_a_price() -> None:
    with pytest.raises(UserError, match="price of judge"):
        ChatClient("judge", "http://localhost:1/v1", limits=Limits(max_cost=1.0))


def test_too_many_failures_pause_and_then_stop(clock: Clock) -> None:
    limits = Limits(failure_share=0.5, failure_window=10, pause_s=30.0, pauses=2)
    sick = {"now": True}
    with serve(lambda request: Answer("", 500) if sick["now"] else "fine") as server:
        paused = client(server, limits, concurrency=1)
        assert {r.status for r in paused.ask([str(i) for i in range(10)])} == {"http"}
        assert clock.slept == []
        sick["now"] = False
        assert {r.status for r in paused.ask([str(i) for i in range(10)])} == {"ok"}
        assert len(clock.slept) == 1
        sick["now"] = True
        with pytest.raises(
            UserError, match=r"more than 50% of 10 questions failed, again after 2 pauses.*500"
        ):
            paused.ask([str(i) for i in range(100)])
    # Six failures after ten replies are more than half of a window, which after a pause starts empty.
    assert len(server.requests) == 10 + 10 + 6 + 10 + 10
    # The healthy window forgives the first pause; each is up to a fifth longer than it must be.
    assert all(least <= slept <= 1.2 * least for slept, least in zip(clock.slept, (30, 30, 60), strict=True))


def test_what_a_server_says_to_wait(clock: Clock) -> None:
    clock.now = 1_000_000_000.0
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "40", "retry-after": "9"}) == 0.04
    assert retry_after({"retry-after": formatdate(clock.now + 30, usegmt=True)}) == 30.0
    assert retry_after({"retry-after": formatdate(clock.now - 30, usegmt=True)}) == 0.0
    assert [retry_after(h) for h in ({}, {"retry-after": "soon"}, {"retry-after-ms": "nan"})] == [None] * 3


def test_a_server_that_says_to_come_back_tomorrow_has_failed() -> None:
    with serve(lambda request: Answer("full", 429, {"Retry-After": "86400"})) as server:
        (reply,) = client(server, Limits(), max_retries=3).ask(["a"])
    assert (reply.status, len(server.requests)) == ("http", 1)
    assert "86400" in reply.detail


def test_any_mix_of_faults_ends_in_right_scores_or_said_failures(tmp_path: Path) -> None:
    count = 300
    requests = [JudgeRequest("What?", "the hook cuts", f"answer number {i}") for i in range(count)]
    with running(faults=0.3) as url:
        judge = ChatJudge(
            *("judge", url), timeout_s=2.0, backoff_s=0.02, concurrency=32, cache=str(tmp_path / "c")
        )
        judgements = judge.judge(requests)
        assert asked(url) > count
    assert len(judgements) == count
    good = 0
    for request, judgement in zip(requests, judgements, strict=True):
        if judgement.status == "ok":
            assert judgement.scores == scores_of(request.candidate)
            good += 1
        else:
            assert judgement.status in ("timeout", "http", "schema")
            assert not judgement.scores
    assert good > 0.9 * count
    with running() as url:
        again = ChatJudge("judge", url, concurrency=32, cache=str(tmp_path / "c")).judge(requests)
        assert asked(url) == count - good
    assert all(j.scores == scores_of(r.candidate) for r, j in zip(requests, again, strict=True))
