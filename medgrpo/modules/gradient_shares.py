"""Which dataset a step of the policy comes from: the share of each in the gradient.

The gradient g of an optimizer step is the sum of the gradients g_d of its datasets' groups. The share of
dataset d is ``<g_d, g> / <g, g>``: shares add up to 1, and a dataset that pulls against the step has a
negative one. Only the products are kept, so what it costs is a second update of the measured step, and the
memory of one micro-batch's gradient; ranks exchange a number a dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_warn

from medgrpo.data.distributed import gather_objects
from medgrpo.data.rollout_batch import RolloutLoader
from medgrpo.rollout.metrics import tag

__all__ = ["GradientShares"]


class GradientShares(Callback):
    """Logs ``train/grad_share/<dataset>`` of the first optimizer step of some rounds, before it is clipped.

    With rows replayed against forgetting, ``train/grad_share/replay`` is theirs. Under a strategy that shards
    weights or gradients it warns once and measures nothing.

    Args:
        every: Rounds from one measurement to the next.
    """

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"gradient shares: every must be at least 1, got {every}")
        self.every = every
        self._warned = False

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measure, if it is the turn of this step; what is trained does not change by it."""
        first = trainer.fit_loop.batch_idx < trainer.accumulate_grad_batches
        if not first or trainer.current_epoch % self.every:
            return
        strategy = trainer.strategy
        # DeepSpeed's is a kind of DDP's to Lightning.
        whole = isinstance(strategy, DDPStrategy | SingleDeviceStrategy)
        if not whole or isinstance(strategy, DeepSpeedStrategy):
            if not self._warned:
                name = type(strategy).__name__
                rank_zero_warn(f"gradient shares are not measured under {name}, which shards gradients")
            self._warned = True
            return
        parameters = [p for p in pl_module.policy.parameters() if p.grad is not None]
        total = float(sum(p.grad.double().square().sum() for p in parameters))
        if total == 0.0:
            return
        loader: Any = trainer.train_dataloader
        products = _products(pl_module, loader, parameters)
        ranks = gather_objects(products)
        names = sorted({name for part in ranks for name in part})
        shares = {name: sum(part.get(name, 0.0) for part in ranks) / total for name in names}
        if pl_module.replay_weight > 0:
            shares["replay"] = 1.0 - sum(shares.values())
        numbers = {f"train/grad_share/{tag(name)}": share for name, share in shares.items()}
        pl_module.log_dict(numbers, sync_dist=False)


def _products(
    pl_module: Any, loader: RolloutLoader, parameters: Sequence[torch.nn.Parameter]
) -> dict[str, float]:
    """Of each dataset on this rank, the product of its part of the first step's gradient with the whole."""
    products: dict[str, float] = {}
    devices = [pl_module.device] if pl_module.device.type == "cuda" else []
    context = pl_module.trainer.precision_plugin.train_step_context
    # Dropout draws from the generator, which the training needs as it was.
    with torch.random.fork_rng(devices), torch.enable_grad():
        for dataset, batch in loader.first_step_by_dataset():
            with context():
                share, *_ = pl_module.share(batch.to(pl_module.device))
            gradient = torch.autograd.grad(share, parameters, allow_unused=True)
            product = sum(
                float((own * p.grad).sum())
                for own, p in zip(gradient, parameters, strict=True)
                if own is not None and p.grad is not None
            )
            products[dataset] = products.get(dataset, 0.0) + product
    return products
