"""A group of answers in either layout: its tokens, and the pairs of tokens that see each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medgrpo.planning.sizes import RunSizes

if TYPE_CHECKING:
    from medgrpo.data.packed_batch import GroupLayout

__all__ = ["LAYOUTS", "causal_pairs", "group_pairs", "group_tokens"]

LAYOUTS: tuple[GroupLayout, ...] = ("packed", "rows")


def causal_pairs(tokens: int) -> float:
    """Pairs of query and key in a causal sequence."""
    return tokens * (tokens + 1) / 2


def group_tokens(sizes: RunSizes, layout: GroupLayout) -> int:
    """Tokens that a group is forwarded as: the prompt once, or with every answer."""
    if layout == "packed":
        return sizes.prompt + sizes.group * sizes.answer
    return sizes.group * (sizes.prompt + sizes.answer)


def group_pairs(sizes: RunSizes, layout: GroupLayout) -> float:
    """Pairs of query and key of a group."""
    if layout == "packed":
        answers = sizes.group * (sizes.answer * sizes.prompt + causal_pairs(sizes.answer))
        return causal_pairs(sizes.prompt) + answers
    return sizes.group * causal_pairs(sizes.prompt + sizes.answer)
