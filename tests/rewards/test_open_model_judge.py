"""A judge in this process: a small language model of the real classes fills the form."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.modules.tiny import build_tokenizer
from medgrpo.rewards import JudgeRequest, JudgeReward, TransformersJudge
from medgrpo.services.form_filling import Choice, FormFiller, FreeText

TEXTS = [
    'The hook cuts the duct. {"instruments": {"rationale": "the grasper is named", "score": 3}, "actions": 1',
    "Which instrument retracts? candidate reference 1 2 3 4 5 medical terminology precision specificity",
]
FORM = [
    FreeText('{"a": {"why": "', 6),
    Choice('", "score": ', ("1", "2", "3", "4", "5")),
    FreeText('}, "b": {"why": "', 9),
    Choice('", "score": ', ("1", "2", "3", "4", "5")),
]
QUESTIONS = ["The hook cuts.", "Which instrument retracts the duct, and where is it seen?", "b", "A duct."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("judge") / "tiny-judge"
    tokenizer = build_tokenizer(TEXTS * 3, vocabulary=300)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(1)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def _by_hand(filler: FormFiller, question: str) -> list[str]:
    """One question, the whole text forwarded anew for every token."""
    model, tokenizer = filler._model, filler._tokenizer
    ids = tokenizer(question + "\n", add_special_tokens=False)["input_ids"]
    values = []
    for blank in FORM:
        ids = ids + tokenizer(blank.before, add_special_tokens=False)["input_ids"]
        if isinstance(blank, Choice):
            options = [tokenizer(o, add_special_tokens=False)["input_ids"][0] for o in blank.options]
            best = int(model(torch.tensor([ids])).logits[0, -1, options].argmax())
            values.append(blank.options[best])
            ids = [*ids, options[best]]
            continue
        written: list[int] = []
        for _ in range(blank.max_tokens):
            token = int(model(torch.tensor([ids + written])).logits[0, -1].argmax())
            text = tokenizer.decode([*written, token])
            if token == tokenizer.eos_token_id or '"' in text or "\n" in text:
                values.append(tokenizer.decode(written) if token == tokenizer.eos_token_id else text)
                values[-1] = values[-1].split('"')[0].split("\n")[0]
                break
            written.append(token)
        else:
            values.append(tokenizer.decode(written))
        ids = ids + written
    return values


def test_forms_are_filled_as_by_the_whole_forward(model: Path) -> None:
    filler = FormFiller(str(model), batch_size=3)
    filler._load()
    # Quotation marks at some places, so that free texts of a batch end at different lengths.
    quote = filler._tokenizer('"', add_special_tokens=False)["input_ids"][0]
    bias = torch.zeros(filler._model.config.vocab_size)
    bias[quote] = 3.0
    filler._model.lm_head.register_forward_hook(lambda _, __, out: out + bias)
    filled = filler.fill(QUESTIONS, FORM)
    assert filled == [_by_hand(filler, question) for question in QUESTIONS]
    lengths = {len(values[index]) for values in filled if values is not None for index in (0, 2)}
    assert len(lengths) > 2


def test_a_question_that_does_not_fit_is_left_unanswered(model: Path) -> None:
    filler = FormFiller(str(model), max_tokens=120)
    assert [values is None for values in filler.fill(["short", "long " * 100], FORM)] == [False, True]


def test_judgements_have_scores_and_reasons_for_every_aspect(model: Path) -> None:
    judge = TransformersJudge(str(model), rationale_tokens=5)
    requests = [
        JudgeRequest("What?", "the hook cuts the duct", candidate, task="video_summary")
        for candidate in ("the grasper", "a hook", "the grasper", ":")
    ]
    first, second, repeated, gated = judge.judge(requests)
    for judgement in (first, second):
        assert judgement.status == "ok"
        assert set(judgement.scores) == set(judgement.rationales) == set(judge.names)
        assert all(score in (1, 2, 3, 4, 5) for score in judgement.scores.values())
        assert not any('"' in reason for reason in judgement.rationales.values())
        assert judgement.latency_s > 0
    assert (repeated.cached, repeated.scores) == (True, first.scores)
    assert gated.status == "gated"
    again = pickle.loads(pickle.dumps(judge)).judge(requests[:2])
    assert [j.scores for j in again] == [first.scores, second.scores]
    reward = JudgeReward({"video_summary": 1.0}, judge)
    assert reward.metric("video_summary").name.startswith("judge:tiny-judge/filled/")


def test_an_item_that_does_not_fit_fails_without_a_number(model: Path) -> None:
    judge = TransformersJudge(str(model), max_tokens=64, rationale_tokens=0)
    [failed] = judge.judge([JudgeRequest("What?", "the hook cuts", "a hook")])
    assert (failed.status, failed.scores) == ("schema", {})


def test_scores_alone(model: Path) -> None:
    judge = TransformersJudge(str(model), rationale_tokens=0)
    [judgement] = judge.judge([JudgeRequest("What?", "the hook cuts", "a hook")])
    assert (len(judgement.scores), judgement.rationales) == (5, {})
    assert judge.id != TransformersJudge(str(model), rationale_tokens=1).id
    assert judge.key(JudgeRequest("What?", "r", "c")) != judge.key(JudgeRequest("What?", "r", "d"))


def test_mistakes_are_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone is not a model directory"):
        TransformersJudge(str(tmp_path / "gone")).judge([JudgeRequest("", "a b", "c")])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load"):
        FormFiller(str(tmp_path)).fill(["x"], FORM)
    with pytest.raises(UserError, match=r"'\(12\)' is . tokens of this model"):
        FormFiller(str(model)).fill(["x"], [Choice("", ("(12)",))])
    with pytest.raises(UserError, match="batch_size must be at least 1"):
        FormFiller(str(model), batch_size=0)
    with pytest.raises(UserError, match="rationale_tokens and cache_size must be at least 0"):
        TransformersJudge(str(model), rationale_tokens=-1)
