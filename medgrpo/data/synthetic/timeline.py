"""When what happens in a procedure clip, and where the instrument is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgrpo.data.synthetic.sources import GRID, SourceSpec

__all__ = ["Action", "Track", "sample_actions", "sample_duration", "sample_track"]


@dataclass(frozen=True)
class Action:
    """One event: an instrument acts on a target.

    Attributes:
        start: Seconds, a multiple of the source's time step.
        end: Seconds, exclusive.
        tool: Instrument.
        verb: Action.
        target: What is acted upon.
        hand: ``left`` or ``right``, the side from which the instrument enters.
        shown_from: Seconds, when the instrument comes into view.
        shown_to: Seconds, when it leaves.
    """

    start: float
    end: float
    tool: str
    verb: str
    target: str
    hand: str
    shown_from: float
    shown_to: float


@dataclass(frozen=True)
class Track:
    """Smooth motion of a box between way points.

    Attributes:
        times: Seconds of the way points, rising.
        corners: Top-left corner at each way point in grid cells, ``[N, 2]``.
        size: Columns and rows of the box.
        from_right: The instrument enters at the right side.
        from_below: The instrument enters at the bottom.
    """

    times: tuple[float, ...]
    corners: tuple[tuple[float, float], ...]
    size: tuple[int, int]
    from_right: bool
    from_below: bool

    def box(self, time: float) -> tuple[float, float, float, float]:
        """The box at a time on the grid, as shares of the frame's sides."""
        k = int(np.clip(np.searchsorted(self.times, time, side="right") - 1, 0, len(self.times) - 2))
        share = (time - self.times[k]) / (self.times[k + 1] - self.times[k])
        share = min(max(share, 0.0), 1.0)
        share = share * share * (3 - 2 * share)
        (xa, ya), (xb, yb) = self.corners[k], self.corners[k + 1]
        x, y = round(xa + share * (xb - xa)), round(ya + share * (yb - ya))
        columns, rows = GRID
        return (x / columns, y / rows, (x + self.size[0]) / columns, (y + self.size[1]) / rows)


def sample_duration(generator: np.random.Generator, spec: SourceSpec) -> int:
    """Length of a clip in seconds: mostly ordinary, some long, a few of two minutes."""
    roll = generator.random()
    if roll < spec.very_long_share:
        return 120
    low, high = spec.long_duration if roll < spec.very_long_share + spec.long_share else spec.duration
    step = max(spec.time_step, round(1 / spec.fps))
    return int(generator.integers(low // step, high // step + 1)) * step


def sample_actions(generator: np.random.Generator, spec: SourceSpec, duration: int) -> tuple[Action, ...]:
    """A timeline of actions that do not overlap, on the time step of the source.

    An instrument is in view from the middle of the gap before its action to the middle of the gap after it.
    """
    step = spec.time_step
    slots = duration // step
    count = int(generator.integers(spec.actions[0], spec.actions[1] + 1))
    stretch = max(1.0, duration / spec.duration[1])
    low, high = (max(1, round(s * stretch / step)) for s in spec.action_seconds)
    lengths = generator.integers(low, high + 1, count)
    while lengths.sum() > slots - 1:
        lengths[int(lengths.argmax())] -= 1
    gaps = generator.multinomial(slots - int(lengths.sum()), np.ones(count + 1) / (count + 1))
    verbs = tuple(spec.verbs)
    chosen: list[tuple[str, str, str, str]] = []
    spans: list[tuple[float, float]] = []
    now = 0
    for k in range(count):
        now += int(gaps[k])
        spans.append((float(now * step), float((now + int(lengths[k])) * step)))
        now += int(lengths[k])
        # The same action may come back, but never right after itself: its spans would merge.
        options = [v for v in verbs if not chosen or v != chosen[-1][1]]
        verb = options[int(generator.integers(len(options)))]
        tools = spec.verbs[verb]
        tool = tools[int(generator.integers(len(tools)))]
        target = spec.targets[int(generator.integers(len(spec.targets)))]
        chosen.append((tool, verb, target, ("left", "right")[int(generator.integers(2))]))
    hidden = generator.random(2) < spec.hidden_share
    actions = []
    for k, ((start, end), (tool, verb, target, hand)) in enumerate(zip(spans, chosen, strict=True)):
        before = spans[k - 1][1] if k else 0.0
        after = spans[k + 1][0] if k + 1 < count else float(duration)
        shown_from = _middle(before, start, step) if k else (start if hidden[0] else 0.0)
        shown_to = _middle(end, after, step) if k + 1 < count else (end if hidden[1] else float(duration))
        actions.append(Action(start, end, tool, verb, target, hand, shown_from, shown_to))
    return tuple(actions)


def _middle(a: float, b: float, step: int) -> float:
    """The middle of a gap on the time step."""
    return a + ((b - a) / step // 2) * step


def sample_track(generator: np.random.Generator, spec: SourceSpec, action: Action) -> Track:
    """Motion of an instrument while it is in view: a new place about every four seconds."""
    columns, rows = GRID
    low, high = spec.tool_size
    width = int(np.clip(round(generator.uniform(low, high) * columns), 2, columns - 2))
    height = int(np.clip(round(generator.uniform(low, high) * rows), 2, rows - 2))
    length = max(action.shown_to - action.shown_from, 1.0)
    points = max(2, round(length / (4.0 * spec.time_step)) + 1)
    times = np.linspace(action.shown_from, action.shown_from + length, points)
    from_right, from_below = action.hand == "right", bool(generator.integers(2))
    # The tip keeps off the edges, so that what it does stays in view.
    margin = np.array([round(0.07 * columns), round(0.12 * rows)], float)
    least = margin * np.array([from_right, from_below])
    most = np.array([columns - width, rows - height]) - margin * np.array([not from_right, not from_below])
    corners = [generator.uniform(least, most)]
    for _ in range(points - 1):
        move = generator.uniform(-0.45, 0.45, 2) * (most - least)
        corners.append(np.clip(corners[-1] + move, least, most))
    return Track(
        times=tuple(float(t) for t in times),
        corners=tuple((float(c[0]), float(c[1])) for c in corners),
        size=(width, height),
        from_right=from_right,
        from_below=from_below,
    )
