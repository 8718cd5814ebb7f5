"""Make the tiny vision-pretrained base that stands for a released checkpoint in demo and tests."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("out", type=Path, metavar="OUT", help="Hugging Face directory to write")
    parser.add_argument(
        "--records",
        type=Path,
        required=True,
        help="a records file of the synthetic world, for the tokenizer's texts",
    )
    parser.add_argument("--family", choices=("qwen2_5_vl", "qwen3_vl"), default="qwen2_5_vl")
    parser.add_argument(
        "--steps", type=int, default=4000, help="vision pretraining steps (default %(default)s)"
    )
    parser.add_argument(
        "--language-steps", type=int, default=1500, help="language pretraining steps (default %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=64, help="moments a step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument(
        "--vocabulary", type=int, default=1024, help="largest tokenizer size (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and scenes (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Build, pretrain, save in bfloat16."""
    import torch

    from medgrpo.data.records import read_rows
    from medgrpo.modules.language_pretraining import pretrain_language
    from medgrpo.modules.policy import QwenVLPolicy
    from medgrpo.modules.sampling_file import write_sampling
    from medgrpo.modules.tiny import (
        build_processor,
        build_tiny_policy,
        build_tokenizer,
        save_policy,
        tiny_sampling,
    )
    from medgrpo.modules.vision_pretraining import pretrain_vision

    torch.set_num_threads(1)
    texts = [turn["value"] for row in read_rows(args.records) for turn in row["conversations"]]
    if not texts:
        raise UserError(f"{args.records}: no rows to train a tokenizer on")
    tokenizer = build_tokenizer(texts, args.vocabulary)
    save_policy(
        build_tiny_policy(tokenizer, args.family, seed=args.seed),
        build_processor(tokenizer, args.family),
        args.out,
    )
    policy = QwenVLPolicy(str(args.out))
    policy.setup()
    sampling = tiny_sampling(args.family)
    losses: dict[str, float] = {}
    if args.steps:
        losses |= pretrain_vision(
            policy, sampling, steps=args.steps, batch=args.batch, lr=args.lr, seed=args.seed
        )
    if args.language_steps:
        losses["language"] = pretrain_language(
            policy, sampling, steps=args.language_steps, lr=args.lr, seed=args.seed
        )
    print("final losses: " + ", ".join(f"{name} {value:.3f}" for name, value in losses.items()))
    recipe = {
        "steps": args.steps,
        "language_steps": args.language_steps,
        "batch": args.batch,
        "lr": args.lr,
        "seed": args.seed,
        "losses": losses,
    }
    (args.out / "pretraining.json").write_text(json.dumps(recipe, indent=2) + "\n")
    policy.model.to(torch.bfloat16)  # halves the file; it is read back as float32
    policy.save_hf(args.out)
    write_sampling(args.out, sampling)
    size = sum(f.stat().st_size for f in args.out.iterdir()) / 1e6
    parameters = sum(p.numel() for p in policy.model.parameters())
    print(f"wrote {args.out}: {parameters:,} parameters, {size:.1f} MB")
    return 0
