"""What is asked of the engine: counts, limits, ends, what it refuses, and its own end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.rollout import VLLMEngine
from medgrpo.rollout.failures import EngineError
from medgrpo.types import Completion
from tests.rollout.engines import TOLERANCE, film_prompt, largest_difference

pytestmark = pytest.mark.vllm


def test_seeds_counts_limits_and_ends(engine: VLLMEngine, film: Path) -> None:
    prompts = [
        film_prompt(engine, film, 1.0, question) for question in ("Which instrument?", "Where?", "When?")
    ]
    limits, done = [5, 1, 30], []

    def sample(seed: int) -> list[list[Completion]]:
        return engine.generate(
            prompts,
            n=4,
            max_new_tokens=limits,
            temperature=1.5,
            seeds=[seed, seed, seed],
            progress=done.append,
        )

    state = torch.random.get_rng_state()
    first, again, other = sample(7), sample(7), sample(8)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == again
    assert first != other
    assert sum(done) == 9
    ended = 0
    for limit, group in zip(limits, first, strict=True):
        assert len(group) == 4
        for answer in group:
            assert 1 <= len(answer.token_ids) <= limit
            stop = answer.token_ids[-1] == engine.encoder.eos_token_id
            ended += stop
            assert answer.finish_reason == ("stop" if stop else "length")
            assert stop or len(answer.token_ids) == limit
            assert engine.encoder.eos_token_id not in answer.token_ids[:-1]
            assert answer.text == engine.encoder.decode(answer.token_ids)
    assert len({answer.token_ids for answer in first[2]}) == 4
    assert engine.generate([], n=4, max_new_tokens=3, temperature=1.0, seeds=[]) == []


def test_prompts_that_nobody_waits_for_are_given_up(engine: VLLMEngine, film: Path) -> None:
    prompt = film_prompt(engine, film, 1.0)
    requests = [engine._request(prompt, n=2, limit=limit, temperature=1.0) for limit in (1, 99, 99)]
    stream = engine._host.answers(requests, seed=0)
    place, answers = next(stream)
    assert (place, len(answers)) == (0, 2)
    core = engine._host.llm.llm_engine
    assert core.has_unfinished_requests()
    stream.close()
    assert not core.has_unfinished_requests()
    core.step()
    [group] = engine.generate([prompt], n=2, max_new_tokens=4, temperature=1.0, seeds=[0])
    assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE


def test_requests_that_vllm_would_bend_are_refused(engine: VLLMEngine, film: Path) -> None:
    prompt = film_prompt(engine, film, 1.0)
    with pytest.raises(UserError, match=r"temperature is 0\.001"):
        engine.generate([prompt], n=1, max_new_tokens=1, temperature=0.001, seeds=[0])
    with pytest.raises(UserError, match=r"row 1 \(1\): .* answer of up to 1000 .* max_model_len=1024"):
        engine.generate([prompt], n=1, max_new_tokens=1000, temperature=1.0, seeds=[0])


def test_starting_the_engine_leaves_the_process_alone(engine: VLLMEngine, film: Path) -> None:
    engine.view(film_prompt(engine, film, 1.0))
    assert torch.set_num_threads.__module__ != "vllm.v1.worker.cpu_worker"
    assert torch.get_num_threads() == 1
    assert torch.is_grad_enabled()
    assert "LD_PRELOAD" not in os.environ
    assert (os.environ["VLLM_NO_USAGE_STATS"], os.environ["DO_NOT_TRACK"]) == ("1", "1")


def test_an_engine_that_dies_ends_the_run_in_one_line(
    engine: VLLMEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last of the tests that share an engine: nothing is left of it.
    prompt = film_prompt(engine, film, 1.0)
    core, done = engine._host.llm.llm_engine, []
    step = core.step

    def die() -> Any:
        done.append(1)
        if len(done) > 2:
            raise RuntimeError("CUDA error:\n  unspecified launch failure")
        return step()

    monkeypatch.setattr(core, "step", die)
    with pytest.raises(EngineError, match=r"^VLLMEngine failed: RuntimeError: CUDA error: unspecified"):
        engine.generate([prompt], n=2, max_new_tokens=9, temperature=1.0, seeds=[0])
    assert engine._host is None
