"""Which answers are reviewed and by whom: an even sample of all kinds of answers, some of them for everybody.

Pure: the same candidates and seed give the same review, whatever order the candidates come in.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["EVERYBODY", "Candidate", "Drawn", "draw", "order_of"]

EVERYBODY = -1
"""Seat of an answer that all reviewers get."""

Place = tuple[int, str, int]
"""Step, group id and index in the group."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that may be drawn.

    Attributes:
        place: Where it is in its run.
        stratum: What kind of answer it is: dataset, task and third of the rewards.
    """

    place: Place
    stratum: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """An answer of a review.

    Attributes:
        place: Where it is in its run.
        seat: Of the one reviewer who gets it, from 0; :data:`EVERYBODY` for all.
    """

    place: Place
    seat: int


def draw(
    candidates: Sequence[Candidate], *, size: int, shared: int, reviewers: int, seed: int
) -> list[Drawn]:
    """Draw a review.

    Strata take turns, so that each gives as many answers as any other, or all it has; within a stratum groups
    take turns, so that no question comes up often. The first ``shared`` answers drawn are everybody's, the
    rest are dealt out in turn: both parts hold all strata alike, and no two reviewers' shares differ by more
    than one answer.

    Args:
        candidates: In any order, each place once.
        size: Answers to draw; fewer if there are not so many.
        shared: Of these, answers that all reviewers get.
        reviewers: Seats.
        seed: Of all that is random.

    Raises:
        ValueError: If there is no seat, or more is shared than drawn.
    """
    if reviewers < 1 or not 0 <= shared <= size:
        raise ValueError(f"{reviewers} reviewers, {size} answers, {shared} of them shared")
    dice = random.Random(seed)
    strata: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: (one.stratum, one.place)):
        strata[candidate.stratum].append(candidate.place)
    waiting = [_groups_in_turn(places, dice) for places in strata.values()]
    chosen: list[Place] = []
    while waiting and len(chosen) < size:
        dice.shuffle(waiting)  # anew in each turn, or a stratum could always fall to the same reviewer
        chosen += [places.pop() for places in waiting]
        waiting = [places for places in waiting if places]
    return [
        Drawn(place, EVERYBODY if number < shared else (number - shared) % reviewers)
        for number, place in enumerate(chosen[:size])
    ]


def order_of(drawn: Sequence[Drawn], seat: int | None, seed: int) -> list[Drawn]:
    """What one reviewer gets, in an order that tells nothing about the answers.

    Args:
        drawn: The review.
        seat: From 0; None for a reviewer beyond the seats, who gets what everybody gets.
        seed: Of the review; each seat has another order.
    """
    own = sorted((one for one in drawn if one.seat in (EVERYBODY, seat)), key=lambda one: one.place)
    random.Random(f"{seed} {seat}").shuffle(own)
    return own


def _groups_in_turn(places: Sequence[Place], dice: random.Random) -> list[Place]:
    """Places to be taken from the end: one of each group before a second of any."""
    groups: dict[tuple[int, str], list[Place]] = defaultdict(list)
    for place in places:
        groups[place[:2]].append(place)
    order = list(groups.values())
    dice.shuffle(order)
    for group in order:
        dice.shuffle(group)
    longest = max(len(group) for group in order)
    turns = [group[turn] for turn in range(longest) for group in order if turn < len(group)]
    return turns[::-1]
