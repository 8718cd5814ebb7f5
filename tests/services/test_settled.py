"""Replies that are kept although they are of no use, for those who would not ask again."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.services.chat import ChatClient
from medgrpo.services.chat_reply import ChatReply
from medgrpo.services.reply_cache import ReplyCache
from tests.services.chat_server import Answer, serve

SETTLED = ("ok", "refused", "schema")


def client(base_url: str, folder: Path) -> ChatClient:
    return ChatClient("judge", base_url, max_retries=0, cache=folder / "replies.sqlite", timeout_s=20.0)


@pytest.mark.parametrize("answer", [Answer(None, refusal="No."), Answer("unreadable")])
def test_only_those_who_say_so_keep_and_take_what_is_of_no_use(tmp_path: Path, answer: Answer) -> None:
    current = [answer]

    def ask(**given: object) -> ChatReply:
        (reply,) = client(server.base_url, tmp_path).ask(["q"], str.isdigit, keys=["k"], **given)  # type: ignore[arg-type]
        return reply

    with serve(lambda asked: current[0]) as server:
        assert ask().status != "ok"
        assert len(ReplyCache(tmp_path / "replies.sqlite")) == 0
        kept = ask(settled=SETTLED)
        assert not kept.cached
        again = ask(settled=SETTLED)
        assert (again.cached, again.status) == (True, kept.status)
        assert len(server.requests) == 2
        current[0] = Answer("42")
        assert ask().text == "42", "a kept refusal does not stand in the way of a reader who asks again"
        assert len(server.requests) == 3


def test_a_body_that_is_no_completion_is_not_kept(tmp_path: Path) -> None:
    with serve(lambda asked: Answer(body="<html>Sign in</html>")) as server:
        for _ in range(2):
            (reply,) = client(server.base_url, tmp_path).ask(["q"], keys=["k"], settled=SETTLED)
            assert reply.status == "schema"
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", ["http", "timeout", "budget"])
def test_what_did_not_come_cannot_be_kept(tmp_path: Path, status: str) -> None:
    with pytest.raises(ValueError, match=status):
        ReplyCache(tmp_path / "c").put("k", ChatReply("", status))
