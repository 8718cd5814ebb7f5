"""vLLM against the trainer: equal ids, positions and log-probabilities, at every rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.errors import UserError
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.tiny import tiny_sampling
from medgrpo.rollout import VLLMEngine
from medgrpo.rollout.hf import HFEngine
from tests.rollout.engines import TOLERANCE, film_prompt, largest_difference
from tests.tiny_models import frame_list_sample

pytestmark = pytest.mark.vllm

RATES = (0.2, 0.5, 1.0, 3.0)


def at_rate(encoder: Encoder, prompt: EncodedPrompt, fps: float) -> EncodedPrompt:
    """The same question about the same frames at another rate."""
    times = tuple(k / fps for k in range(len(prompt.clip.frames)))
    return encoder.assemble(prompt.sample, replace(prompt.clip, fps=fps, times=times))


@pytest.mark.parametrize("rate", RATES)
def test_ids_positions_and_log_probabilities_are_the_trainers(
    engine: VLLMEngine, film: Path, rate: float
) -> None:
    prompt = film_prompt(engine, film, rate)
    assert prompt.clip.fps == pytest.approx(rate, rel=0.01)
    view = engine.view(prompt)
    np.testing.assert_array_equal(view.ids, prompt.ids)
    np.testing.assert_array_equal(view.positions, prompt.positions)
    assert view.next_position == prompt.next_position
    assert view.grids.tolist() == [list(prompt.clip.grid)]
    [answers] = engine.generate([prompt], n=4, max_new_tokens=12, temperature=0.8, seeds=[3])
    assert largest_difference(engine, prompt, answers, 0.8) < TOLERANCE


def test_true_times_of_a_ragged_list_are_told_alike(engine: VLLMEngine, tmp_path: Path) -> None:
    policy: QwenVLPolicy = engine.policy
    regular = engine.encoder
    sample = frame_list_sample(tmp_path)
    clip = replace(sample.clip, times=(0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.5, 12.0))
    try:
        engine.bind(policy, policy.encoder(replace(tiny_sampling(policy.family), timestamps="text")))
        prompt = engine.encoder.prompt(replace(sample, clip=clip))
        text = engine.encoder.tokenizer.decode(prompt.ids.tolist())
        assert [text.count(f"<{time} seconds>") for time in ("0.5", "2.5", "6.5", "10.8")] == [1, 1, 1, 1]
        view = engine.view(prompt)
        np.testing.assert_array_equal(view.ids, prompt.ids)
        np.testing.assert_array_equal(view.positions, prompt.positions)
        assert view.next_position == prompt.next_position
        [answers] = engine.generate([prompt], n=4, max_new_tokens=12, temperature=0.8, seeds=[3])
        assert largest_difference(engine, prompt, answers, 0.8) < TOLERANCE
    finally:
        engine.bind(policy, regular)


def test_the_rate_alone_moves_time_on_both_sides(engine: VLLMEngine, film: Path) -> None:
    encoder = engine.encoder
    # More than the 128 tokens that prompts share when they begin alike.
    prompt = film_prompt(engine, film, 1.0, "Which instrument retracts the gallbladder? " * 12)
    slow, fast = at_rate(encoder, prompt, 0.5), at_rate(encoder, prompt, 2.0)
    views = [engine.view(each) for each in (slow, fast)]
    if engine.policy.family == "qwen2_5_vl":
        per_grid = len(prompt.ids[prompt.ids == encoder.processor.video_token_id]) // prompt.clip.grid[0]
        for each, view, seconds in zip((slow, fast), views, (4.0, 1.0), strict=True):
            for positions in (each.positions, view.positions):
                time = positions[0, each.ids == encoder.processor.video_token_id][::per_grid]
                assert set(np.diff(time).tolist()) == {int(encoder.tokens_per_second * seconds)}
            assert view.ids.tolist() == prompt.ids.tolist()
        assert views[0].next_position - views[1].next_position == 7 * int(encoder.tokens_per_second * 3.0)
    else:
        for each, view, stamps in zip((slow, fast), views, (("1.0", "5.0"), ("0.2", "1.2")), strict=True):
            for ids in (each.ids, view.ids):
                text = encoder.tokenizer.decode(ids)
                assert [f"<{stamp} seconds>" in text for stamp in stamps] == [True, True]
    told = engine.generate([slow, fast], n=1, max_new_tokens=1, temperature=0.0, seeds=[0, 0])
    for each, answers in zip((slow, fast), told, strict=True):
        assert largest_difference(engine, each, answers, 1.0) < TOLERANCE
    # The trainer at the other rate is told apart.
    assert largest_difference(engine, fast, told[0], 1.0) > TOLERANCE


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_temperature_and_ban_come_before_the_softmax_and_nothing_else_does(
    engine: VLLMEngine, film: Path, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The two ids that the checkpoint's generation config ends answers at, and an ordinary one: the first is
    # the end here too, and a penalty or a filter could not hide among so few.
    eos, other_eos = json.loads((Path(engine.policy.path) / "generation_config.json").read_text())[
        "eos_token_id"
    ]
    assert eos == engine.encoder.eos_token_id
    vocabulary = engine.policy.qwen.config.text_config.vocab_size
    vision = engine.policy.banned_ids
    banned = sorted({*range(vocabulary)} - {eos, other_eos, 100} | {*vision})
    assert len(vision) == 4
    monkeypatch.setattr(QwenVLPolicy, "banned_ids", property(lambda policy: banned))
    hf = HFEngine()
    hf.bind(engine.policy, engine.encoder)
    prompt = film_prompt(engine, film, 1.0)
    for each in (engine, hf):
        [group] = each.generate([prompt], n=16, max_new_tokens=8, temperature=temperature, seeds=[1])
        assert {token for answer in group for token in answer.token_ids} == {eos, other_eos, 100}
        # The second of the checkpoint's ends does not end an answer.
        assert any(other_eos in answer.token_ids[:-1] for answer in group)
        assert largest_difference(engine, prompt, group, temperature) < TOLERANCE
        assert largest_difference(engine, prompt, group, temperature + 0.3) > 1e-2


def test_greedy_answers_are_those_of_the_hf_engine(engine: VLLMEngine, film: Path) -> None:
    hf = HFEngine()
    hf.bind(engine.policy, engine.encoder)
    prompts = [film_prompt(engine, film, rate) for rate in (0.5, 3.0)]
    options: dict[str, Any] = {"n": 1, "max_new_tokens": 12, "temperature": 0.0, "seeds": [0, 0]}
    ours, theirs = hf.generate(prompts, **options), engine.generate(prompts, **options)
    for [a], [b] in zip(ours, theirs, strict=True):
        assert (a.text, a.token_ids, a.finish_reason) == (b.text, b.token_ids, b.finish_reason)
        np.testing.assert_allclose(a.logps, b.logps, atol=TOLERANCE)


def test_banned_ids_are_never_sampled_and_end_tokens_end(
    engine: VLLMEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All but a few ids are banned, so that an unwanted one could not hide.
    eos = engine.encoder.eos_token_id
    allowed = [eos, *range(100, 110)]
    vocabulary = engine.policy.qwen.config.text_config.vocab_size
    banned = sorted({*range(vocabulary)} - {*allowed} | {*engine.policy.banned_ids})
    monkeypatch.setattr(QwenVLPolicy, "banned_ids", property(lambda policy: banned))
    prompt = film_prompt(engine, film, 1.0)
    [group] = engine.generate([prompt], n=32, max_new_tokens=20, temperature=1.0, seeds=[0])
    assert {token for answer in group for token in answer.token_ids} == {*allowed}
    assert {answer.finish_reason for answer in group} == {"stop", "length"}
    assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE


def test_a_difference_in_time_ends_the_run(
    engine: VLLMEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = film_prompt(engine, film, 1.0)
    shifted = replace(prompt, positions=prompt.positions + (prompt.ids == prompt.ids[-1]), next_position=9)
    engine.bind(engine.policy, engine.encoder)
    options: dict[str, Any] = {"n": 1, "max_new_tokens": 1, "temperature": 1.0, "seeds": [0]}
    with pytest.raises(UserError, match=r"row 1 .*M-RoPE positions .*first answer token"):
        engine.generate([shifted], **options)
    engine.generate([prompt], **options)
    # Compared once: from now on nothing is.
    monkeypatch.setattr(engine, "view", None)
    engine.generate([prompt], **options)
