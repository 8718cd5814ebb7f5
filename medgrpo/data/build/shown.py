"""What is annotated at a moment of a video, and how it is told in words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar

from medgrpo.data.sources.annotations import Instance, SourceVideo, Triplet

__all__ = ["Shown", "caption_of", "shown_at"]

Item = TypeVar("Item", Instance, Triplet)

_TIME: Callable[[Instance | Triplet], float] = attrgetter("time")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is annotated at a moment.

    Attributes:
        instances: Instruments, hands and organs; those without a box are only named.
        triplets: Who does what to what.
        phases: The phases that the moment is in.
        actions: The actions that go on.
    """

    instances: tuple[Instance, ...] = ()
    triplets: tuple[Triplet, ...] = ()
    phases: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Instrument, verb and target of each triplet, and of instruments in none their names."""
        told = [" ".join(filter(None, (t.instrument, t.verb, t.target))) for t in self.triplets]
        acting = {triplet.instrument for triplet in self.triplets}
        idle = [instance.label for instance in self.instances if instance.label not in acting]
        return tuple(dict.fromkeys(filter(None, (*told, *idle))))


def shown_at(video: SourceVideo, time: float) -> Shown:
    """What is annotated of the frame at a time.

    An instance or a triplet belongs to the frame whose number its time has on the source's clock; nothing is
    carried over from the frames around it.

    Args:
        video: The video.
        time: Seconds of the source video.
    """
    reach = 0.5 / video.clock - 1e-6
    events = [event for event in video.events if event.start <= time < event.end]
    return Shown(
        _near(video.instances, time, reach),
        _near(video.triplets, time, reach),
        tuple(dict.fromkeys(event.label for event in events if event.kind == "phase")),
        tuple(dict.fromkeys(event.label for event in events if event.kind == "action")),
    )


def caption_of(shown: Shown, time: float) -> str:
    """One line about a picture: ``12.0 s: phase calot triangle dissection; grasper retract gallbladder``.

    Args:
        shown: What is annotated.
        time: Seconds from the start of the clip.
    """
    parts = [f"phase {label}" for label in shown.phases] + list(shown.sentences)
    parts += [f"action {label}" for label in shown.actions]
    return f"{time:.1f} s" + (f": {'; '.join(parts)}" if parts else "")


def _near(items: Sequence[Item], time: float, reach: float) -> tuple[Item, ...]:
    first = bisect_left(items, time - reach, key=_TIME)
    return tuple(items[first : bisect_right(items, time + reach, key=_TIME)])
