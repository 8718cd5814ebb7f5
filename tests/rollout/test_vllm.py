"""vLLM in a run, on a model that it cannot serve, and where it is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medgrpo.errors import MissingExtraError, UserError
from medgrpo.rollout import VLLMEngine
from tests.modules.grpo_scene import make_run, make_scene
from tests.rollout.engines import TOLERANCE, film_prompt, leave_process_group, make_film, uncompiled
from tests.tiny_models import tiny_directory, tiny_policy


@pytest.mark.vllm
def test_a_model_that_vllm_cannot_serve_is_a_users_mistake(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    engine = VLLMEngine(max_model_len=10**6, enforce_eager=True)
    engine.bind(policy, encoder)
    with pytest.raises(UserError, match=r"vLLM cannot serve .*max_model_len"):
        engine.view(film_prompt(engine, make_film(tmp_path), 1.0))


@pytest.mark.vllm
def test_rounds_of_grpo_are_played_with_the_weights_of_the_moment(tmp_path: Path) -> None:
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
    with uncompiled():
        trainer.fit(module, data)
    assert len(differences) == 2
    assert max(differences) < TOLERANCE
    engine._host = None
    leave_process_group()


def test_a_missing_vllm_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgrpo.rollout.vllm.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"medgrpo\[vllm\]"):
        VLLMEngine().bind(SimpleNamespace(), SimpleNamespace())
