"""A real rollout server in a process of its own: the same prompts, probabilities and weights."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import tiny_sampling
from medgrpo.rollout import VLLMServerEngine
from medgrpo.rollout.failures import EngineError
from medgrpo.rollout.server import RolloutServer
from medgrpo.rollout.vllm_remote import RemoteHost
from tests.rollout.engines import (
    TOLERANCE,
    film_prompt,
    largest_difference,
    make_film,
    shift_weights,
    write_generation_config,
)
from tests.tiny_models import tiny_directory

pytestmark = pytest.mark.vllm


class Server:
    """``medgrpo serve-rollouts`` on a free port."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "medgrpo", "serve-rollouts", "--port", "0"]
        # Compiling one small function of vLLM's sampler takes longer than all of these tests.
        environment = os.environ | {"TORCHDYNAMO_DISABLE": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]

    def end(self, how: signal.Signals) -> str:
        """Ends it; what it said of errors."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)[1]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def engine(server: Server, tmp_path_factory: pytest.TempPathFactory) -> VLLMServerEngine:
    # The family whose prompts say the time in words between the frames.
    folder = tmp_path_factory.mktemp("model") / "qwen3_vl"
    shutil.copytree(tiny_directory("qwen3_vl"), folder)
    write_generation_config(folder)
    policy = QwenVLPolicy(str(folder), lora=LoRA(rank=4))
    policy.setup()
    return bound(server, policy)


def bound(server: Server, policy: QwenVLPolicy, **options: Any) -> VLLMServerEngine:
    small: dict[str, Any] = {"max_model_len": 1024, "max_num_seqs": 8, "kv_cache_gb": 0.1}
    engine = VLLMServerEngine((server.url,), enforce_eager=True, **small | options)
    engine.bind(policy, policy.encoder(tiny_sampling(policy.family)))  # type: ignore[arg-type]
    return engine


def test_prompts_probabilities_and_weights_are_the_trainers(engine: VLLMServerEngine, film: Path) -> None:
    prompts = [film_prompt(engine, film, rate) for rate in (0.5, 1.0, 3.0)]
    done: list[int] = []
    options: dict[str, Any] = {"n": 4, "max_new_tokens": [12, 3, 7], "seeds": [1, 2, 3]}
    for temperature in (0.7, 1.0):
        groups = engine.generate(prompts, temperature=temperature, progress=done.append, **options)
        assert groups == engine.generate(prompts, temperature=temperature, **options)
        assert [len(group) for group in groups] == [4, 4, 4]
        for prompt, group in zip(prompts, groups, strict=True):
            assert largest_difference(engine, prompt, group, temperature) < 1e-5
            assert not {token for answer in group for token in answer.token_ids} & {*engine.policy.banned_ids}
        # An optimizer step later the old answers are unlikely, and new ones come from the new weights.
        shift_weights(engine.policy)
        assert largest_difference(engine, prompts[0], groups[0], temperature) > 1e-2
    assert sum(done) == 6
    view = engine.view(prompts[2])
    np.testing.assert_array_equal(view.ids, prompts[2].ids)
    np.testing.assert_array_equal(view.positions, prompts[2].positions)
    assert view.next_position == prompts[2].next_position
    assert view.grids.tolist() == [list(prompts[2].clip.grid)]


def test_a_hand_over_that_is_lost_ends_the_run(
    engine: VLLMServerEngine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = film_prompt(engine, film, 1.0)
    options: dict[str, Any] = {"n": 2, "max_new_tokens": 4, "temperature": 1.0, "seeds": [0]}
    engine.generate([prompt], **options)
    with monkeypatch.context() as lost:
        lost.setattr(RemoteHost, "load", lambda host, weights: None)
        shift_weights(engine.policy)
        with pytest.raises(UserError, match=r"^VLLMServerEngine: after the weights .* row 1 \(1\) differ"):
            engine.generate([prompt], **options)
    engine._weights = None
    [group] = engine.generate([prompt], **options)
    assert largest_difference(engine, prompt, group, 1.0) < TOLERANCE


def test_a_trainer_that_goes_away_leaves_nothing_behind(
    engine: VLLMServerEngine, server: Server, film: Path
) -> None:
    prompt = film_prompt(engine, film, 1.0)
    options: dict[str, Any] = {"n": 2, "temperature": 1.0, "max_new_tokens": [1, *[200] * 20]}

    def leave(finished: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.generate([prompt] * 21, seeds=range(21), progress=leave, **options)
    # The next one, with weights of its own, finds the server as if it had just been started.
    policy = QwenVLPolicy(engine.policy.path, lora=LoRA(rank=4))
    policy.setup()
    another = bound(server, policy)
    [group] = another.generate([prompt], n=2, max_new_tokens=4, temperature=1.0, seeds=[0])
    assert largest_difference(another, prompt, group, 1.0) < TOLERANCE


def test_other_options_and_servers_that_are_not_there_are_told(
    engine: VLLMServerEngine, server: Server, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = film_prompt(engine, film, 1.0)
    with pytest.raises(EngineError, match=r"it runs another model or other options already; start it again"):
        bound(server, engine.policy, max_model_len=512).view(prompt)
    with pytest.raises(UserError, match=r"example\.org is another machine.* allow_remote: true"):
        VLLMServerEngine(("http://example.org:8100",))
    with monkeypatch.context() as other:
        other.setattr("medgrpo.rollout.vllm_remote.__version__", "0.0.0")
        with pytest.raises(EngineError, match=r"the rollout server at http.* is medgrpo .*, this is 0\.0\.0"):
            bound(server, engine.policy)
    nobody = VLLMServerEngine(("http://127.0.0.1:9",))
    with pytest.raises(EngineError, match=r"no rollout server answers at http://127\.0\.0\.1:9; start one"):
        nobody.bind(engine.policy, engine.encoder)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(UserError, match=r"2 processes train and base_urls names 1 server"):
        bound(server, engine.policy)


def test_a_server_that_dies_ends_the_run_in_one_line(
    engine: VLLMServerEngine, server: Server, film: Path
) -> None:
    # The last of the tests that share a server.
    prompt = film_prompt(engine, film, 1.0)

    def kill(finished: int) -> None:
        server.end(signal.SIGKILL)

    options: dict[str, Any] = {"n": 2, "temperature": 1.0, "max_new_tokens": [1, *[200] * 20]}
    with pytest.raises(EngineError, match=r"^the rollout server at http://127\.0\.0\.1:\d+ (was|broke)"):
        engine.generate([prompt] * 21, seeds=range(21), progress=kill, **options)


def test_an_engine_that_fails_ends_its_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Failing:
        def __init__(self, path: str, options: Any) -> None:
            raise MemoryError("no memory on\n the device")

    monkeypatch.setattr("medgrpo.rollout.server.VLLMHost", Failing)
    with RolloutServer(("127.0.0.1", 0)) as server:
        told: list[BaseException] = []

        def serve() -> None:
            try:
                server.serve_forever(poll_interval=0.01)
            except EngineError as error:
                told.append(error)

        thread = Thread(target=serve)
        thread.start()
        host = RemoteHost(f"http://127.0.0.1:{server.server_port}", 10.0)
        with pytest.raises(EngineError, match=r"MemoryError: no memory on the device"):
            host.start("model", {"dtype": "float32"})
        thread.join()
    assert [str(error) for error in told] == [
        "the engine of the rollout server failed: MemoryError: no memory on the device"
    ]
