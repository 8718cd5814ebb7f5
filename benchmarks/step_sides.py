"""One side of ``benchmarks.step``: trains as a user would, with medgrpo or with TRL, and tells what it took.

Run as ``python -m benchmarks.step_sides SIDE FOLDER``, where the folder holds what ``benchmarks.step`` wrote:
the weights, the records and pictures, and the sizes. The last line of the output is JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

__all__ = ["main"]


class Stopwatch:
    """CPU milliseconds between the ends of steps: all that a step needs, its round and its data included."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self._since = time.process_time()

    def lap(self) -> None:
        """End a step."""
        now = time.process_time()
        self.steps.append(1000 * (now - self._since))
        self._since = now


def vowels(text: str) -> float:
    """The reward of both sides: the share of vowels."""
    return sum(c in "aeiou" for c in text) / max(len(text), 1)


def ours(folder: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """A Lightning ``fit`` of ``GRPOModule`` on ``GRPOData``, a round one optimizer step."""
    import lightning as L
    from lightning.pytorch.callbacks import Callback

    from medgrpo.data.grpo import GRPOData
    from medgrpo.data.sampling import SamplingPolicy
    from medgrpo.modules.grpo import GRPOModule
    from medgrpo.modules.policy import QwenVLPolicy
    from medgrpo.rewards import CompositeReward, IdentityNormalizer, MetricSpec, RawScore, RewardComponent

    class Vowels(RewardComponent):
        def metric(self, task: str) -> MetricSpec:
            return MetricSpec("vowels@1", 0.0, 1.0)

        def score(self, samples: Any, texts: Any, parsed: Any) -> list[RawScore]:
            return [RawScore(vowels(text)) for text in texts]

    watch = Stopwatch()
    work: list[dict[str, float]] = []
    parts: list[dict[str, float]] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
            self.since = time.perf_counter()

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            watch.lap()
            prefix = "train/seconds/"
            numbers = module.round_numbers.items()
            round_ms = {k.removeprefix(prefix): 1000 * v for k, v in numbers if k.startswith(prefix)}
            parts.append(round_ms | {"update": 1000 * (time.perf_counter() - self.since)})
            groups = batch.policy.groups
            seen = batch.policy.input_ids == module.policy.qwen.config.video_token_id
            work.append(
                {
                    "answers": len(batch.policy),
                    "answer_tokens": batch.policy.completion_tokens,
                    "prompt_tokens": sum(group.prompt for group in groups) / len(groups),
                    "visual_tokens": int(seen.sum()) / len(groups),
                }
            )

    tokens = sizes["visual_tokens"]
    module = GRPOModule(
        QwenVLPolicy(str(folder / "model")),
        CompositeReward({"vowels": Vowels({"video_summary": 1.0})}, IdentityNormalizer()),
        store_root=str(folder / "ours"),
        run_id="step",
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=sizes["rate"], weight_decay=0.0),
        group_size=sizes["answers"],
        max_new_tokens=sizes["length"],
    )
    data = GRPOData(
        str(folder / "records.json"),
        SamplingPolicy(min_frames=2, max_frames=2, frame_max_tokens=tokens, max_tokens=tokens),
        tasks=("video_summary",),
        prompts_per_round=sizes["prompts"],
        groups_per_batch=sizes["prompts"],
    )
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=sizes["steps"],
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Watch()],
        default_root_dir=folder / "ours",
    )
    trainer.fit(module, data)
    return {"cpu_ms": watch.steps, "work": work, "parts_wall_ms": parts}


def trl(folder: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """``GRPOTrainer.train`` on conversational prompts with a column of pictures."""
    from datasets import Dataset, Image
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from medgrpo.data.records import read_records

    watch = Stopwatch()
    work: list[dict[str, float]] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            watch.lap()

    class Watched(GRPOTrainer):
        """Looks at what the loss is given."""

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            rows = len(inputs["prompt_ids"])
            seen = inputs["prompt_ids"] == self.model.config.image_token_id
            work.append(
                {
                    "answers": rows,
                    "answer_tokens": int(inputs["completion_mask"].sum()),
                    "prompt_tokens": int(inputs["prompt_mask"].sum()) / rows,
                    "visual_tokens": int(seen.sum()) / rows,
                }
            )
            return super().compute_loss(model, inputs, *args, **kwargs)

    def reward(completions: list[Any], **columns: Any) -> list[float]:
        return [vowels(completion[0]["content"]) for completion in completions]

    samples = read_records(folder / "records.json")
    prompts = Dataset.from_dict(
        {
            "prompt": [[{"role": "user", "content": sample.question}] for sample in samples],
            "image": [str(sample.clip.frames[0]) for sample in samples],
        }
    )
    trainer = Watched(
        model=str(folder / "model"),
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(folder / "trl"),
            model_init_kwargs={"dtype": "float32"},
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            learning_rate=sizes["rate"],
            lr_scheduler_type="constant",
            optim="adamw_torch",
            max_steps=sizes["steps"],
            num_generations=sizes["answers"],
            per_device_train_batch_size=sizes["prompts"] * sizes["answers"],
            gradient_accumulation_steps=1,
            max_completion_length=sizes["length"],
            beta=0.0,
            loss_type="grpo",
            epsilon=0.2,
            epsilon_high=0.3,
        ),
        train_dataset=prompts.cast_column("image", Image()),
        callbacks=[Watch()],
    )
    trainer.train()
    return {"cpu_ms": watch.steps, "work": work}


SIDES: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {"ours": ours, "TRL": trl}


def main(argv: Sequence[str]) -> None:
    """Train one side."""
    torch.set_num_threads(1)
    side, folder = argv[0], Path(argv[1])
    told = SIDES[side](folder, json.loads((folder / "sizes.json").read_text()))
    if not math.isfinite(sum(told["cpu_ms"])) or len(told["cpu_ms"]) != len(told["work"]):
        raise RuntimeError(f"{side}: {len(told['cpu_ms'])} steps but {len(told['work'])} updates")
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
