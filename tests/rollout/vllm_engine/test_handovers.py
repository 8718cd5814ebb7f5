"""The engine's weights are those of the moment, also behind its back and after sleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.rollout import VLLMEngine
from tests.rollout.engines import TOLERANCE, film_prompt, largest_difference, shift_weights

pytestmark = pytest.mark.vllm


@pytest.fixture(autouse=True)
def same_weights_for_others(engine: VLLMEngine) -> Iterator[None]:
    """Other tests find the policy as it was loaded."""
    before = {name: weight.clone() for name, weight in engine.policy.state_dict().items()}
    yield
    engine.policy.load_state_dict(before)


def test_new_weights_reach_the_engine(engine: VLLMEngine, film: Path) -> None:
    prompt = film_prompt(engine, film, 1.0)
    [before] = engine.generate([prompt], n=2, max_new_tokens=8, temperature=1.0, seeds=[0])
    shift_weights(engine.policy)
    assert largest_difference(engine, prompt, before, 1.0) > 1e-2
    [after] = engine.generate([prompt], n=2, max_new_tokens=8, temperature=1.0, seeds=[0])
    assert largest_difference(engine, prompt, after, 1.0) < TOLERANCE


def test_what_was_computed_with_old_weights_is_forgotten(engine: VLLMEngine, film: Path) -> None:
    # Long enough for keys and values of its beginning to be shared, 128 tokens at a time.
    prompt = film_prompt(engine, film, 1.0, "Which instrument retracts the gallbladder? " * 12)
    assert engine._host.llm.llm_engine.vllm_config.cache_config.enable_prefix_caching
    for _ in range(2):
        [group] = engine.generate([prompt], n=2, max_new_tokens=4, temperature=1.0, seeds=[0])
        assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE
        shift_weights(engine.policy)


def test_weights_are_handed_over_only_when_they_have_changed(
    engine: VLLMEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = film_prompt(engine, film, 1.0)
    engine.generate([prompt], n=1, max_new_tokens=1, temperature=1.0, seeds=[0])
    loads: list[int] = []
    load = engine._load_weights
    monkeypatch.setattr(engine, "_load_weights", lambda: (loads.append(1), load()))
    engine.generate([prompt], n=1, max_new_tokens=1, temperature=1.0, seeds=[0])
    assert loads == []
    with torch.no_grad():
        next(p for p in engine.policy.parameters() if p.requires_grad).add_(1e-3)
    engine.generate([prompt], n=1, max_new_tokens=1, temperature=1.0, seeds=[0])
    assert loads == [1]


def test_a_hand_over_that_is_lost_ends_the_run(
    engine: VLLMEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [film_prompt(engine, film, 3.0, "Which instrument? " * 20), film_prompt(engine, film, 1.0)]
    options: dict[str, Any] = {"n": 2, "max_new_tokens": 4, "temperature": 1.0, "seeds": [0, 0]}
    engine.generate(prompts, **options)
    with monkeypatch.context() as lost:
        lost.setattr(engine._host.llm, "collective_rpc", lambda *arguments, **others: None)
        shift_weights(engine.policy)
        with pytest.raises(UserError, match=r"row 1 \(1\) differ .* more than sync_tolerance=0\.0001"):
            engine.generate(prompts, **options)
    engine._weights = None
    engine.generate(prompts, **options)
    # Looked at once a hand-over, by its first answers.
    monkeypatch.setattr("medgrpo.rollout.vllm.check_sync", None)
    engine.generate(prompts, **options)


def recorded(call: Callable[..., Any], name: str, calls: list[tuple[str, Any]]) -> Callable[..., Any]:
    """A call that notes its name and its argument."""

    def told(*arguments: Any, **options: Any) -> Any:
        calls.append((name, options["tags"] if "tags" in options else arguments[0]))
        return call(*arguments, **options)

    return told


@pytest.mark.parametrize("level", [1, 2])
def test_the_engine_sleeps_between_rounds_and_wakes_with_the_weights_of_the_moment(
    engine: VLLMEngine, film: Path, level: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where vLLM has no memory to give back it keeps all the rest: it pauses, and wakes part by part.
    llm, calls = engine._host.llm, []
    for name in ("sleep", "wake_up", "collective_rpc"):
        monkeypatch.setattr(llm, name, recorded(getattr(llm, name), name, calls))
    monkeypatch.setattr(engine, "sleep_level", level)
    prompt = film_prompt(engine, film, 1.0)
    options: dict[str, Any] = {"n": 2, "max_new_tokens": 4, "temperature": 1.0, "seeds": [0]}
    engine.generate([prompt], **options)
    assert llm.llm_engine.is_sleeping()
    shift_weights(engine.policy)
    calls.clear()
    [group] = engine.generate([prompt], **options)
    assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE
    woken = [("wake_up", ["weights"]), ("collective_rpc", "reload_weights"), ("wake_up", ["kv_cache"])]
    assert calls == [*woken, ("sleep", level)]
    calls.clear()
    # The same weights: level 1 has kept them.
    engine.generate([prompt], **options)
    assert calls == [*(woken if level == 2 else woken[::2]), ("sleep", level)]


def test_sleep_is_refused_where_vllm_cannot(engine: VLLMEngine) -> None:
    assert not torch.cuda.is_available()
    with pytest.raises(UserError, match=r"VLLMEngine: vLLM cannot sleep on this platform; set sleep_level"):
        VLLMEngine(sleep_level=1).bind(engine.policy, engine.encoder)
