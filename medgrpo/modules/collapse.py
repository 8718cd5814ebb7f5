"""An alarm for a run that falls apart: entropy, parse rate, a reward or the judge drops through its floor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn

from medgrpo.rollout.collapse import CollapseRules

__all__ = ["CollapseAlarm"]


class CollapseAlarm(Callback):
    """Looks at the metrics of every round and tells what fell through its floor, by dataset and task.

    Rewards are compared with what they were in the round in which the dataset and task first occurred; these
    first values are part of the checkpoint.

    Args:
        min_entropy: Lowest mean entropy, nats a token; None looks at none. So for the others.
        min_parse_rate: Lowest share of readable answers.
        min_canary_auc: Lowest chance that a judge ranks a reference above a worthless answer, where a reward
            sends canaries.
        max_reward_drop: How far a pair's mean reward may fall below its first round.
        patience: Rounds in a row, of those in which a pair occurs, before the alarm.
        stop: End the run after the round, with a checkpoint to continue from.
        dirpath: Where that goes; None takes the folder of the run's own checkpoints.
    """

    def __init__(
        self,
        min_entropy: float | None = 0.05,
        min_parse_rate: float | None = 0.5,
        min_canary_auc: float | None = 0.8,
        max_reward_drop: float | None = 0.2,
        patience: int = 3,
        stop: bool = False,
        dirpath: str | None = None,
    ) -> None:
        self.rules = CollapseRules(min_entropy, min_parse_rate, min_canary_auc, max_reward_drop, patience)
        self.stop = stop
        self.dirpath = dirpath

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the round; its metrics are the same on all ranks, so all decide alike."""
        # Lightning keeps the last value of a pair that this round did not ask: take pairs from the round.
        numbers = {name: float(v) for name, v in trainer.callback_metrics.items() if name.count("/") == 1}
        alarms = self.judge(numbers | getattr(pl_module, "round_numbers", {}))
        if not alarms:
            return
        rank_zero_warn(f"round {trainer.current_epoch}: the policy may be collapsing: {'; '.join(alarms)}")
        if self.stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the policy that the alarm stopped, after the round's own accounts are closed."""
        if not (self.stop and trainer.should_stop and self.alarmed):
            return
        own: Any = trainer.checkpoint_callback
        folder = self.dirpath or getattr(own, "dirpath", None) or trainer.default_root_dir
        trainer.save_checkpoint(Path(folder) / "collapse.ckpt")

    @property
    def alarmed(self) -> bool:
        """Whether something has been low for as long as the alarm waits."""
        return self.rules.alarmed

    def judge(self, numbers: Mapping[str, float]) -> list[str]:
        """What has been below its floor for long enough, in words.

        Args:
            numbers: Metrics of one round by name, as ``train/<dataset>/<task>/<metric>``; a metric that is
                absent or NaN was not measured in this round and changes nothing.
        """
        return [str(found) for found in self.rules.judge(numbers)]

    def state_dict(self) -> dict[str, Any]:
        """First rewards and the rounds below a floor."""
        return {"first_rewards": dict(self.rules.first_rewards), "low_rounds": dict(self.rules.low_rounds)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.rules.first_rewards = dict(state_dict["first_rewards"])
        self.rules.low_rounds = dict(state_dict["low_rounds"])
