"""How the events of a page take turns, so that what is shown answers what was chosen last.

Gradio drops an event while the same one is under way, and lets events of two fields overtake each other: on
a busy machine a list would stay that of an earlier choice. Events that write the same place therefore run
one at a time, in the order in which they came.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PRIVATE", "acting", "choosing"]

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Settings of every event: no API for others, no cover over what is there."""


def choosing(place: str) -> dict[str, Any]:
    """Settings of fields and filters: what is chosen while one is under way is not lost, the last one counts.

    Args:
        place: Name of what is written, the same for all events that write it.
    """
    return _in_turn(place, "always_last")


def acting(place: str) -> dict[str, Any]:
    """Settings of buttons that do something, and of timers: pressed twice it happens once.

    Args:
        place: As of :func:`choosing`.
    """
    return _in_turn(place, "once")


def _in_turn(place: str, mode: str) -> dict[str, Any]:
    return {**PRIVATE, "trigger_mode": mode, "concurrency_id": place, "concurrency_limit": 1}
