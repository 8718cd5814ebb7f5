"""Updates and generation of a randomly initialised Qwen2.5-VL-7B with LoRA on one CUDA GPU.

The model is made on the device from its configuration, frozen weights in bfloat16, adapters in float32;
nothing is downloaded. One group about a clip of noise is scored and differentiated, packed and as rows, and
the hf engine answers its prompt. Told are tokens a second, the share of the GPU's FLOP/s by the FLOPs of
``medgrpo plan`` (MFU without recomputation, HFU with it), and the peak of allocated memory beside the planned
one. Results go to ``benchmarks/results/gpu_training.json``. ``--size tiny`` runs the same on a CPU.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.results import RESULTS, machine, results_table, save, versions
from benchmarks.tiny_scene import TEXTS, VOCABULARY, make_answers, make_prompt
from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.packed_batch import AnswerBatch, pack_groups
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import SPECIAL_TOKENS, build_processor, build_tokenizer
from medgrpo.planning import GPUS, PRESETS, RunSizes, shape_of, update_memory
from medgrpo.planning.groups import LAYOUTS, group_tokens
from medgrpo.planning.work import decode, prefill, update, vision
from medgrpo.rollout.hf import HFEngine

__all__ = ["main"]

_SEVEN = PRESETS["qwen2.5-vl-7b"]
_TINY_TEXT = {
    "vocab_size": 2 * VOCABULARY,  # ids that the tokenizer does not know are sampled, as with 7B
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
}
_TINY_VISION = {
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 4,
    "out_hidden_size": 64,
    "fullatt_block_indexes": [1],
}
MODELS: dict[str, dict[str, Any]] = {
    "7b": _SEVEN,
    "tiny": _SEVEN
    | {
        "text_config": _SEVEN["text_config"] | _TINY_TEXT,
        "vision_config": _SEVEN["vision_config"] | _TINY_VISION,
    },
}
SCENES = {"7b": (340, 48, 256), "tiny": (8, 4, 8)}
"""Frames, visual tokens of a pair of frames, tokens of an answer."""


class _RandomPolicy(QwenVLPolicy):
    """Made from a configuration, on the device, instead of loaded."""

    def __init__(self, config: dict[str, Any], device: torch.device, rank: int) -> None:
        super().__init__(
            "random weights",
            lora=LoRA(rank=rank, alpha=2.0 * rank),
            freeze_vision=True,
            dtype="bfloat16",
            gradient_checkpointing=True,
        )
        self.config = config
        self.place = device

    def setup(self) -> None:
        """Make tokenizer, processor and weights."""
        from transformers import AutoConfig, AutoModelForImageTextToText

        tokenizer = build_tokenizer(TEXTS * 3, VOCABULARY)
        self.processor = build_processor(tokenizer, "qwen2_5_vl")
        pad, _, end, vision_start, vision_end, image, video = tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS)
        values = copy.deepcopy(self.config)
        values["text_config"] |= {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
        values |= {"image_token_id": image, "video_token_id": video}
        values |= {"vision_start_token_id": vision_start, "vision_end_token_id": vision_end}
        config = AutoConfig.for_model(values.pop("model_type"), **values)
        torch.manual_seed(0)
        with self.place:
            model = AutoModelForImageTextToText.from_config(
                config, dtype=torch.bfloat16, attn_implementation="sdpa"
            )
        model.requires_grad_(False)
        self.adopt(model)


def main(argv: Sequence[str] = ()) -> int:
    """Measure, write and print.

    Returns:
        2 where there is no GPU to measure on, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_training", description=__doc__)
    parser.add_argument("--size", choices=tuple(MODELS), default="7b", help="default %(default)s")
    parser.add_argument("--group", type=int, default=8, help="answers of the group (default %(default)s)")
    parser.add_argument("--rank", type=int, default=64, help="of LoRA (default %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of a cell (default %(default)s)")
    parser.add_argument("--tflops", type=float, help="dense bfloat16 peak of a GPU that `plan` does not know")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu_training.json", help="default %(default)s")
    args = parser.parse_args(list(argv))
    if args.size != "tiny" and not torch.cuda.is_available():
        print("gpu_training: there is no CUDA GPU here; --size tiny runs on a CPU", file=sys.stderr)
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    peak = None if args.tflops is None else args.tflops * 1e12
    known = [gpu.flops for key, gpu in GPUS.items() if key.upper() in name]
    peak = known[0] if peak is None and known else peak

    policy = _RandomPolicy(MODELS[args.size], device, args.rank)
    policy.setup()
    shape = shape_of(MODELS[args.size], args.size)
    frames, tokens, length = SCENES[args.size]
    with tempfile.TemporaryDirectory() as folder:
        encoder, prompt = make_prompt(policy, Path(folder), frames, tokens)
    sizes = _sizes(prompt, args.group, length, args.rank)
    answers = make_answers(args.group, length)
    batches = {
        "packed": pack_groups(encoder, [prompt], [answers]),
        "rows": encoder.collate([prompt] * args.group, answers),
    }
    measured: dict[str, dict[str, Any]] = {}
    for layout in LAYOUTS:
        needed, done = (
            update(shape, sizes, layout, checkpointing).plus(vision(shape, sizes)).total
            for checkpointing in (False, True)
        )
        cell = _measure(_update(policy, batches[layout], device), device, args.runs)
        found = _told(cell, group_tokens(sizes, layout), needed, peak)
        found["hfu"] = None if found["mfu"] is None else found["mfu"] * done / needed
        found["planned_gb"] = sum(update_memory(shape, sizes, layout).values()) / 1e9
        measured[layout] = found
    measured["generation"] = _told(
        _measure(_generate(policy, encoder, prompt, sizes, device), device, args.runs),
        args.group * length,
        vision(shape, sizes).plus(prefill(shape, sizes)).plus(decode(shape, sizes)).total,
        peak,
    )
    results = _results(measured, sizes)
    print(results_table(results, 2))
    report = {"runs": args.runs, "size": args.size, "device": name, "peak_flops": peak, "results": results}
    report |= {
        "measured": measured,
        "machine": machine(),
        "versions": versions("torch", "transformers", "peft"),
    }
    save("gpu_training", report, args.out)
    return 0


def _sizes(prompt: EncodedPrompt, group: int, length: int, rank: int) -> RunSizes:
    """What a plan is told of a prompt."""
    pairs, height, width = prompt.clip.grid
    frame = height * width // 4
    return RunSizes(
        prompts=1,
        gpus=1,
        group=group,
        visual=pairs * frame,
        frame=frame,
        text=len(prompt.ids) - pairs * frame,
        answer=length,
        rank=rank,
    )


def _update(policy: QwenVLPolicy, batch: AnswerBatch, device: torch.device) -> Callable[[], None]:
    def step() -> None:
        with _autocast(device):
            logps, _ = policy.logps_and_entropy(batch.to(device))
        (-logps.sum() / batch.completion_tokens).backward()
        policy.zero_grad(set_to_none=False)

    return step


def _generate(
    policy: QwenVLPolicy, encoder: Encoder, prompt: EncodedPrompt, sizes: RunSizes, device: torch.device
) -> Callable[[], None]:
    engine = HFEngine()
    engine.bind(policy, encoder)
    encoder.eos_token_id = -1  # no answer ends before its limit

    def step() -> None:
        with _autocast(device):
            engine.generate([prompt], n=sizes.group, max_new_tokens=sizes.answer, temperature=1.0, seeds=[0])

    return step


def _autocast(device: torch.device) -> AbstractContextManager[Any]:
    """As precision ``bf16-mixed`` does on a GPU; a CPU only shows that the code runs."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _measure(step: Callable[[], None], device: torch.device, runs: int) -> dict[str, float] | None:
    """Median seconds and peak GB of a step behind one that warms up; None where memory does not suffice."""
    on_gpu = device.type == "cuda"
    taken = []
    try:
        for run in range(runs + 1):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            if on_gpu:
                torch.cuda.synchronize()
            if run:
                taken.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else float("nan")
    return {"seconds": statistics.median(taken), "peak_gb": peak}


def _told(
    cell: dict[str, float] | None, tokens: int, flops: float, peak: float | None
) -> dict[str, float | None]:
    """Rates of a cell; what was not measured is None."""
    if cell is None:
        return {"seconds": None, "peak_gb": None, "tokens_per_second": None, "mfu": None}
    seconds, memory = cell["seconds"], cell["peak_gb"]
    return {
        "seconds": seconds,
        "peak_gb": memory if memory == memory else None,  # NaN on a CPU
        "tokens_per_second": tokens / seconds,
        "mfu": None if peak is None else flops / seconds / peak,
    }


def _results(measured: dict[str, dict[str, Any]], sizes: RunSizes) -> list[dict[str, Any]]:
    cell = f"{sizes.prompt} + {sizes.group}x{sizes.answer} tokens"
    packed, rows, generation = measured["packed"], measured["rows"], measured["generation"]

    def entry(
        name: str, unit: str, ours: float | None, peer: float | None, ratio: float | None
    ) -> dict[str, Any]:
        peer_name = None if peer is None else "rows"
        return {
            "name": f"{cell}, {name}",
            "ours": ours,
            "peer": peer,
            "peer_name": peer_name,
            "unit": unit,
            "ratio": ratio,
            "target": None,
            "met": None,
        }

    def against_rows(name: str, unit: str, what: str) -> dict[str, Any]:
        ours, peer = packed[what], rows[what]
        return entry(name, unit, ours, peer, None if None in (ours, peer) else peer / ours)

    return [
        against_rows("update", "s", "seconds"),
        against_rows("update, peak memory", "GB", "peak_gb"),
        entry("update, MFU", "share", packed["mfu"], rows["mfu"], None),
        entry("update, HFU", "share", packed["hfu"], rows["hfu"], None),
        entry("update", "tokens/s", packed["tokens_per_second"], rows["tokens_per_second"], None),
        entry("generation", "answer tokens/s", generation["tokens_per_second"], None, None),
        entry("generation, peak memory", "GB", generation["peak_gb"], None, None),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
