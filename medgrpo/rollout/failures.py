"""What becomes of a round whose engine fails: one line, and the run can continue from its last checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from medgrpo.errors import UserError

__all__ = ["EngineError", "engine_failures", "failures_of_round", "guarded"]

T = TypeVar("T")


class EngineError(UserError):
    """A rollout engine failed on its own account: no memory, a dead process, a lost server."""


@contextmanager
def engine_failures(engine: str) -> Iterator[None]:
    """Around code that is the engine's and not ours: what it raises ends the run in one line.

    Args:
        engine: Its name.

    Raises:
        EngineError: For any error but those that are one already.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise EngineError(f"{engine} failed: {type(error).__name__}: {reason}") from error


def guarded(engine: str, items: Iterable[T]) -> Iterator[T]:
    """The items that an engine yields, its failures as :func:`engine_failures` tells them.

    Args:
        engine: Its name.
        items: Of the engine; what is done with them is not its failure.
    """
    iterator = iter(items)
    while True:
        with engine_failures(engine):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextmanager
def failures_of_round(round_index: int) -> Iterator[None]:
    """Around the answers of a round: a failure of the engine names the round.

    Args:
        round_index: From 0.

    Raises:
        EngineError: Naming the round and how to continue.
    """
    try:
        yield
    except EngineError as error:
        raise EngineError(
            f"round {round_index}: {error}; nothing of this round is stored, continue from the last "
            "checkpoint with --ckpt_path=last"
        ) from error
