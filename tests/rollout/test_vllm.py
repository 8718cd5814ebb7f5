"""vLLM against the trainer: equal ids, positions and log-probabilities, at every rate and after every update.

One engine a family serves all tests of this file: starting one is slow.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.rollout import VLLMEngine
from medgrpo.rollout.failures import EngineError
from medgrpo.rollout.hf import HFEngine
from medgrpo.types import Completion
from tests.modules.grpo_scene import make_run, make_scene
from tests.rollout.engines import (
    TOLERANCE,
    film_prompt,
    largest_difference,
    leave_process_group,
    make_film,
    shift_weights,
    write_generation_config,
)
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_directory, tiny_policy

RATES = (0.2, 0.5, 1.0, 3.0)


@pytest.fixture(scope="module")
def uncompiled() -> Iterator[None]:
    """Compiling one small function of vLLM's sampler takes longer than all of these tests."""
    import torch._dynamo

    with torch._dynamo.config.patch(disable=True):
        yield


@pytest.fixture(scope="module", params=FAMILIES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, uncompiled: None
) -> Iterator[VLLMEngine]:
    """An engine bound to a tiny policy whose videos are normalised with other numbers than its images.

    Its checkpoint has a generation config that would change every distribution.
    """
    family: Family = request.param
    folder = tmp_path_factory.mktemp("model") / family
    shutil.copytree(tiny_directory(family), folder)
    processor = AutoProcessor.from_pretrained(folder)
    processor.video_processor.image_mean = [0.4, 0.45, 0.5]
    processor.video_processor.image_std = [0.6, 0.5, 0.4]
    processor.save_pretrained(folder)
    write_generation_config(folder)
    policy = QwenVLPolicy(str(folder), lora=LoRA(rank=4))
    policy.setup()
    engine = VLLMEngine(max_model_len=1024, max_num_seqs=8, kv_cache_gb=0.1, enforce_eager=True)
    # Started for written timestamps, with which a clip may be several videos; all else is one.
    engine.bind(policy, policy.encoder(replace(tiny_sampling(family), timestamps="text")))
    engine.view(engine.encoder.prompt(frame_list_sample(folder)))
    engine.bind(policy, policy.encoder(tiny_sampling(family)))
    yield engine
    engine._host = None
    leave_process_group()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoded video of 75 seconds at five frames a second."""
    return make_film(tmp_path_factory.mktemp("film"))


def at_rate(encoder: Encoder, prompt: EncodedPrompt, fps: float) -> EncodedPrompt:
    """The same question about the same frames at another rate."""
    times = tuple(k / fps for k in range(len(prompt.clip.frames)))
    return encoder.assemble(prompt.sample, replace(prompt.clip, fps=fps, times=times))


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
def test_new_weights_reach_the_engine(engine: VLLMEngine, film: Path) -> None:
    prompt = film_prompt(engine, film, 1.0)
    [before] = engine.generate([prompt], n=2, max_new_tokens=8, temperature=1.0, seeds=[0])
    shift_weights(engine.policy)
    assert largest_difference(engine, prompt, before, 1.0) > 1e-2
    [after] = engine.generate([prompt], n=2, max_new_tokens=8, temperature=1.0, seeds=[0])
    assert largest_difference(engine, prompt, after, 1.0) < TOLERANCE


@pytest.mark.vllm
def test_what_was_computed_with_old_weights_is_forgotten(engine: VLLMEngine, film: Path) -> None:
    # Long enough for keys and values of its beginning to be shared, 128 tokens at a time.
    prompt = film_prompt(engine, film, 1.0, "Which instrument retracts the gallbladder? " * 12)
    assert engine._host.llm.llm_engine.vllm_config.cache_config.enable_prefix_caching
    for _ in range(2):
        [group] = engine.generate([prompt], n=2, max_new_tokens=4, temperature=1.0, seeds=[0])
        assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE
        shift_weights(engine.policy)


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
def test_greedy_answers_are_those_of_the_hf_engine(engine: VLLMEngine, film: Path) -> None:
    hf = HFEngine()
    hf.bind(engine.policy, engine.encoder)
    prompts = [film_prompt(engine, film, rate) for rate in (0.5, 3.0)]
    options: dict[str, Any] = {"n": 1, "max_new_tokens": 12, "temperature": 0.0, "seeds": [0, 0]}
    ours, theirs = hf.generate(prompts, **options), engine.generate(prompts, **options)
    for [a], [b] in zip(ours, theirs, strict=True):
        assert (a.text, a.token_ids, a.finish_reason) == (b.text, b.token_ids, b.finish_reason)
        np.testing.assert_allclose(a.logps, b.logps, atol=TOLERANCE)


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
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


@pytest.mark.vllm
def test_requests_that_vllm_would_bend_are_refused(engine: VLLMEngine, film: Path) -> None:
    prompt = film_prompt(engine, film, 1.0)
    with pytest.raises(UserError, match=r"temperature is 0\.001"):
        engine.generate([prompt], n=1, max_new_tokens=1, temperature=0.001, seeds=[0])
    with pytest.raises(UserError, match=r"row 1 \(1\): .* answer of up to 1000 .* max_model_len=1024"):
        engine.generate([prompt], n=1, max_new_tokens=1000, temperature=1.0, seeds=[0])


@pytest.mark.vllm
def test_starting_the_engine_leaves_the_process_alone(engine: VLLMEngine, film: Path) -> None:
    engine.view(film_prompt(engine, film, 1.0))
    assert torch.set_num_threads.__module__ != "vllm.v1.worker.cpu_worker"
    assert torch.get_num_threads() == 1
    assert torch.is_grad_enabled()
    assert "LD_PRELOAD" not in os.environ
    assert (os.environ["VLLM_NO_USAGE_STATS"], os.environ["DO_NOT_TRACK"]) == ("1", "1")


@pytest.mark.vllm
def test_sleep_is_refused_where_vllm_cannot(engine: VLLMEngine) -> None:
    assert not torch.cuda.is_available()
    with pytest.raises(UserError, match=r"VLLMEngine: vLLM cannot sleep on this platform; set sleep_level"):
        VLLMEngine(sleep_level=1).bind(engine.policy, engine.encoder)


@pytest.mark.vllm
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


@pytest.mark.vllm
def test_a_model_that_vllm_cannot_serve_is_a_users_mistake(film: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    engine = VLLMEngine(max_model_len=10**6, enforce_eager=True)
    engine.bind(policy, encoder)
    with pytest.raises(UserError, match=r"vLLM cannot serve .*max_model_len"):
        engine.view(film_prompt(engine, film, 1.0))


@pytest.mark.vllm
def test_rounds_of_grpo_are_played_with_the_weights_of_the_moment(tmp_path: Path, uncompiled: None) -> None:
    # vLLM's kernels for the CPU want wider heads than the scene's own model has.
    shutil.copytree(tiny_directory("qwen2_5_vl"), tmp_path / "model")
    engine = VLLMEngine(max_model_len=1024, max_num_seqs=16, kv_cache_gb=0.1, enforce_eager=True)
    trainer, module, data = make_run(make_scene(tmp_path), tmp_path, module={"engine": engine})
    differences: list[float] = []
    play = module.play

    def played(*prompts: Any, **options: Any) -> Any:
        groups = play(*prompts, **options)
        differences.append(module.round_numbers["train/logp_diff_max"])
        return groups

    module.play = played  # type: ignore[method-assign]
    trainer.fit(module, data)
    assert len(differences) == 2
    assert max(differences) < TOLERANCE
    engine._host = None
    leave_process_group()


def test_a_missing_vllm_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgrpo.rollout.vllm.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"medgrpo\[vllm\]"):
        VLLMEngine().bind(SimpleNamespace(), SimpleNamespace())
