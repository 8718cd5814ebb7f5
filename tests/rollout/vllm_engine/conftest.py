"""One engine a family serves all tests of this folder: starting one is slow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoProcessor

from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.rollout import VLLMEngine
from tests.rollout.engines import leave_process_group, make_film, uncompiled, write_generation_config
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_directory


@pytest.fixture(scope="package", params=FAMILIES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMEngine]:
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
    with uncompiled():
        # Started for written timestamps, with which a clip may be several videos; all else is one.
        engine.bind(policy, policy.encoder(replace(tiny_sampling(family), timestamps="text")))
        engine.view(engine.encoder.prompt(frame_list_sample(folder)))
        engine.bind(policy, policy.encoder(tiny_sampling(family)))
        yield engine
    engine._host = None
    leave_process_group()


@pytest.fixture(scope="package")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoded video of 75 seconds at five frames a second."""
    return make_film(tmp_path_factory.mktemp("film"))
