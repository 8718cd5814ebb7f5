"""How many whole groups share a forward: a number of them, or as many as fit in so many tokens.

Counted in groups, a micro-batch holds short and long prompts alike, and memory is set by the longest ones.
Counted in tokens, a few long groups or many short ones fill it. Lightning counts micro-batches to know when
an optimizer step is due, and every rank must run as many forwards as the others, or a collective of a sharded
strategy waits for ever. So a round is divided into optimizer steps first, by groups, and each step into
micro-batches then: as many in every step and on every rank as the fullest one needs. What a step holds is not
touched, hence neither is the trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medgrpo.data.distributed import gather_objects

__all__ = ["BatchSize", "first_fit", "split_to"]


@dataclass(frozen=True)
class BatchSize:
    """Of a micro-batch on one rank.

    Attributes:
        groups: Groups in it, where ``tokens`` is None.
        tokens: Most tokens in it, prompts counted once a group; a group that is longer goes alone.
    """

    groups: int = 1
    tokens: int | None = None

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Divide groups into forwards, as many as every other rank makes of as many groups.

        Args:
            lengths: Tokens of each group of this rank.

        Returns:
            Indices into ``lengths``.
        """
        if self.tokens is None:
            return [
                list(range(start, min(start + self.groups, len(lengths))))
                for start in range(0, len(lengths), self.groups)
            ]
        return self.divide([range(len(lengths))], lengths)[0]

    def divide(self, steps: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[list[list[int]]]:
        """Divide optimizer steps into micro-batches of at most ``tokens``, equally many in each.

        Args:
            steps: Indices into ``lengths``, as many in a step as on every other rank; only the last step may
                have fewer than the others, and then it may have fewer micro-batches.
            lengths: Tokens of each group of this rank.

        Returns:
            The micro-batches of each step.
        """
        assert self.tokens is not None
        fitted = [first_fit(step, lengths, self.tokens) for step in steps]
        needed = max(gather_objects(max(map(len, fitted), default=0)))
        return [
            split_to(batches, lengths, min(needed, len(step)))
            for batches, step in zip(fitted, steps, strict=True)
        ]


def first_fit(groups: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Pack groups, the longest first, each into the first micro-batch that has room for it.

    Args:
        groups: Indices into ``lengths``.
        lengths: Tokens of each group.
        tokens: Most tokens of a micro-batch; a longer group has one to itself.
    """
    batches: list[list[int]] = []
    room: list[int] = []
    for group in sorted(groups, key=lambda index: -lengths[index]):
        place = next((k for k, free in enumerate(room) if lengths[group] <= free), len(room))
        if place == len(room):
            batches.append([])
            room.append(tokens)
        batches[place].append(group)
        room[place] -= lengths[group]
    return batches


def split_to(batches: Sequence[list[int]], lengths: Sequence[int], count: int) -> list[list[int]]:
    """Split the longest micro-batches until there are so many; none gets longer by it.

    Args:
        batches: At most ``count``, with at least ``count`` groups in all.
        lengths: Tokens of each group.
        count: Micro-batches wanted.
    """
    parts = [list(batch) for batch in batches]
    while len(parts) < count:
        divisible = [k for k, part in enumerate(parts) if len(part) > 1]
        longest = max(divisible, key=lambda k: sum(lengths[group] for group in parts[k]))
        whole = parts[longest]
        parts[longest] = whole[::2]
        parts.append(whole[1::2])
    return parts
