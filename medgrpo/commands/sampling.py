"""Show what a sampling policy does for clips of half a second to three hours.

A row is a clip: how many frames are chosen and at which rate, their size, the picture in them where black
borders keep its aspect, tokens, and when the first and the last are, as the model is told. Clips have frames
at a constant rate (--native-rate).
"""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from medgrpo.commands.data_config import add_config_option, sampling_of
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.data.sampling import SamplingPolicy

__all__ = ["add_arguments", "run", "table_rows"]

DURATIONS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800)
"""Seconds."""

RATES = ("f_min", "f_max", "f_goal", "max_residual", "aspect_tolerance")
COUNTS = (
    "goal_frames",
    "min_frames",
    "max_frames",
    "max_tokens",
    "frame_min_tokens",
    "frame_max_tokens",
    "factor",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config_option(parser, False, "data.init_args.sampling is shown (default: the policy's own defaults)")
    parser.add_argument(
        "--native-rate",
        type=float,
        default=25.0,
        metavar="FPS",
        help="frames a second of the clips (default %(default)s)",
    )
    parser.add_argument(
        "--size",
        default="854x480",
        metavar="WxH",
        help="pixels of the stored frames (default %(default)s)",
    )
    parser.add_argument(
        "--durations",
        type=float,
        nargs="+",
        metavar="S",
        help="seconds of the clips, instead of 0.5 s to 3 h",
    )
    parser.add_argument("--json", action="store_true", help="print the policy and the rows as JSON")
    policy = parser.add_argument_group("constants of the policy, over those of the config")
    for kind, names in ((float, RATES), (int, COUNTS)):
        for name in names:
            policy.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N")
    policy.add_argument("--timestamps", choices=("regular", "text"), help="how the model is told times")


def run(args: argparse.Namespace) -> int:
    """Plan every clip and print."""
    import dataclasses

    given = {name: getattr(args, name) for name in (*RATES, *COUNTS, "timestamps")}
    changes = {name: value for name, value in given.items() if value is not None}
    policy = sampling_of(args.config, changes)
    if not 0 < args.native_rate <= 10_000:
        raise UserError(f"--native-rate must be between 0 and 10000, got {args.native_rate:g}")
    durations = args.durations or DURATIONS
    if any(not 0 < duration <= 1e5 for duration in durations):
        raise UserError("--durations must be positive and at most 100000 s")
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", args.size)
    if size is None:
        raise UserError(f"--size is WIDTHxHEIGHT, for example 854x480, got {args.size!r}")
    rows = table_rows(policy, durations, args.native_rate, int(size[2]), int(size[1]))
    if args.json:
        print(json.dumps({"sampling": dataclasses.asdict(policy), "rows": rows}, indent=1))
    else:
        print(_table(rows))
    return 0


def table_rows(
    policy: SamplingPolicy, durations: tuple[float, ...] | list[float], rate: float, height: int, width: int
) -> list[dict[str, Any]]:
    """What a policy does for clips of some durations.

    Args:
        policy: The policy.
        durations: Seconds.
        rate: Frames a second of the clips.
        height: Pixels of the stored frames.
        width: Pixels of the stored frames.

    Returns:
        One mapping a clip: ``seconds``, ``fps`` aimed at, ``frames`` (an even number), ``width`` and
        ``height`` of the frames and of the ``picture`` in them in pixels, visual ``tokens``, told times of
        the ``first`` and ``last`` frame, ``padded``.
    """
    import numpy as np

    rows = []
    for duration in durations:
        plan = policy.plan(np.arange(max(1, round(duration * rate))) / rate, height, width)
        area = plan.height * plan.width // policy.factor**2
        rows.append(
            {
                "seconds": duration,
                "fps": round(plan.fps_effective, 4),
                "frames": len(plan.indices),
                "width": plan.width,
                "height": plan.height,
                "picture": [plan.layout.picture_width, plan.layout.picture_height],
                "tokens": len(plan.indices) // 2 * area,
                "first": round(float(plan.times[0]), 4),
                "last": round(float(plan.times[-1]), 4),
                "padded": plan.padded,
            }
        )
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    titles = ("duration", "fps", "frames", "size", "picture", "tokens", "first s", "last s")
    lines = [" ".join(f"{title:>10}" for title in titles)]
    for row in rows:
        size, picture = f"{row['width']}x{row['height']}", "{}x{}".format(*row["picture"])
        cells = (_clock(row["seconds"]), f"{row['fps']:.3f}", row["frames"], size, picture, row["tokens"])
        times = (f"{row['first']:.3f}", f"{row['last']:.3f}")
        lines.append(" ".join(f"{cell:>10}" for cell in cells + times))
    if any(row["padded"] for row in rows):
        lines.append("an odd number of frames has its last one repeated")
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
