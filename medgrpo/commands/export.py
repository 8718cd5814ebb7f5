"""Turn a training checkpoint into a Hugging Face directory that transformers and vLLM load."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="a .ckpt file of an SFT or GRPO run")
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to write")
    parser.add_argument(
        "--config", type=Path, help="the run's config.yaml; by default the nearest one above the checkpoint"
    )
    parser.add_argument(
        "--adapter", action="store_true", help="write the LoRA adapter alone instead of merged weights"
    )


def run(args: argparse.Namespace) -> int:
    """Rebuild the policy from the run's config, load the trained weights, save."""
    import torch

    from medgrpo.modules.sampling_file import write_sampling

    if not args.checkpoint.is_file():
        raise UserError(f"no checkpoint at {args.checkpoint}")
    config = args.config or _nearest_config(args.checkpoint)
    policy, sampling = _from_config(config)
    policy.setup()
    try:
        checkpoint = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler meets
        raise UserError(
            f"{args.checkpoint}: not a readable checkpoint: {str(error).splitlines()[0]}"
        ) from error
    prefix = "policy."
    state = {
        name[len(prefix) :]: value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    missing, unexpected = policy.load_state_dict(state, strict=False)
    untrained = {name for name, parameter in policy.named_parameters() if not parameter.requires_grad}
    wrong = [
        *unexpected,
        *(name for name in missing if name not in untrained and name in dict(policy.named_parameters())),
    ]
    if wrong:
        raise UserError(
            f"{args.checkpoint} does not fit the policy of {config}: {wrong[0]} (and {len(wrong) - 1} more)"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    policy.save_hf(args.out, merge=not args.adapter)
    write_sampling(args.out, sampling)
    print(f"wrote {args.out}")
    return 0


def _nearest_config(checkpoint: Path) -> Path:
    """The config.yaml of the run that the checkpoint lies in."""
    for folder in list(checkpoint.resolve().parents)[:4]:
        if (folder / "config.yaml").is_file():
            return folder / "config.yaml"
        found = sorted(folder.glob("*/config.yaml"))
        if len(found) == 1:
            return found[0]
    raise UserError(f"no config.yaml near {checkpoint}; name the run's with --config")


def _from_config(config: Path) -> tuple[Any, Any]:
    """Build the policy and the sampling policy that a run's config describes."""
    import yaml
    from jsonargparse import ArgumentParser

    from medgrpo.data.sampling import SamplingPolicy
    from medgrpo.modules.policy import QwenVLPolicy

    try:
        tree = yaml.safe_load(config.read_text())
        model, data = tree["model"]["init_args"], tree["data"]["init_args"]
        nodes = {"policy": model["policy"], "sampling": data["sampling"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{config}: not the config of a training run ({error})") from error
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--policy", type=QwenVLPolicy)
    parser.add_argument("--sampling", type=SamplingPolicy)
    built = parser.instantiate_classes(parser.parse_object(nodes))
    return built.policy, built.sampling
