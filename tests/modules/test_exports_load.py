"""Exports of real runs, loaded from disk by vLLM and by transformers with PEFT: the same greedy answers.

The first run trains adapters and the vision tower and leaves merged weights; the second one trains an adapter
on top of them. So one engine that starts from the first directory serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from medgrpo.cli import main
from medgrpo.modules import ExportHF
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.rollout.vllm_process import kept_process
from tests.modules.sft_scene import fit, make_records
from tests.rollout.engines import TOLERANCE, leave_process_group, uncompiled
from tests.tiny_models import FAMILIES, tiny_directory

NEW_TOKENS = 12
RANK = 4
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8))


class Exports(NamedTuple):
    """Directories: where training began, the merged weights, and the adapter on top of those."""

    start: Path
    merged: Path
    adapter: Path


class Greedy(NamedTuple):
    """A greedy answer and the log-probabilities of its tokens."""

    ids: list[int]
    logps: list[float]


def _train(records: Path, start: Path, out: Path, family: Family, **callbacks: Any) -> Path:
    """Two steps of SFT with adapters; the last checkpoint, beside the configuration of its run."""
    policy = {"path": str(start), "lora": {"rank": RANK, "alpha": 64.0}, "freeze_vision": not callbacks}
    sampling = tiny_sampling(family)
    lora = LoRA(**policy["lora"])  # type: ignore[arg-type]
    module = QwenVLPolicy(str(start), lora=lora, freeze_vision=not callbacks)
    fit(records, out, 2, policy=module, sampling=sampling, **callbacks)
    nodes = {"model": {"policy": policy}, "data": {"sampling": asdict(sampling)}}
    config = {name: {"init_args": node} for name, node in nodes.items()}
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    return out / "ckpt" / "step=2.ckpt"


@pytest.fixture(scope="module", params=FAMILIES)
def exports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    folder = tmp_path_factory.mktemp("exports")
    records, start = make_records(folder, clips=4), tiny_directory(request.param)
    merged, adapter = folder / "merged", folder / "adapter"
    _train(records, start, folder / "first", request.param, callbacks=[ExportHF(str(merged))])
    last = _train(records, merged, folder / "second", request.param)
    assert main(["export", str(last), str(adapter), "--adapter"]) == 0
    return Exports(start, merged, adapter)


@pytest.fixture(scope="module")
def engine(exports: Exports) -> Iterator[Any]:
    """An engine as a user starts it on an exported directory."""
    with kept_process(), uncompiled():
        from vllm import LLM

        yield LLM(
            model=str(exports.merged),
            dtype="float32",
            enforce_eager=True,
            max_model_len=256,
            max_num_seqs=2,
            kv_cache_memory_bytes=10**7,
            enable_lora=True,
            max_lora_rank=8,
            limit_mm_per_prompt={"image": 1, "video": 0},
        )
    leave_process_group()


def _prompt(directory: Path) -> tuple[Any, str]:
    """The processor of a directory, and a question about a picture in the model's own words."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(directory)
    content = [{"type": "image"}, {"type": "text", "text": "Which instrument?"}]
    turns = [{"role": "user", "content": content}]
    return processor, processor.apply_chat_template(turns, add_generation_prompt=True)


@torch.no_grad()
def _transformers(base: Path, adapter: Path | None = None) -> Greedy:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(base).eval()
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    processor, text = _prompt(base)
    inputs = processor(text=[text], images=[PICTURE], return_tensors="pt")
    options = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": [], "pad_token_id": 0}
    out = model.generate(**inputs, **options, output_logits=True, return_dict_in_generate=True)
    ids = out.sequences[0, inputs.input_ids.shape[1] :].tolist()
    logps = [float(row[0].log_softmax(-1)[token]) for row, token in zip(out.logits, ids, strict=True)]
    return Greedy(ids, logps)


def _vllm(engine: Any, base: Path, adapter: Path | None = None) -> Greedy:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    sampling = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS, logprobs=0, ignore_eos=True)
    request = {"prompt": _prompt(base)[1], "multi_modal_data": {"image": PICTURE}}
    lora = None if adapter is None else LoRARequest("adapter", 1, str(adapter))
    [out] = engine.generate([request], sampling, lora_request=lora, use_tqdm=False)
    answer = out.outputs[0]
    ids = list(answer.token_ids)
    return Greedy(ids, [row[token].logprob for token, row in zip(ids, answer.logprobs, strict=True)])


@pytest.mark.vllm
def test_vllm_and_transformers_answer_alike_from_merged_weights_and_from_an_adapter(
    engine: Any, exports: Exports
) -> None:
    answers = []
    for adapter in (None, exports.adapter):
        ours, theirs = _transformers(exports.merged, adapter), _vllm(engine, exports.merged, adapter)
        assert ours.ids == theirs.ids
        np.testing.assert_allclose(ours.logps, theirs.logps, atol=TOLERANCE)
        answers.append(ours)
    # Each run has changed what is answered: neither directory is where it began.
    for before, after in zip([_transformers(exports.start), *answers], answers, strict=False):
        assert np.abs(np.subtract(before.logps, after.logps)).max() > 100 * TOLERANCE
