"""The judge behind a real OpenAI-compatible server."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo.errors import UserError
from medgrpo.rewards import ChatJudge, JudgeRequest, JudgeReward
from medgrpo.rewards.judges import Gates
from medgrpo.tasks import Parsed
from medgrpo.types import Sample
from tests.services.chat_server import Answer, ChatServer, item_of, serve

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("R2", "R3", "R8", "R5", "R4")
FIVE = ("terminology", "identification", "specificity", "context", "action")
LINES = "\n".join(f"{name}: {score}" for name, score in zip(NAMES, (1, 2, 3, 4, 5), strict=True))


def judge(server: ChatServer, **arguments: Any) -> ChatJudge:
    given: dict[str, Any] = {
        "rubric": "medvidbench-best5@1",
        "form": "lines",
        "max_retries": 0,
        "timeout_s": 60.0,
    }
    given["gates"] = None  # answers here are single letters
    return ChatJudge("gpt", server.base_url, **{**given, **arguments})


def request(candidate: str, reference: str = "the hook cuts") -> JudgeRequest:
    return JudgeRequest("What?", reference, candidate, "AVOS", "video_summary")


def as_json(score: int = 4) -> str:
    return json.dumps({name: {"rationale": f"why {name}", "score": score} for name in FIVE})


def test_lines() -> None:
    with serve(lambda r: LINES) as server:
        asked = judge(server, seed=7, max_tokens=99)
        (result,) = asked.judge([request("a hook")])
    assert result.scores == dict(zip(NAMES, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))
    assert (result.mean, result.status, result.rubric) == (3.0, "ok", "medvidbench-best5@1")
    assert (result.model, result.prompt_tokens, result.completion_tokens) == ("gpt-2025-04-14", 100, 20)
    assert result.latency_s > 0
    assert result.prompt_hash == asked.prompt_hash
    assert asked.id == f"gpt/lines/{asked.prompt_hash}"
    (sent,) = server.requests
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (0.0, 7, 99)
    assert "response_format" not in sent
    assert [message["role"] for message in sent["messages"]] == ["user"]
    assert item_of(sent) == {"task": "video summary", "reference": "the hook cuts", "candidate": "a hook"}


def test_json() -> None:
    with serve(lambda r: as_json()) as server:
        (result,) = judge(server, rubric="medgrpo-five@1", form="json").judge([request("a hook")])
    assert result.scores == dict.fromkeys(FIVE, 4.0)
    assert result.rationales == {name: f"why {name}" for name in FIVE}
    sent = server.requests[0]["response_format"]
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)
    assert list(sent["json_schema"]["schema"]["properties"]) == list(FIVE)


def test_what_a_model_thinks_aloud_does_not_count() -> None:
    with serve(lambda r: f"<think>\nR2: 5? No.\n</think>\n{LINES}") as server:
        assert judge(server).judge([request("a hook")])[0].scores["R2"] == 1.0


def test_unreadable_replies_are_asked_again_and_then_fail_without_a_number() -> None:
    answers = iter(["I would say four.", LINES])
    with serve(lambda r: next(answers)) as server:
        (result,) = judge(server, reasks=1).judge([request("a hook")])
    assert (result.status, result.mean, len(server.requests)) == ("ok", 3.0, 2)
    assert "R2, R3, R8, R5, R4" in server.requests[1]["messages"][-1]["content"]
    assert result.prompt_tokens == 200
    with serve(lambda r: as_json(6)) as server:
        (result,) = judge(server, rubric="medgrpo-five@1", form="json", reasks=2).judge([request("a hook")])
    assert (result.status, len(server.requests)) == ("schema", 3)
    assert math.isnan(result.mean)
    assert not result.scores


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer("", 500), "http"),
        (Answer("late", delay_s=600.0), "timeout"),
        (Answer(None, refusal="no"), "refused"),
        (Answer("what?"), "schema"),
    ],
)
def test_failures_have_a_status_and_are_not_remembered(
    answer: Answer, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([answer, LINES])
    with serve(lambda r: next(answers)) as server:
        asked = judge(server, reasks=0, timeout_s=2.0)
        failed, again = asked.judge([request("a hook")]) + asked.judge([request("a hook")])
    assert (failed.status, failed.scores, failed.rationales) == (status, {}, {})
    assert math.isnan(failed.mean)
    assert again.status == "ok"
    assert f"1 of 1 requests failed: 1 {status}" in caplog.text


def test_equal_requests_are_judged_once() -> None:
    with serve(lambda r: LINES) as server:
        asked = judge(server, concurrency=1)
        first = asked.judge([request("a"), request("b"), request("a")])
        second = asked.judge([request("b"), request("a", "other")])
    # Several are asked at a time: the server may see them in any order.
    assert sorted(item_of(r)["candidate"] for r in server.requests) == ["a", "a", "b"]
    assert [j.cached for j in first + second] == [False, False, True, True, False]
    with serve(lambda r: LINES) as server:
        forgetful = judge(server, cache_size=0)
        assert [forgetful.judge([request("a")])[0].status for _ in range(2)] == ["ok", "ok"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("candidate", ["", ":", " 5/5 ", "<|im_start|>"])
def test_answers_without_words_are_not_asked_about(candidate: str) -> None:
    with serve(lambda r: LINES) as server:
        (gated,) = judge(server, gates=Gates()).judge([request(candidate)])
        (asked,) = judge(server).judge([request(candidate)])
    assert (gated.status, gated.scores) == ("gated", dict.fromkeys(NAMES, 1.0))
    assert (asked.status, len(server.requests)) == ("ok", 1)


def test_prompts_share_their_beginning_up_to_the_candidate() -> None:
    with serve(lambda r: LINES) as server:
        judge(server, concurrency=1).judge([request("a hook"), request("a knife")])
    a, b = (r["messages"][0]["content"] for r in server.requests)
    assert a.split('"candidate"')[0] == b.split('"candidate"')[0]
    assert a.startswith("You grade")


def test_the_id_names_whatever_changes_scores_and_nothing_else() -> None:
    def named(**arguments: Any) -> str:
        given = {"model": "m", "base_url": "http://localhost:1/v1", **arguments}
        return ChatJudge(**given).id

    assert named() == named(concurrency=2, timeout_s=9.0, reasks=3, base_url="http://127.0.0.1:2/v1")
    others = [
        named(),
        named(model="n"),
        named(form="lines"),
        named(rubric="medvidbench-best5@1"),
        named(temperature=0.5),
        named(extra_body={"top_k": 1}),
        named(gates=None),
    ]
    assert len(set(others)) == len(others)


def test_kept_judgements_are_not_asked_for_again(tmp_path: Path) -> None:
    asked = [request("a hook"), request("a knife"), request("caf\u00e9")]
    with serve(lambda r: LINES) as server:
        first = judge(server, cache=str(tmp_path / "c")).judge(asked)
    with serve(lambda r: "never") as server:
        again = judge(server, cache=str(tmp_path / "c"))
        second = again.judge([*asked[:2], request("cafe\u0301")])
        assert server.requests == []
        assert again.judge([request("other")])[0].status == "schema"
    assert [j.scores for j in second] == [j.scores for j in first]
    assert [j.cached for j in first + second] == [False] * 3 + [True] * 3
    assert (second[0].prompt_tokens, second[0].model) == (100, "gpt-2025-04-14")


def test_whatever_could_change_a_score_changes_the_key(tmp_path: Path) -> None:
    def key(of: JudgeRequest | None = None, **arguments: Any) -> str:
        given = {"model": "m", "base_url": "http://localhost:1/v1", **arguments}
        return ChatJudge(**given).key(of or request("a hook"))

    rubric = yaml.safe_load((ROOT / "medgrpo/rewards/judges/rubrics/medgrpo-five@1.yaml").read_text())
    names = []
    for change in ({"version": 2}, {"question": "How alike are they?"}):
        names.append(str(tmp_path / f"{len(names)}.yaml"))
        Path(names[-1]).write_text(yaml.safe_dump({**rubric, **change}))
    others = [
        key(),
        key(model="n"),
        key(revision="abc"),
        key(form="lines"),
        key(rubric="medvidbench-best5@1"),
        key(rubric=names[0]),
        key(rubric=names[1]),
        key(temperature=0.5),
        key(temperature=None),
        key(seed=1),
        key(max_tokens=9),
        key(extra_body={"top_k": 1}),
        key(request("a knife")),
        key(request("a hook", "the knife cuts")),
        key(JudgeRequest("Why?", "the hook cuts", "a hook", "AVOS", "video_summary")),
        key(JudgeRequest("What?", "the hook cuts", "a hook", "AVOS", "region_caption")),
    ]
    assert len(set(others)) == len(others)
    assert key() == key(concurrency=2, timeout_s=9.0, reasks=3, base_url="http://127.0.0.1:2/v1")
    assert key() == key(JudgeRequest("What?", "the hook cuts", "a hook", "another dataset", "video_summary"))


def test_the_key_is_in_no_place_that_is_shown_or_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-123")
    caplog.set_level("DEBUG")
    with serve(lambda r: Answer("sk-secret-123 is over quota", 500)) as server:
        asked = judge(server, api_key_env="JUDGE_KEY")
        results = asked.judge([request("a")])
    assert server.headers[0]["authorization"] == "Bearer sk-secret-123"
    assert "*** is over quota" in caplog.text
    told = [caplog.text, repr(asked), str(vars(asked)), asked.id, str(results), str(pickle.dumps(asked))]
    assert not any("sk-secret-123" in text for text in told)


def test_from_yaml() -> None:
    from jsonargparse import ArgumentParser

    from medgrpo.rewards import Judge

    node = yaml.safe_load(
        """
        class_path: medgrpo.rewards.ChatJudge
        init_args:
          model: m
          base_url: http://judge.hospital/v1
          form: lines
          extra_body: {top_k: 1}
          allow_hosts: [judge.hospital]
          limits: {requests_per_minute: 500, max_cost: 10, prices: {m: {prompt: 2.0, completion: 8.0}}}
        """
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--judge", type=Judge)
    built = parser.instantiate(parser.parse_object({"judge": node})).judge
    assert isinstance(built, ChatJudge)
    assert built.limits.prices["m"].completion == 8.0
    assert pickle.loads(pickle.dumps(built)).id == built.id


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"form": "xml"}, "lines or json"),
        ({"reasks": -1}, "reasks"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"rubric": "none@1"}, "not found"),
        ({"base_url": "https://api.openai.com/v1"}, "allow_remote"),
        ({"model": ""}, "name"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ChatJudge(**{"model": "m", "base_url": "http://localhost:1/v1", **wrong})


@pytest.mark.parametrize(("score", "value", "status"), [(4, 4.0, "ok"), (9, math.nan, "schema")])
def test_as_a_reward_scores_are_in_range(
    score: int, value: float, status: str, make_sample: Callable[..., Sample]
) -> None:
    """The leaderboard's form lets a 9 pass; a reward does not."""
    with serve(lambda r: "\n".join(f"{name}: {score}" for name in NAMES)) as server:
        reward = JudgeReward({"video_summary": 1.0}, judge(server))
        (raw,) = reward.score(
            [make_sample("video_summary", "the hook cuts")], ["a hook"], [Parsed(None, "free_text")]
        )
    assert raw.value == value or (math.isnan(raw.value) and math.isnan(value))
    assert raw.status == status
