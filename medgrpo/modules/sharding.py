"""FSDP2: the policy in pieces over the ranks, each layer whole only while it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy, Strategy
from torch import nn

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from medgrpo.modules.policy import QwenVLPolicy
    from medgrpo.rollout.engine import RolloutEngine

__all__ = [
    "data_parallel",
    "is_sharded",
    "local_part",
    "refuse_idle_rank",
    "refuse_split_rollouts",
    "refuse_unserved",
    "shard_policy",
    "whole",
]

FORWARD_METHODS = ("logps_and_entropy",)
"""Of a policy, which bring its weights together as ``forward`` would."""


def refuse_unserved(strategy: str) -> None:
    """End the run under a strategy of Lightning's that policies are not made for.

    Args:
        strategy: Its name for ``trainer.strategy``, or that of its class.

    Raises:
        UserError: If it is FSDP1, which gathers weights in ``forward`` alone and flattens trained and frozen
            ones together, or one for TPUs.
    """
    name = strategy.lower()
    if "fsdp" in name:
        raise UserError(
            f"trainer.strategy={strategy}: FSDP1 is not served; use FSDP2 (configs/trainer/fsdp2.yaml)"
        )
    if "xla" in name:
        raise UserError(
            f"trainer.strategy={strategy}: TPUs are not served; use one of configs/trainer/ (cpu, gpu, ddp, "
            "fsdp2, deepspeed_zero2, deepspeed_zero3)"
        )


def data_parallel(mesh: DeviceMesh) -> DeviceMesh:
    """The one dimension of a strategy's mesh that policies are split over.

    Raises:
        UserError: If single matrices are to be split as well.
    """
    if mesh["tensor_parallel"].size() > 1:
        raise UserError(
            "tensor_parallel_size of ModelParallelStrategy must be 1: policies are split by layers; raise "
            "data_parallel_size (configs/trainer/fsdp2.yaml)"
        )
    return mesh["data_parallel"]


def shard_policy(policy: QwenVLPolicy, mesh: DeviceMesh) -> None:
    """Split the weights of a policy over the ranks of a mesh, in place; does nothing the second time.

    A decoder layer and a vision block are one piece each, and what is left (embeddings, norms, merger, head)
    is the last. Trainable weights keep their float32 and are multiplied in bfloat16, their gradients are
    summed in float32. Frozen ones keep the format of :class:`QwenVLPolicy`.

    Args:
        policy: With its weights loaded, the same on all ranks.
        mesh: One-dimensional.

    Raises:
        UserError: If the weights are quantized.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    if is_sharded(policy):
        return
    if policy.quantize is not None:
        raise UserError(
            "policy.quantize does not go with FSDP2: four-bit weights fit on each GPU, use ddp.yaml"
        )
    compute = torch.bfloat16 if policy.dtype_name == "bfloat16" else None
    options: dict[str, Any] = {
        "mesh": mesh,
        # Of the last piece too, which FSDP2 would leave whole, in bfloat16, behind a forward alone.
        "reshard_after_forward": True,
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False
        ),
    }
    inner = policy.qwen.model
    for block in (*inner.visual.blocks, *inner.language_model.layers):
        fully_shard(block, **options)
    fully_shard(policy, **options)
    for name in FORWARD_METHODS:
        register_fsdp_forward_method(policy, name)


def is_sharded(module: nn.Module) -> bool:
    """Whether the module's weights are in pieces."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(module, FSDPModule)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor put together from its pieces; all ranks must call it. Others are returned as they are."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's piece of a tensor; all of it where it is not in pieces."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def refuse_idle_rank(strategy: Strategy) -> None:
    """End the run in which this rank has nothing to forward and the others would wait for it for ever.

    Raises:
        UserError: Under FSDP2 and ZeRO-3.
    """
    zero_3 = isinstance(strategy, DeepSpeedStrategy) and strategy.zero_stage_3
    if zero_3 or isinstance(strategy, ModelParallelStrategy):
        raise UserError(
            "data.val_records: no clip of a batch can be read, and where weights are in pieces all ranks "
            "must forward equally often; take the clips out of the records (bad_clips.jsonl names them)"
        )


def refuse_split_rollouts(strategy: Strategy, engine: RolloutEngine) -> None:
    """End the run if answers cannot be sampled from weights that are in pieces.

    Each forward brings the pieces together on all ranks, so all ranks must make the same forwards: decoding
    ends after another number of tokens on each.

    Raises:
        UserError: Under FSDP2 with an engine that forwards the training weights themselves, and under ZeRO-3,
            whose hooks know the forwards of a training step alone.
    """
    if isinstance(strategy, DeepSpeedStrategy) and strategy.zero_stage_3:
        raise UserError(
            "GRPO does not run under DeepSpeed ZeRO-3, which brings its weights together for training steps "
            "only; use configs/trainer/deepspeed_zero2.yaml, or configs/trainer/fsdp2.yaml with "
            "configs/rollout/vllm.yaml (SFT runs under ZeRO-3)"
        )
    if isinstance(strategy, ModelParallelStrategy) and engine.needs_whole_weights:
        raise UserError(
            f"{type(engine).__name__} cannot sample from weights that FSDP2 keeps in pieces; add "
            "configs/rollout/vllm.yaml, or use configs/trainer/ddp.yaml (LoRA) or deepspeed_zero2.yaml"
        )
