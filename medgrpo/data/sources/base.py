"""The protocol that every source dataset follows: which videos there are, and what is known about one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from medgrpo.data.sources.annotations import Problem, Reading
from medgrpo.errors import UserError

__all__ = ["Source"]


class Source(ABC):
    """A source dataset on disk, in the layout in which its authors publish it.

    A source is made anew in every worker process; it reads its files when they are first needed and keeps no
    more of them than an index. One video is read at a time.

    Args:
        root: Folder of the dataset.

    Attributes:
        name: The benchmark's name of the dataset.
        licence: Its licence, as far as it is known.
        homepage: Where it is had from.
        web: Whether its videos are web videos that are explained by voice: speech is transcribed, and no
            annotations are drawn.

    Raises:
        UserError: If the folder is missing.
    """

    name: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str] = ""
    web: ClassVar[bool] = False

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"{self.root}: there is no such folder; expected a copy of {self.name}")

    @abstractmethod
    def videos(self) -> Sequence[str]:
        """The ids of all videos, sorted.

        Raises:
            UserError: If a file without which nothing can be read is missing, is not what its name says, or
                lacks a column.
        """

    @abstractmethod
    def read(self, video_id: str) -> Reading:
        """All that is known about a video. Bad rows are left out and reported, never repaired.

        Raises:
            UserError: As :meth:`videos`.
        """

    def problems(self) -> Sequence[Problem]:
        """What is wrong in files about several videos and belongs to none of them."""
        return ()

    def files(self, video_id: str) -> Sequence[Path]:
        """The annotation files that a video's reading depends on; a build reads it again when one changes."""
        del video_id
        return ()
