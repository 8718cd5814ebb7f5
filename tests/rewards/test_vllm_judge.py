"""A judge that vLLM's own server serves: schema-locked scores, what they cost, and what its death leaves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from medgrpo.commands.judge_option import judge_option
from medgrpo.errors import UserError
from medgrpo.rewards import ChatJudge, JudgeRequest, JudgeReward
from medgrpo.services.limits import Price
from medgrpo.services.reply_cache import ReplyCache
from medgrpo.tasks import Parsed
from medgrpo.types import Sample
from tests.services.vllm_chat_server import MODEL, NAMES, VLLMChatServer

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).resolve().parents[2]
FIVE = ("terminology", "identification", "specificity", "context", "action")
PRICE = {"prompt": 2.0, "completion": 8.0}
CAPTIONS = (
    "The hook cuts the cystic duct.",
    "The surgeon retracts the gallbladder.",
    "From 49.0 to 96.0 seconds the grasper holds the liver.",
    "A tool moves.",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMChatServer]:
    server = VLLMChatServer(tmp_path_factory.mktemp("vllm") / "log")
    yield server
    server.kill()


@pytest.fixture
def make_judge(
    server: VLLMChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ChatJudge]:
    """The judge of ``configs/judge/vllm.yaml``, with what a model without knowledge of JSON needs."""
    # It ends its sentences early: a rationale could go on for ever.
    (quote,) = AutoTokenizer.from_pretrained(str(MODEL)).encode('"')
    monkeypatch.setenv("JUDGE_MODEL", NAMES[0])
    monkeypatch.setenv("JUDGE_URL", server.base_url)

    def make(**changes: Any) -> ChatJudge:
        config = yaml.safe_load((ROOT / "configs/judge/vllm.yaml").read_text())
        judge = config["model"]["init_args"]["reward"]["init_args"]["components"]["judge"]["init_args"]
        arguments = judge["judge"]["init_args"]
        arguments["extra_body"] |= {"logit_bias": {str(quote): 9}}
        arguments["limits"]["prices"] = {name: PRICE for name in NAMES}
        arguments |= {"temperature": 1.0, "timeout_s": 600.0, "cache": str(tmp_path / "replies"), **changes}
        path = tmp_path / "judge.yaml"
        path.write_text(yaml.safe_dump(config))
        made = judge_option(str(path))
        assert isinstance(made, ChatJudge)
        return made

    return make


def requests(texts: tuple[str, ...] = CAPTIONS) -> list[JudgeRequest]:
    reference = "The grasper retracts the gallbladder."
    return [JudgeRequest("What happens?", reference, text, "AVOS", "video_summary") for text in texts]


def test_judgements_are_whole_paid_for_and_kept(
    server: VLLMChatServer, make_judge: Callable[..., ChatJudge]
) -> None:
    judge = make_judge()
    before = server.answered()
    judged = judge.judge(requests((*CAPTIONS, CAPTIONS[0], ": 5/5")))
    assert server.answered() - before == len(CAPTIONS)  # neither the repetition nor the worthless answer
    assert [j.status for j in judged] == ["ok"] * 5 + ["gated"]
    assert judged[4].scores == judged[0].scores
    for judgement in judged[:4]:
        assert tuple(judgement.scores) == tuple(judgement.rationales) == FIVE
        assert all(score in (1.0, 2.0, 3.0, 4.0, 5.0) for score in judgement.scores.values())
        assert (judgement.model, judgement.rubric) == (NAMES[0], "medgrpo-five@1")
        # The rubric alone is a thousand tokens, and the shortest reply names five aspects.
        assert judgement.prompt_tokens > 1000
        assert judgement.completion_tokens > 100
        price = Price(**PRICE).of(judgement.prompt_tokens, judgement.completion_tokens)
        assert 0 < judgement.cost <= price  # less where the server had the prompt in its own cache
        assert judgement.latency_s > 0
    assert any(text.strip() for j in judged[:4] for text in j.rationales.values())
    assert len({tuple(j.scores.values()) for j in judged[:4]}) > 1
    # A later run finds all of it, and one without the file gets the same numbers from the server.
    again = make_judge().judge(requests())
    assert server.answered() - before == len(CAPTIONS)
    assert all(j.cached for j in again)
    assert [j.scores for j in again] == [j.scores for j in judged[:4]]
    anew = make_judge(cache=None).judge(requests())
    assert server.answered() - before == 2 * len(CAPTIONS)
    assert [(j.scores, j.rationales) for j in anew] == [(j.scores, j.rationales) for j in judged[:4]]


def test_another_model_or_decoding_is_asked_anew(
    server: VLLMChatServer, make_judge: Callable[..., ChatJudge]
) -> None:
    first = make_judge()
    first.judge(requests(CAPTIONS[:1]))
    for changes in ({"model": NAMES[1]}, {"seed": 1}, {"rubric": "medvidbench-best5@1"}):
        other, before = make_judge(**changes), server.answered()
        assert other.key(requests()[0]) != first.key(requests()[0])
        (judgement,) = other.judge(requests(CAPTIONS[:1]))
        assert (judgement.status, server.answered() - before) == ("ok", 1)


def test_a_reply_that_is_cut_off_is_no_score(make_judge: Callable[..., ChatJudge]) -> None:
    judge = make_judge(max_tokens=40, reasks=0)
    (judgement,) = judge.judge(requests(CAPTIONS[:1]))
    assert (judgement.status, judgement.scores) == ("schema", {})
    assert math.isnan(judgement.mean)
    assert judgement.completion_tokens == 40


def test_a_model_that_is_not_served_is_the_users_mistake(make_judge: Callable[..., ChatJudge]) -> None:
    with pytest.raises(UserError, match=r"refuses another: .*`another` does not exist"):
        make_judge(model="another").judge(requests(CAPTIONS[:1]))


def test_a_server_that_dies_leaves_failures_and_no_numbers(
    server: VLLMChatServer,
    make_judge: Callable[..., ChatJudge],
    make_sample: Callable[..., Sample],
    tmp_path: Path,
) -> None:
    # The last of the tests that share a server.
    judge = make_judge(concurrency=2, max_retries=1, backoff_s=0.1, timeout_s=60.0)
    reward = JudgeReward({"video_summary": 1.0}, judge)
    texts = [f"The grasper retracts the liver {i} times." for i in range(40)]
    samples = [make_sample("video_summary", "The hook cuts the cystic duct.") for _ in texts]
    with ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(reward.score, samples, texts, [Parsed(None, "free_text")] * len(texts))
        kept_replies = ReplyCache(tmp_path / "replies")
        while len(kept_replies) < 2:
            assert not scoring.done()
            time.sleep(0.02)
        server.kill()
        scores = scoring.result()
    assert len(scores) == len(texts)
    assert {score.status for score in scores} == {"ok", "http"}
    for score in scores:
        assert score.judgement is not None
        assert math.isnan(score.value) == (score.status == "http") == (not score.judgement.scores)
    # What was judged before is kept, and nothing else.
    kept = [score.status == "ok" for score in scores]
    reference = samples[0].answer or ""
    found = judge.judge([JudgeRequest("what?", reference, t, "CholecT50", "video_summary") for t in texts])
    assert [j.cached for j in found] == kept
