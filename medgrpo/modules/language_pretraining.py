"""Pretraining of a tiny policy as a whole: describing and grounding single moments of a clip.

A released checkpoint can read a frame aloud: it names what it sees, gives boxes as numbers, and knows the
time of a frame from its position. A tiny policy learns the same here, on one question that is not among the
benchmark's ("What is seen at 6.0 seconds?"), before any fine-tuning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.encode import EncodedClip, Encoder
from medgrpo.data.readers.base import resize_frame
from medgrpo.data.synthetic import SOURCES, Scene, sample_scene
from medgrpo.data.synthetic.questions import relative_to_canvas
from medgrpo.modules.sft import answer_nll
from medgrpo.types import Clip, Sample, sample_key

__all__ = ["Descriptions", "describe", "pretrain_language"]

ANYWHERE = Clip(video=Path("scene"))  # the frames are rendered, not read


def describe(scene: Scene, time: float) -> str:
    """What is seen at a moment: phase, tool, action, target and the tool's box on the source's canvas."""
    state = scene.state(time)
    if not state.visible:
        return f"{state.phase}: nothing."
    what = " ".join(word for word in (state.tool, state.verb, state.target) if word)
    box = ", ".join(str(value) for value in relative_to_canvas(scene.spec, state.box))
    return f"{state.phase}: {what} [{box}]"


class Descriptions(IterableDataset[PolicyBatch]):
    """An endless, seeded stream of batches of described moments.

    Args:
        encoder: Of the policy in training.
        clips: Clips in a batch, of any source.
        moments: Questions about each clip.
        seed: Stream; each worker draws its own scenes.
    """

    def __init__(self, encoder: Encoder, *, clips: int = 16, moments: int = 3, seed: int = 0) -> None:
        self.encoder = encoder
        self.clips = clips
        self.moments = moments
        self.seed = seed

    def __iter__(self) -> Iterator[PolicyBatch]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        generator = np.random.default_rng([self.seed, worker.id if worker else 0])
        names = sorted(SOURCES)
        while True:
            prompts, answers = [], []
            for _ in range(self.clips):
                scene = sample_scene(names[generator.integers(len(names))], int(generator.integers(2**31)))
                clip, frame_times = self._window(scene, generator)
                for k in generator.choice(len(frame_times), size=self.moments):
                    question = f"What is seen at {clip.times[k]:.1f} seconds?"
                    key = sample_key("", "", question)
                    name = scene.spec.name
                    sample = Sample(key, "", 0, "", "", name, "", question, None, None, ANYWHERE)
                    prompts.append(self.encoder.assemble(sample, clip))
                    answers.append(self.encoder.answer(describe(scene, float(frame_times[k]))))
            yield self.encoder.collate(prompts, answers)

    def _window(self, scene: Scene, generator: np.random.Generator) -> tuple[EncodedClip, np.ndarray]:
        """A stretch of the scene with 2 to 16 frames, as the sampling policy sees it."""
        listed = scene.times
        count = int(generator.integers(2, min(16, len(listed)) + 1))
        start = int(generator.integers(len(listed) - count + 1))
        times = listed[start : start + count]
        plan = self.encoder.sampling.plan(times - times[0], scene.spec.height, scene.spec.width)
        shown = times[plan.indices]
        size = plan.layout.picture_height, plan.layout.picture_width
        pictures = np.stack([resize_frame(scene.render(float(t)), *size) for t in shown])
        return self.encoder.clip_of(plan.layout.place(pictures), plan), shown


def pretrain_language(
    policy: Any, sampling: Any, *, steps: int, lr: float = 2e-3, seed: int = 0, workers: int = 1
) -> float:
    """Train the whole policy in place.

    Args:
        policy: A set-up :class:`QwenVLPolicy`.
        sampling: Its sampling policy.
        steps: Optimizer steps.
        lr: Peak learning rate; one-cycle cosine.
        seed: Of scenes and questions.
        workers: Processes that render.

    Returns:
        The mean loss over the last tenth of the steps, nats a token.
    """
    from tqdm import tqdm

    parameters = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.05)
    data = Descriptions(policy.encoder(sampling), seed=seed)
    stream = iter(DataLoader(data, batch_size=None, num_workers=workers))
    losses: list[float] = []
    with tqdm(total=steps, desc="language pretraining", unit="step") as bar:
        for _ in range(steps):
            batch = next(stream)
            loss = answer_nll(policy.logps(batch), batch.completion_mask)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss))
            bar.update()
            if len(losses) % 20 == 0:
                bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}")
    return float(np.mean(losses[-max(1, steps // 10) :]))
