"""Plan memory and time of GRPO or SFT for a model and some GPUs, from tokens, FLOPs and bytes.

Nothing is loaded and no GPU is needed. The defaults are the sizes of configs/grpo.yaml on eight H100:

  medgrpo plan                                     Qwen2.5-VL-7B with LoRA
  medgrpo plan --model qwen3-vl-4b --lora-rank 0   full fine-tuning
  medgrpo plan --quantize nf4 --memory 24          QLoRA on GPUs of 24 GB
  medgrpo plan --model DIR --gpus 2 --prompts 16   any Qwen2.5-VL or Qwen3-VL directory
  medgrpo plan --config configs/grpo.yaml --config configs/model/qwen3_vl_4b.yaml   as a run has them
  medgrpo plan --config configs/sft.yaml --config configs/model/qwen3_vl_4b.yaml    a step of SFT

Times are what --utilisation of the GPU's FLOP/s and --bandwidth-utilisation of its bandwidth give: shares
that only a measurement on your machines tells (python -m benchmarks.gpu_training).
docs/scale.md reads the tables.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.planning import Gpu

__all__ = ["add_arguments", "run"]

DEFAULT_MODEL = "qwen2.5-vl-7b"
SIZES = {
    "prompts": "prompts of a round, over all GPUs",
    "group": "answers to a prompt",
    "visual": "visual tokens of a prompt (data.init_args.sampling.max_tokens bounds them)",
    "frame": "visual tokens of a pair of frames",
    "text": "text tokens of a prompt",
    "answer": "tokens of an answer",
    "gpus": "GPUs, data parallel",
    "groups_per_batch": "groups of a micro-batch",
    "optimizer_steps": "optimizer steps of a round",
    "max_rows": "answers that the hf engine decodes together",
    "logit_chunk": "answer tokens whose logits are made together",
}
"""Options that are a number of :class:`medgrpo.planning.RunSizes`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from medgrpo.planning import GPUS, PRESETS, RunSizes

    default = RunSizes()
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"{', '.join(PRESETS)}, or a directory with a config.json (default: vars.model of the configs, "
        f"else {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--config",
        "-c",
        action="append",
        default=[],
        metavar="FILE",
        help="take model and sizes from a config of GRPO or SFT, later files over earlier ones, the options "
        "below over all; answers are as long as the config's tasks allow, the longest of them",
    )
    sizes = parser.add_argument_group("sizes of a round")
    for name, what in SIZES.items():
        option = f"--{name.replace('_', '-')}"
        text = f"{what} (default {getattr(default, name)})"
        sizes.add_argument(option, type=int, default=argparse.SUPPRESS, metavar="N", help=text)
    sizes.add_argument(
        "--lora-rank",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"rank of the adapters; 0 trains the language model itself (default {default.rank})",
    )
    sizes.add_argument(
        "--quantize",
        choices=("nf4",),
        default=argparse.SUPPRESS,
        help="keep the language model's own weights in four bits under the adapters (QLoRA)",
    )
    sizes.add_argument(
        "--strategy",
        choices=("ddp", "zero2", "fsdp2"),
        default=argparse.SUPPRESS,
        help="what is sharded: nothing; gradients and optimizer; these and all weights "
        f"(default {default.strategy})",
    )
    sizes.add_argument(
        "--vllm-share",
        type=float,
        default=argparse.SUPPRESS,
        metavar="X",
        help=f"share of a GPU's memory for vLLM in the trainer's process (default {default.vllm_share:g})",
    )
    device = parser.add_argument_group("the GPU")
    device.add_argument("--gpu", choices=tuple(GPUS), default="h100", help="vendor's numbers (default h100)")
    device.add_argument("--memory", type=float, metavar="GB", help="of one GPU, over the vendor's")
    device.add_argument("--tflops", type=float, metavar="X", help="dense bfloat16, over the vendor's")
    device.add_argument("--bandwidth", type=float, metavar="TB/S", help="of its memory, over the vendor's")
    device.add_argument(
        "--utilisation",
        type=float,
        default=0.28,
        metavar="X",
        help="share of FLOP/s reached (default 0.28, measured on an H100)",
    )
    device.add_argument(
        "--bandwidth-utilisation",
        type=float,
        default=0.7,
        metavar="X",
        help="share of the bandwidth reached in decoding (default 0.7)",
    )
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    parser.add_argument("--json", action="store_true", help="print numbers as JSON: bytes, FLOPs, seconds")


def run(args: argparse.Namespace) -> int:
    """Compute and print."""
    from medgrpo.commands.plan_tables import plan_tables, sft_tables
    from medgrpo.compose import compose
    from medgrpo.planning import RunSizes, model_shape
    from medgrpo.planning.config_sizes import is_sft, sft_sizes_of_config, sizes_of_config
    from medgrpo.planning.report import plan
    from medgrpo.planning.sft_report import plan_sft

    shape, given, gpu = model_shape(_model(args)), _given(args), _gpu(args)
    tree = compose(args.config, UNUSED) if args.config else {}
    if is_sft(tree):
        sizes = sft_sizes_of_config(tree, given)
        found, tables = plan_sft(shape, sizes, gpu), sft_tables
    else:
        sizes = sizes_of_config(tree, given) if tree else RunSizes(**given)
        found, tables = plan(shape, sizes, gpu), plan_tables
    if args.json:
        asked: dict[str, Any] = {"model": shape.name, "sizes": asdict(sizes), "gpu": asdict(gpu)}
        print(json.dumps(asked | found, indent=1))
    else:
        print(tables(found, sizes, gpu, "markdown" if args.markdown else "text"))
    return 0


UNUSED = tuple((f"paths.{name}", "unused") for name in ("model", "records", "statistics"))
"""Variables that a run must be given and a plan does not read."""


def _model(args: argparse.Namespace) -> str:
    """The model that is asked for by name, by its directory, or by the configs."""
    from medgrpo.compose import variables
    from medgrpo.planning import PRESETS

    configured = variables(args.config, UNUSED).get("model") if args.config else None
    if args.model in PRESETS and configured not in (None, args.model):
        raise UserError(f"--model {args.model}, but the configs are those of {configured}")
    return str(args.model or configured or DEFAULT_MODEL)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of :class:`medgrpo.planning.RunSizes` that the options name."""
    options = vars(args)
    names = (*SIZES, "quantize", "strategy", "vllm_share")
    given = {name: options[name] for name in names if name in options}
    if "lora_rank" in options:
        # RunSizes names a rank below 1.
        given["rank"] = None if args.lora_rank == 0 else args.lora_rank
    return given


def _gpu(args: argparse.Namespace) -> Gpu:
    from medgrpo.planning import GPUS

    told = {"memory": (args.memory, 1e9), "flops": (args.tflops, 1e12), "bandwidth": (args.bandwidth, 1e12)}
    changes = {name: value * unit for name, (value, unit) in told.items() if value is not None}
    return replace(
        GPUS[args.gpu],
        **changes,
        utilisation=args.utilisation,
        bandwidth_utilisation=args.bandwidth_utilisation,
    )
