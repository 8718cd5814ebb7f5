"""One group of answers about one clip on one device: its update and its sampling, by each side in turn.

Sides of the update are the packed layout with PyTorch's attention (``packed``) and with FlexAttention
(``flex``), the answers as ``rows``, and ``TRL``'s own loss on the same weights; of sampling the ``hf`` engine
and transformers' ``generate``. Models are made one after the other, so that each side has the GPU for itself.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.generation import generate_step
from benchmarks.random_weights import ARCHITECTURES, RandomPolicy, peer_model
from benchmarks.tiny_scene import make_answers, make_prompt
from benchmarks.update_sides import medgrpo_step, trl_step
from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.packed_batch import AnswerBatch, GroupLayout, PackedBatch, pack_groups
from medgrpo.modules.policy import LoRA
from medgrpo.modules.shared_prefix import GroupAttention
from medgrpo.planning import RunSizes, shape_of, update_memory
from medgrpo.planning.groups import group_tokens
from medgrpo.planning.work import decode, prefill, update, vision
from medgrpo.rollout.hf import HFEngine

__all__ = ["SAMPLERS", "SCENES", "UPDATES", "Cell", "GroupBench", "Scene"]

UPDATES = ("packed", "flex", "rows", "TRL")
SAMPLERS = ("hf", "generate")
"""The sides; the first of each is ours as it is by default, the last is the peer."""

Cell = dict[str, Any]
"""Numbers of a side; None where memory did not suffice."""


@dataclass(frozen=True)
class Scene:
    """What a group is about.

    Attributes:
        architecture: Of the model.
        frames: Of the clip.
        tokens: Of a pair of frames.
        length: Of an answer, in tokens.
        dtype: Of the frozen weights; bfloat16 is computed with under autocast.
    """

    architecture: str
    frames: int
    tokens: int
    length: int
    dtype: Literal["bfloat16", "float32"] = "bfloat16"


SCENES = {
    "tiny": Scene("tiny", 24, 4, 8, "float32"),
    "3B, short clip": Scene("qwen2.5-vl-3b", 80, 48, 256),
    "3B, long clip": Scene("qwen2.5-vl-3b", 340, 48, 256),
    "7B, long clip": Scene("qwen2.5-vl-7b", 340, 48, 256),
}


class GroupBench:
    """Measures one scene.

    Args:
        scene: What the group is about.
        device: Where.
        group: Answers.
        rank: Of LoRA.
        runs: Timed runs of a side, behind one that warms up; the median counts.
        peak_flops: Of the device, a second; None leaves the share of it out.
    """

    def __init__(
        self,
        scene: Scene,
        device: torch.device,
        *,
        group: int,
        rank: int,
        runs: int,
        peak_flops: float | None,
    ) -> None:
        self.scene = scene
        self.device = device
        self.runs = runs
        self.peak_flops = peak_flops
        self.lora = LoRA(rank=rank, alpha=2.0 * rank)
        self.answers = make_answers(group, scene.length)
        self.shape = shape_of(ARCHITECTURES[scene.architecture], scene.architecture)
        policy = self._policy("sdpa")
        with tempfile.TemporaryDirectory() as folder:
            self.encoder, self.prompt = make_prompt(policy, Path(folder), scene.frames, scene.tokens)
            self.packed = pack_groups(self.encoder, [self.prompt], [self.answers]).to(device)
            self.rows = self.encoder.collate([self.prompt] * group, self.answers).to(device)
        self.sizes = self._sizes(self.prompt, group, rank)

    def measure(self, sides: Collection[str]) -> dict[str, Cell]:
        """A cell for each of the sides.

        Raises:
            RuntimeError: If sides of a float32 scene do not compute the same.
        """
        found: dict[str, Cell] = {}
        logps: dict[str, torch.Tensor] = {}
        if {"packed", "rows", "hf"} & set(sides):
            policy = self._policy("sdpa")
            for side, batch in (("packed", self.packed), ("rows", self.rows)):
                if side in sides:
                    logps[side], found[side] = self._ours(policy, batch)
            if "hf" in sides:
                found["hf"] = self._hf(policy)
            del policy
        if "flex" in sides:
            logps["flex"], found["flex"] = self._ours(self._policy("flex"), self.packed)
        if {"TRL", "generate"} & set(sides):
            self._peer(sides, logps, found)
        for side in logps.keys() - {"packed"} if "packed" in logps else ():
            found[side]["logps_apart"] = float((logps[side] - logps["packed"]).abs().mean())
        self._check(found)
        return found

    def _policy(self, kernel: GroupAttention) -> RandomPolicy:
        _release()
        policy = RandomPolicy(
            self.scene.architecture,
            self.device,
            lora=self.lora,
            dtype=self.scene.dtype,
            group_attention=kernel,
        )
        policy.setup()
        return policy

    def _sizes(self, prompt: EncodedPrompt, group: int, rank: int) -> RunSizes:
        """What a plan is told of the group."""
        pairs, height, width = prompt.clip.grid
        frame = height * width // 4
        return RunSizes(
            prompts=1,
            gpus=1,
            group=group,
            visual=pairs * frame,
            frame=frame,
            text=len(prompt.ids) - pairs * frame,
            answer=self.scene.length,
            rank=rank,
        )

    def _ours(self, policy: RandomPolicy, batch: AnswerBatch) -> tuple[torch.Tensor, Cell]:
        """Log-probabilities of all answer tokens, and the cell of one of our layouts and kernels."""
        with torch.no_grad(), self._autocast():
            logps = policy.logps(batch)[batch.completion_mask]
        step = medgrpo_step(policy, batch, self._autocast)
        layout: GroupLayout = "packed" if isinstance(batch, PackedBatch) else "rows"
        return logps, self._update(step, policy.model, layout)

    def _peer(self, sides: Collection[str], logps: dict[str, torch.Tensor], found: dict[str, Cell]) -> None:
        """TRL's update and transformers' ``generate``, of one model."""
        _release()
        dtype, tokenizer = getattr(torch, self.scene.dtype), self.encoder.processor.tokenizer
        model = peer_model(self.scene.architecture, tokenizer, self.device, dtype, self.lora)
        if "TRL" in sides:
            step = trl_step(model, self.encoder, self.prompt, self.answers, self._autocast)
            try:
                logps["TRL"] = step.logps().flatten()
            except torch.OutOfMemoryError:
                _release()
            found["TRL"] = self._update(step, model, "rows")
            del step
        if "generate" in sides:
            model.gradient_checkpointing_disable()
            model.eval()
            group = len(self.answers)
            found["generate"] = self._sampled(
                lambda length: generate_step(model, self.encoder, [self.prompt], group, length)()
            )

    def _hf(self, policy: RandomPolicy) -> Cell:
        engine = HFEngine()
        engine.bind(policy, self.encoder)
        end, self.encoder.eos_token_id = self.encoder.eos_token_id, -1  # no answer ends before its limit
        policy.bans = True
        options: dict[str, Any] = {"n": len(self.answers), "temperature": 1.0, "seeds": [0]}
        cell = self._sampled(lambda length: engine.generate([self.prompt], max_new_tokens=length, **options))
        policy.bans, self.encoder.eos_token_id = False, end
        return cell

    def _sampled(self, sample: Callable[[int], Any]) -> Cell:
        """The cell of sampling answers of a length, behind short ones that warm up."""

        def run(length: int = self.scene.length) -> None:
            with self._autocast():
                sample(length)

        run(2)
        work = vision(self.shape, self.sizes).plus(prefill(self.shape, self.sizes))
        flops = work.plus(decode(self.shape, self.sizes)).total
        return self._told(self._timed(run), self.sizes.group * self.sizes.answer, flops)

    def _update(self, step: Callable[[], None], model: Any, layout: GroupLayout) -> Cell:
        """The cell of an update; gradients are there before and are cleared behind it."""

        def run() -> None:
            step()
            model.zero_grad(set_to_none=False)

        norm = self._gradient_norm(step, model)
        needed, done = (
            update(self.shape, self.sizes, layout, checkpointing).plus(vision(self.shape, self.sizes)).total
            for checkpointing in (False, True)
        )
        cell = self._told(self._timed(run), group_tokens(self.sizes, layout), needed)
        cell["hfu"] = None if cell["mfu"] is None else cell["mfu"] * done / needed
        cell["gradient_norm"] = norm
        cell["planned_gb"] = sum(update_memory(self.shape, self.sizes, layout).values()) / 1e9
        return cell

    def _gradient_norm(self, step: Callable[[], None], model: Any) -> float | None:
        """Of the adapters; the step warms up."""
        try:
            step()
        except torch.OutOfMemoryError:
            _release()
            return None
        squares = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
        model.zero_grad(set_to_none=False)
        return float(torch.stack(squares).sum().sqrt())

    def _timed(self, step: Callable[[], Any]) -> dict[str, float] | None:
        """Median seconds and peak GB of what has run before; None where memory does not suffice."""
        on_gpu = self.device.type == "cuda"
        taken = []
        try:
            for _ in range(self.runs):
                if on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                    torch.cuda.synchronize()
                start = time.perf_counter()
                step()
                if on_gpu:
                    torch.cuda.synchronize()
                taken.append(time.perf_counter() - start)
        except torch.OutOfMemoryError:
            _release()
            return None
        peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else float("nan")
        return {"seconds": statistics.median(taken), "peak_gb": peak}

    def _told(self, cell: dict[str, float] | None, tokens: int, flops: float) -> Cell:
        """Rates of what was timed."""
        if cell is None:
            return {"seconds": None, "peak_gb": None, "tokens_per_second": None, "mfu": None}
        seconds, memory = cell["seconds"], cell["peak_gb"]
        return {
            "seconds": seconds,
            "peak_gb": memory if memory == memory else None,  # NaN on a CPU
            "tokens_per_second": tokens / seconds,
            "mfu": None if self.peak_flops is None else flops / seconds / self.peak_flops,
        }

    def _check(self, found: dict[str, Cell]) -> None:
        """All sides compute the same; in bfloat16 they round differently, which is told but not judged."""
        norm = found.get("packed", {}).get("gradient_norm")
        if self.scene.dtype != "float32" or norm is None:
            return
        for side in found.keys() & set(UPDATES):
            cell = found[side]
            apart = abs(cell["gradient_norm"] / norm - 1)
            if cell.get("logps_apart", 0.0) > 1e-5 or apart > 1e-4:
                raise RuntimeError(f"{side} and packed differ: {cell}, {found['packed']}")

    def _autocast(self) -> AbstractContextManager[Any]:
        """As precision ``bf16-mixed`` does on a GPU."""
        if self.scene.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _release() -> None:
    """Free what the models before held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
