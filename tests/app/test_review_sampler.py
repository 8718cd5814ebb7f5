"""A review holds what it promises: all kinds of answers alike, each for exactly whom it is meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.candidates import candidates
from app.review.sampler import EVERYBODY, Candidate, draw, order_of
from tests.app.review_scene import make_context

POOLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3), st.integers(0, 4)),
    max_size=120,
    unique_by=lambda one: one[:3],
).map(lambda found: [Candidate((s, f"g{g}", k), ("d", f"t{kind}")) for s, g, k, kind in found])


@st.composite
def wishes(draw_: st.DrawFn) -> tuple[int, int, int, int]:
    size = draw_(st.integers(0, 60))
    return size, draw_(st.integers(0, size)), draw_(st.integers(1, 5)), draw_(st.integers(0, 99))


@settings(deadline=None)
@given(POOLS, wishes(), st.randoms())
def test_a_review_holds_what_it_promises(
    pool: list[Candidate], wish: tuple[int, int, int, int], dice: object
) -> None:
    size, shared, reviewers, seed = wish
    drawn = draw(pool, size=size, shared=shared, reviewers=reviewers, seed=seed)
    places = [one.place for one in drawn]
    assert len(places) == len(set(places)) == min(size, len(pool))
    assert set(places) <= {one.place for one in pool}
    # Whatever order the answers come in.
    shuffled = list(pool)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw(shuffled, size=size, shared=shared, reviewers=reviewers, seed=seed) == drawn

    seats = Counter(one.seat for one in drawn)
    assert seats[EVERYBODY] == min(shared, len(drawn))
    dealt = [seats[seat] for seat in range(reviewers)]
    assert max(dealt) - min(dealt) <= 1

    # A stratum gives fewer than another only if it has no more; the shared part alone keeps to that too.
    kind = {one.place: one.stratum for one in pool}
    held = Counter(kind.values())
    for part in (places, places[:shared]):
        taken = Counter(kind[place] for place in part)
        for stratum in held:
            if taken[stratum] < held[stratum]:
                assert taken[stratum] >= max(taken.values(), default=0) - 1

    # Each answer is read by exactly the promised reviewers.
    read = Counter(one.place for seat in range(reviewers) for one in order_of(drawn, seat, seed))
    assert read == {one.place: reviewers if one.seat == EVERYBODY else 1 for one in drawn}
    beyond = {one.place for one in order_of(drawn, None, seed)}
    assert beyond == {one.place for one in drawn if one.seat == EVERYBODY}


@given(POOLS, st.integers(0, 99))
def test_questions_take_turns(pool: list[Candidate], seed: int) -> None:
    """Within a stratum no group gives a second answer while another one has given none."""
    one_kind = [Candidate(one.place, ("d", "t")) for one in pool]
    groups = len({one.place[:2] for one in one_kind})
    drawn = draw(one_kind, size=groups, shared=0, reviewers=1, seed=seed)
    assert len({one.place[:2] for one in drawn}) == groups


def test_the_order_of_a_seat_is_its_own_and_no_order_of_rounds() -> None:
    pool = [Candidate((step, "g", 0), ("d", "t")) for step in range(40)]
    drawn = draw(pool, size=40, shared=40, reviewers=2, seed=1)
    orders = [[one.place for one in order_of(drawn, seat, 1)] for seat in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) != orders[0]
    assert [one.place for one in order_of(drawn[::-1], 0, 1)] == orders[0]


def test_another_seed_is_another_review_and_nonsense_is_refused() -> None:
    pool = [Candidate((step, "g", 0), ("d", "t")) for step in range(40)]
    first, second = (draw(pool, size=10, shared=2, reviewers=2, seed=seed) for seed in (1, 2))
    assert first != second
    for wrong in ({"size": 2, "shared": 3, "reviewers": 1}, {"size": 2, "shared": 1, "reviewers": 0}):
        with pytest.raises(ValueError, match="shared"):
            draw(pool, seed=1, **wrong)


def test_candidates_are_thirds_of_the_rewards_of_a_dataset_and_task(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    found = candidates(context.index, "demo", (0, 99), ["video_summary", "tal"], 1000, 3)
    assert Counter(one.stratum for one in found) == {
        (dataset, task, third): count
        for dataset, task in (("CholecT50", "video_summary"), ("AVOS", "tal"))
        for third, count in (("1", 22), ("2", 21), ("3", 21))
    }
    reward = {
        (step, group, index): value
        for step, group, index, value in context.index.rows(
            "SELECT step, group_id, sample_index, reward FROM answers"
        )
    }
    for task in ("video_summary", "tal"):
        thirds = [[reward[o.place] for o in found if o.stratum[1:] == (task, third)] for third in "123"]
        assert max(thirds[0]) <= min(thirds[1])
        assert max(thirds[1]) <= min(thirds[2])
    few = candidates(context.index, "demo", (2, 3), ["tal"], 2, 3)
    assert few == candidates(context.index, "demo", (2, 3), ["tal"], 2, 3)
    assert Counter(one.stratum[2] for one in few) == {"1": 2, "2": 2, "3": 2}
    assert {one.place[0] for one in few} <= {2, 3}
    assert candidates(context.index, "demo", (2, 3), ["tal"], 2, 4) != few
