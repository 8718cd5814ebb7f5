"""Replies that are kept: what tells them apart, and who may use the file when."""

from __future__ import annotations

import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medgrpo.errors import UserError
from medgrpo.services.chat import ChatClient
from medgrpo.services.chat_reply import ChatReply
from medgrpo.services.reply_cache import ReplyCache, content_key
from tests.services.chat_server import Answer, serve

ROOT = Path(__file__).resolve().parents[2]
REPLY = ChatReply("4", "ok", "", "judge-1", 0.2, 100, 30, 20, 0.01, False, '{"id":"1"}')
WRITER = """
import sys
from medgrpo.services.chat_reply import ChatReply
from medgrpo.services.reply_cache import ReplyCache
cache, name, count = ReplyCache(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in range(count):
    kept = cache.put(f"{i if name != 'endless' else name + str(i)}", ChatReply(name, body="x" * 2000))
    print(kept.text, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_reply_comes_back_whole(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "new" / "replies.sqlite")
    assert cache.get(["a"]) == {}
    assert cache.put("a", REPLY) == REPLY
    (found,) = cache.get(["a", "b", "a"]).values()
    assert found.cached
    assert (found.text, found.model, found.prompt_tokens, found.cached_tokens) == ("4", "judge-1", 100, 30)
    assert (found.completion_tokens, found.latency_s, found.cost, found.body) == (20, 0.2, 0.01, '{"id":"1"}')
    assert len(ReplyCache(tmp_path / "new" / "replies.sqlite")) == 1


def test_the_first_reply_stays_so_that_all_see_the_same(tmp_path: Path) -> None:
    first, second = ReplyCache(tmp_path / "c"), ReplyCache(tmp_path / "c")
    first.put("a", REPLY)
    assert second.put("a", ChatReply("5")).text == "4"
    assert first.get(["a"])["a"].text == "4"


def test_failures_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="timeout"):
        ReplyCache(tmp_path / "c").put("a", ChatReply("", "timeout"))


def test_keys_depend_on_content_alone() -> None:
    assert content_key({"a": 1, "b": {"c": [1, "x"]}}) == content_key({"b": {"c": (1, "x")}, "a": 1})
    assert content_key({"a": "caf\u00e9"}) == content_key({"a": "cafe\u0301"})
    different = [{"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": None}, {"a": "\ud800"}, {"a": ["1"]}]
    assert len({content_key(content) for content in different}) == len(different)


def test_thousands_of_keys_at_once(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c")
    for i in range(1200):
        cache.put(str(i), ChatReply(str(i)))
    found = cache.get([str(i) for i in range(3000)])
    assert {key: reply.text for key, reply in found.items()} == {str(i): str(i) for i in range(1200)}


def test_two_processes_write_at_a_time_and_agree(tmp_path: Path) -> None:
    path = tmp_path / "c"
    pair = [writer(path, name, 150) for name in ("one", "two")]
    said = [process.communicate(timeout=60)[0].split() for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    kept = ReplyCache(path).get([str(i) for i in range(150)])
    assert [kept[str(i)].text for i in range(150)] == said[0] == said[1]


def test_a_killed_writer_leaves_what_it_had_said(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for _ in range(2):
        process = writer(path, "endless", 10**9)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        process.stdout.close()
        assert lines == ["endless\n"] * 50
    cache = ReplyCache(path)
    assert len(cache) >= 50
    assert all(reply.body == "x" * 2000 for reply in cache.get([f"endless{i}" for i in range(50)]).values())
    assert cache.put("after", REPLY) == REPLY
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_threads_and_pickles(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c")
    cache.put("a", REPLY)
    threads = [threading.Thread(target=cache.put, args=(str(i), REPLY)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 21
    cache.close()
    assert len(cache) == 21


def test_files_that_are_no_cache_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and longer than a header would be" * 10)
    with pytest.raises(UserError, match=r"notes\.txt: the reply cache cannot be used"):
        ReplyCache(text).get(["a"])
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE patients (name TEXT)")
    with pytest.raises(UserError, match="another program"):
        ReplyCache(other).put("a", REPLY)
    with pytest.raises(UserError, match=r"notes\.txt"):
        ReplyCache(text / "below").get(["a"])


def test_a_client_asks_once_and_keeps_good_replies_only(tmp_path: Path) -> None:
    def client(**arguments: object) -> ChatClient:
        given = {"max_retries": 0, "cache": str(tmp_path / "c"), **arguments}
        return ChatClient("judge", server.base_url, **given)  # type: ignore[arg-type]

    answers = iter(["4", Answer("", 500), "well", "5", "6"])
    with serve(lambda request: next(answers)) as server:
        first = client(concurrency=1).ask(["a", "b", "c", "a"], str.isdigit, keys=["a", "b", "c", "a"])
        assert [(r.text, r.status, r.cached) for r in first] == [
            ("4", "ok", False),
            ("", "http", False),
            ("", "schema", False),
            ("4", "ok", False),
        ]
        second = client(concurrency=1).ask(["a", "b", "c"], str.isdigit, keys=["a", "b", "c"])
        assert [(r.text, r.cached) for r in second] == [("4", True), ("5", False), ("6", False)]
    assert len(server.requests) == 5
    third = client().ask(["c", "b", "a"], str.isdigit, keys=["c", "b", "a"])  # without a server
    assert [(r.text, r.cached) for r in third] == [("6", True), ("5", True), ("4", True)]
    assert '"content":"4"' in third[2].body
