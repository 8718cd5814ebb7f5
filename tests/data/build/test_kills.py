"""A build that is killed again and again ends with the same bytes, and asks no stored answer again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medgrpo.services.reply_cache import ReplyCache
from tests import forks
from tests.data.build.caption_server import writers
from tests.data.build.small_build import config, digests, write_sources

NAMES = ("CholecTrack20", "CoPESD")
KILLS = 20
IN_FLIGHT = 2 * 2
"""Two writers, two requests each."""


def build_until(path: str, moment: int) -> int:
    """Build, and be killed at a moment: before or after a file gets its name or a reply is kept."""
    from medgrpo.cli import main

    count = 0

    def passing(call: Any) -> Any:
        def passed(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            for after in (False, True):
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = None if not after else call(*arguments, **named)
            return result

        return passed

    os.replace = passing(os.replace)
    ReplyCache.put = passing(ReplyCache.put)  # type: ignore[method-assign]
    status = main(["build", "--config", path, "--json"])
    print(f"moments {count}")
    return status


def stored(path: Path) -> set[str]:
    """The texts that are kept."""
    if not path.exists():
        return set()
    with sqlite3.connect(path) as connection:
        return {row[0] for row in connection.execute("SELECT key FROM replies")}


@pytest.mark.timeout(600)
def test_twenty_kills_change_no_byte_and_repeat_no_stored_answer(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", NAMES)
    with writers() as servers:
        urls = dict(zip(("gpt", "gemini"), (server.base_url for server in servers), strict=True))
        whole = config(tmp_path / "whole.yaml", sources, tmp_path / "whole", urls, NAMES)
        (ended,) = forks.run(build_until, str(whole), 0)
        assert ended.returncode == 0, ended.stderr
        moments = int(ended.stdout.rpartition("moments ")[2])
        asked = {name: len(server.requests) for name, server in zip(urls, servers, strict=True)}
        for server in servers:
            server.requests.clear()

        killed = config(tmp_path / "killed.yaml", sources, tmp_path / "killed", urls, NAMES)
        generator = random.Random(0)
        cache = tmp_path / "killed" / "work" / "replies.sqlite"
        kept_before: set[str] = set()
        for _ in range(KILLS):
            (ended,) = forks.run(build_until, str(killed), generator.randint(1, moments // 6))
            assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr
            kept = stored(cache)
            assert kept >= kept_before
            kept_before = kept
        (ended,) = forks.run(build_until, str(killed), 0)
        assert ended.returncode == 0, ended.stderr
        assert digests(tmp_path / "killed") == digests(tmp_path / "whole")

        for name, server in zip(urls, servers, strict=True):
            times = Counter(str(request["messages"]) for request in server.requests)
            assert len(times) == asked[name]
            # Whatever came back was stored, but for what was under way when the process was killed.
            assert sum(times.values()) - len(times) <= KILLS * IN_FLIGHT // 2
            assert server.most_at_a_time <= IN_FLIGHT // 2
