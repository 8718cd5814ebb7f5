"""Pretraining of a tiny policy's vision tower on dense labels of single moments.

A released checkpoint comes with a vision tower that already sees; a tiny one has to be given its own. It
learns to name the tool, its action, its target, the phase and the criteria of safety, and to place the tool's
box, from two consecutive frames (one temporal patch). The heads are thrown away afterwards; the language
model is not trained, and no question of the benchmark is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from medgrpo.data.coordinates import FrameMap
from medgrpo.data.frame_size import FrameLayout
from medgrpo.data.synthetic import PHASES, SOURCES, TARGETS, TOOLS, VERBS, sample_scene
from medgrpo.types import Box, Canvas

__all__ = ["FrameHeads", "Moment", "Moments", "pretrain_vision"]

VOCABULARIES = {"tool": TOOLS, "verb": VERBS, "target": TARGETS, "phase": PHASES}
UNKNOWN = -100  # what cross_entropy ignores


@dataclass(frozen=True)
class Moment:
    """Two consecutive frames and what they show.

    Attributes:
        frames: uint8 ``[2, 3, H, W]``, as stored.
        labels: Class index by vocabulary, ``UNKNOWN`` where nothing is to be seen.
        cvs: Level 0..2 of the three criteria, ``UNKNOWN`` outside that source.
        box: Relative corners of the tool; NaN where there is none.
    """

    frames: np.ndarray
    labels: dict[str, int]
    cvs: tuple[int, int, int]
    box: tuple[float, float, float, float]


class Moments(IterableDataset[list[Moment]]):
    """An endless, seeded stream of batches; all moments of a batch come from one source.

    Args:
        batch: Moments in a batch.
        seed: Stream; each worker draws its own scenes.
    """

    def __init__(self, batch: int, seed: int) -> None:
        self.batch = batch
        self.seed = seed

    def __iter__(self) -> Iterator[list[Moment]]:
        worker = get_worker_info()
        generator = np.random.default_rng([self.seed, worker.id if worker else 0])
        names = sorted(SOURCES)
        while True:
            source = names[generator.integers(len(names))]
            moments: list[Moment] = []
            while len(moments) < self.batch:
                scene = sample_scene(source, int(generator.integers(2**31)))
                for _ in range(4):
                    moments.append(_moment(scene, float(generator.uniform(0, scene.duration))))
            yield moments[: self.batch]


def _moment(scene: Any, time: float) -> Moment:
    """Render one moment of a scene."""
    following = min(time + 1.0 / scene.fps, scene.duration)
    frames = np.stack([scene.render(time), scene.render(following)]).transpose(0, 3, 1, 2)
    state = scene.state(time)
    labels = {
        name: vocabulary.index(getattr(state, name)) if getattr(state, name) in vocabulary else UNKNOWN
        for name, vocabulary in VOCABULARIES.items()
    }
    cvs = state.cvs if state.cvs is not None else (UNKNOWN, UNKNOWN, UNKNOWN)
    return Moment(frames, labels, cvs, state.box if state.visible else (float("nan"),) * 4)


class FrameHeads(nn.Module):
    """Reads the labels from the merged vision tokens of one grid.

    Args:
        width: Size of a merged token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = nn.ModuleDict({name: nn.Linear(width, len(v)) for name, v in VOCABULARIES.items()})
        self.cvs = nn.Linear(width, 9)
        self.box = nn.Linear(width, 4)

    def forward(self, tokens: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Losses by name.

        Args:
            tokens: ``[B, cells, width]``.
            batch: labels by vocabulary ``[B]``, ``cvs`` ``[B, 3]``, ``box`` ``[B, 4]``, and the ``centres``
                of the cells ``[cells, 4]``.
        """
        pooled = tokens.mean(1)
        losses = {name: _cross_entropy(head(pooled), batch[name]) for name, head in self.classes.items()}
        losses["cvs"] = _cross_entropy(self.cvs(pooled).view(-1, 3), batch["cvs"].view(-1))
        seen = torch.isfinite(batch["box"]).all(-1)
        # Every cell places the box relative to itself: the tower's rotary positions are relative, so where a
        # cell is in the frame is for the language model to know.
        predicted = self.box(tokens)[seen]
        target = (batch["box"][:, None] - batch["centres"])[seen]
        losses["box"] = 10 * F.l1_loss(predicted, target) if len(target) else tokens.sum() * 0
        return losses


def cell_centres(height: int, width: int) -> torch.Tensor:
    """Centres of a grid of cells as relative corners (x, y, x, y), ``[height * width, 4]``."""
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    return torch.stack([x, y, x, y], dim=-1).reshape(-1, 4)


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy over the known labels, 0 without any."""
    if not bool((labels != UNKNOWN).any()):
        return logits.sum() * 0
    return F.cross_entropy(logits, labels, ignore_index=UNKNOWN)


def _shown(shares: tuple[float, ...], layout: FrameLayout) -> tuple[float, ...]:
    """Relative corners of a box in the picture, or NaN for none, relative to the frame that is shown."""
    if not np.isfinite(shares).all():
        return shares
    picture = Canvas(layout.picture_width, layout.picture_height)
    inside = Box(*shares).scaled(picture.width, picture.height)
    shown = FrameMap(picture, picture, layout).model_from_stored(inside)
    return shown.scaled(1 / layout.width, 1 / layout.height).xyxy


class _Collate:
    """Patches and label tensors of a batch of moments, made in the worker."""

    def __init__(self, video_processor: Any, sampling: Any) -> None:
        self.video_processor = video_processor
        self.sampling = sampling

    def __call__(self, batches: list[list[Moment]]) -> dict[str, torch.Tensor]:
        from torchvision.transforms.v2.functional import resize

        torch.set_num_threads(1)
        moments = batches[0]
        plan = self.sampling.plan(np.array([0.0, 1.0]), *moments[0].frames.shape[-2:])
        layout = plan.layout
        pictures = torch.from_numpy(np.stack([m.frames for m in moments])).flatten(0, 1)
        pictures = resize(pictures, [layout.picture_height, layout.picture_width], antialias=True)
        frames = torch.from_numpy(layout.place(pictures.numpy())).unflatten(0, (-1, 2))
        out = self.video_processor(
            videos=list(frames), do_sample_frames=False, do_resize=False, return_tensors="pt"
        )
        batch = {
            "pixels": out["pixel_values_videos"],
            "grid": out["video_grid_thw"],
            "cvs": torch.tensor([m.cvs for m in moments]),
            "box": torch.tensor([_shown(m.box, layout) for m in moments]),
            "centres": cell_centres(plan.height // self.sampling.factor, plan.width // self.sampling.factor),
        }
        for name in VOCABULARIES:
            batch[name] = torch.tensor([m.labels[name] for m in moments])
        return batch


def pretrain_vision(
    policy: Any,
    sampling: Any,
    *,
    steps: int,
    batch: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
    workers: int = 1,
) -> dict[str, float]:
    """Train the vision tower in place.

    Args:
        policy: A set-up :class:`QwenVLPolicy`.
        sampling: Its sampling policy, for the frame size.
        steps: Optimizer steps.
        batch: Moments a step.
        lr: Peak learning rate; one-cycle cosine.
        seed: Of scenes and heads.
        workers: Processes that render.

    Returns:
        The mean of each loss over the last tenth of the steps.
    """
    from tqdm import tqdm

    torch.manual_seed(seed)
    visual = policy.qwen.model.visual
    heads = FrameHeads(policy.qwen.config.text_config.hidden_size)
    parameters = [*visual.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.05)
    loader = DataLoader(
        Moments(batch, seed),
        batch_size=1,
        collate_fn=_Collate(policy.processor.video_processor, sampling),
        num_workers=workers,
    )
    history: list[dict[str, float]] = []
    stream = iter(loader)
    with tqdm(total=steps, desc="vision pretraining", unit="step") as bar:
        for _ in range(steps):
            data = next(stream)
            pooled = policy.qwen.model.get_video_features(
                data["pixels"], data["grid"], return_dict=True
            ).pooler_output
            losses = heads(torch.stack(list(pooled)), data)
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            history.append({name: float(value) for name, value in losses.items()})
            bar.update()
            if len(history) % 50 == 0:
                bar.set_postfix({k: f"{np.mean([h[k] for h in history[-50:]]):.2f}" for k in losses})
    tail = history[-max(1, steps // 10) :]
    return {name: float(np.mean([h[name] for h in tail])) for name in tail[0]}
