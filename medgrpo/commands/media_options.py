"""The options of every command that reads records: where their frames and videos are on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypedDict

__all__ = ["MediaOptions", "add_media_options", "media_options"]


class MediaOptions(TypedDict):
    """Keyword arguments of the functions that read records."""

    media_root: Path | None
    media_prefixes: dict[str, str]


def add_media_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--media-root",
        type=Path,
        metavar="DIR",
        help="where relative frame paths start; default: the folder of the records",
    )
    parser.add_argument(
        "--media-prefix",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="replace the start of frame paths; NEW is absolute or relative to the media root; may be given "
        "several times. The author-side paths of the TrainVal split are found under valdata/ without it",
    )


def media_options(args: argparse.Namespace) -> MediaOptions:
    """What the options say.

    Raises:
        UserError: If a prefix is not of the form ``OLD=NEW``.
    """
    from medgrpo.data.media import parse_prefixes

    return {"media_root": args.media_root, "media_prefixes": parse_prefixes(args.media_prefix)}
