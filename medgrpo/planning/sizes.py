"""What a plan is asked about: the sizes of a round, and the devices."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.modules.quantization import Quantization

__all__ = ["GPUS", "Gpu", "RunSizes", "Strategy"]

Strategy = Literal["ddp", "zero2", "fsdp2"]
"""What is sharded over the GPUs: nothing; gradients and optimizer; these and all weights."""


@dataclass(frozen=True)
class Gpu:
    """A device, by its vendor's numbers and by the shares of them that are reached.

    Attributes:
        name: For people.
        memory: Bytes.
        flops: Dense bfloat16 FLOPs a second.
        bandwidth: Bytes of memory a second.
        utilisation: Share of ``flops`` that is reached, recomputed ones counted, 0 to 1. The default is what
            an update of 7B reached on an H100 (``benchmarks/results/gpu_training.json``).
        bandwidth_utilisation: Share of ``bandwidth`` that decoding reaches, 0 to 1.
    """

    name: str
    memory: float
    flops: float
    bandwidth: float
    utilisation: float = 0.28
    bandwidth_utilisation: float = 0.7

    def __post_init__(self) -> None:
        for name in ("memory", "flops", "bandwidth"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} of a GPU must be above 0, got {getattr(self, name):g}")
        for name in ("utilisation", "bandwidth_utilisation"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name} must be above 0 and at most 1, got {getattr(self, name):g}")


GPUS = {
    "a100": Gpu("A100 80GB SXM", 80e9, 312e12, 2.039e12),
    "h100": Gpu("H100 80GB SXM", 80e9, 989e12, 3.35e12),
    "h200": Gpu("H200 141GB SXM", 141e9, 989e12, 4.8e12),
}
"""Vendor's numbers; FLOP/s without sparsity."""


@dataclass(frozen=True)
class RunSizes:
    """A round of GRPO, every prompt and answer of one length. Defaults are those of ``configs/grpo.yaml``.

    An optimizer step of SFT has the same numbers: clips are its prompts, the questions about each its group.

    Attributes:
        prompts: In a round, over all GPUs.
        group: Answers a prompt.
        visual: Visual tokens of a prompt.
        frame: Visual tokens of a pair of frames; the vision tower attends within it.
        text: Text tokens of a prompt.
        answer: Tokens of an answer.
        rank: Of LoRA; None trains the language model itself.
        quantize: Format of the language model's own weights under the adapters; None keeps bfloat16.
        gpus: Data-parallel GPUs.
        strategy: What they shard.
        groups_per_batch: Groups of a micro-batch.
        optimizer_steps: Of a round; with one, old and new policy are the same and nothing is scored before.
        max_rows: Answers that the hf engine decodes together.
        logit_chunk: Answer tokens whose logits are made together.
        vllm_share: Share of a GPU's memory for vLLM in the trainer's process.
    """

    prompts: int = 48
    group: int = 8
    visual: int = 8192
    frame: int = 48
    text: int = 256
    answer: int = 256
    rank: int | None = 64
    quantize: Quantization | None = None
    gpus: int = 8
    strategy: Strategy = "ddp"
    groups_per_batch: int = 1
    optimizer_steps: int = 1
    max_rows: int = 64
    logit_chunk: int = 4096
    vllm_share: float = 0.4

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise UserError(f"{field.name.replace('_', ' ')} must be at least 1, got {value}")
        if self.prompts % self.gpus:
            raise UserError(f"{self.prompts} prompts do not divide among {self.gpus} GPUs")
        if self.quantize is not None and (self.rank is None or self.strategy == "fsdp2"):
            raise UserError(
                "four-bit weights are frozen and whole: plan them with adapters, and not under fsdp2"
            )
        if not 0 < self.vllm_share < 1:
            raise UserError(f"vllm share must be between 0 and 1, got {self.vllm_share:g}")

    @property
    def prompt(self) -> int:
        """Tokens of a prompt."""
        return self.visual + self.text

    @property
    def prompts_per_gpu(self) -> int:
        """Prompts of a round on one GPU."""
        return self.prompts // self.gpus

    @property
    def decoded_together(self) -> int:
        """Prompts that the hf engine answers at once on one GPU."""
        return min(self.prompts_per_gpu, max(1, self.max_rows // self.group))
