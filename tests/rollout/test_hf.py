"""The hf engine against the trainer's own forward and transformers' greedy search."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.modules.tiny import Family
from medgrpo.rollout import decoding
from medgrpo.rollout.hf import HFEngine
from tests.tiny_models import FAMILIES, frame_list_sample, full_logits, tiny_policy


@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_log_probabilities_are_the_trainers(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    engine = HFEngine(max_rows=8)
    engine.bind(policy, encoder)
    prompts = [
        encoder.prompt(frame_list_sample(tmp_path, row=0, frames=8)),
        encoder.prompt(frame_list_sample(tmp_path, row=1, frames=4, question="Which instrument retracts?")),
        encoder.prompt(frame_list_sample(tmp_path, row=2, frames=12)),
    ]
    groups = engine.generate(prompts, n=4, max_new_tokens=[12, 5, 9], temperature=0.7, seeds=[3, 4, 5])
    rows = [(prompt, answer) for prompt, group in zip(prompts, groups, strict=True) for answer in group]
    batch = encoder.collate([p for p, _ in rows], [a.token_ids for _, a in rows])
    with torch.no_grad():
        logps = policy.logps(batch, 0.7)
    for row, (_, answer) in enumerate(rows):
        expected = torch.tensor(answer.logps)
        torch.testing.assert_close(logps[row][batch.completion_mask[row]], expected, atol=1e-5, rtol=0)
    for limit, group in zip([12, 5, 9], groups, strict=True):
        for answer in group:
            assert 1 <= len(answer.token_ids) <= limit
            ended = answer.token_ids[-1] == encoder.eos_token_id
            assert answer.finish_reason == ("stop" if ended else "length")
            assert encoder.eos_token_id not in answer.token_ids[:-1]
            assert not set(answer.token_ids) & set(policy.banned_ids)


def test_the_same_seed_gives_the_same_answers_and_another_does_not(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompts = [encoder.prompt(frame_list_sample(tmp_path, row=row)) for row in range(2)]

    def answers(seed: int) -> list[list[tuple[int, ...]]]:
        groups = engine.generate(prompts, n=4, max_new_tokens=8, temperature=1.0, seeds=[seed, seed + 100])
        return [[answer.token_ids for answer in group] for group in groups]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)
    assert len(set(answers(1)[0])) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_does_not_depend_on_what_is_decoded_beside_it(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, encoder = tiny_policy(family)
    logits, often = policy.next_token_logits, torch.zeros(policy.qwen.config.text_config.vocab_size)
    often[encoder.eos_token_id] = 4.0
    monkeypatch.setattr(policy, "next_token_logits", lambda *given: logits(*given) + often)
    monkeypatch.setattr(decoding, "FIRST_TOKENS", 3)  # so that the space for answers has to grow
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompts = [
        encoder.prompt(frame_list_sample(tmp_path, row=row, frames=frames))
        for row, frames in enumerate((8, 4, 12))
    ]
    options: dict[str, Any] = {"n": 4, "temperature": 1.3}
    limits, seeds = [12, 5, 20], [11, 12, 13]
    together = engine.generate(prompts, max_new_tokens=limits, seeds=seeds, **options)
    ends = {len(answer.token_ids) for group in together for answer in group}
    assert len(ends) > 5  # rows and whole prompts leave at different times
    for prompt, limit, seed, group in zip(prompts, limits, seeds, together, strict=True):
        [alone] = engine.generate([prompt], max_new_tokens=limit, seeds=[seed], **options)
        for mine, other in zip(alone, group, strict=True):
            assert mine.token_ids == other.token_ids
            torch.testing.assert_close(torch.tensor(mine.logps), torch.tensor(other.logps), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_the_argmax_of_transformers_forward(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    policy.eval()
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompt = encoder.prompt(frame_list_sample(tmp_path, row=5))
    [[answer]] = engine.generate([prompt], n=1, max_new_tokens=10, temperature=0.0, seeds=[0])
    with torch.no_grad():
        logits = full_logits(policy, encoder, prompt, list(answer.token_ids))
    logits[:, policy.banned_ids] = -torch.inf
    assert tuple(logits.argmax(-1).tolist()) == answer.token_ids


def test_samples_follow_the_distribution(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    policy.eval()
    engine = HFEngine(max_rows=4096)
    engine.bind(policy, encoder)
    prompt = encoder.prompt(frame_list_sample(tmp_path, row=5))
    [group] = engine.generate([prompt], n=4096, max_new_tokens=1, temperature=0.5, seeds=[0])
    with torch.no_grad():
        logits = full_logits(policy, encoder, prompt, [0])[0] / 0.5
    logits[policy.banned_ids] = -torch.inf
    expected = logits.softmax(-1)
    counts = torch.bincount(torch.tensor([a.token_ids[0] for a in group]), minlength=len(expected))
    top = expected.argmax()
    # Five standard errors of a binomial share.
    error = 5 * (expected[top] * (1 - expected[top]) / 4096).sqrt()
    assert abs(counts[top] / 4096 - expected[top]) < error


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gradient_can_be_taken_after_answers_were_sampled(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompts = [encoder.prompt(frame_list_sample(tmp_path, row=row)) for row in range(2)]
    for context in (nullcontext(), torch.autocast("cpu", torch.bfloat16)):
        with context:
            groups = engine.generate(prompts, n=2, max_new_tokens=3, temperature=1.0, seeds=[0, 1])
        with context:
            answers = [[answer.token_ids for answer in group] for group in groups]
            loss = policy.logps(encoder.collate_groups(prompts, answers)).sum()
        policy.zero_grad()
        loss.backward()
        assert all(p.grad is not None and not p.is_inference() for p in policy.parameters())
