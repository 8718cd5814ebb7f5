"""A small module and data module with typed nested components, for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from medgrpo.errors import MissingExtraError, UserError


class ToyJudge:
    """A component with a family of classes."""


class LexiconJudge(ToyJudge):
    """A judge with one argument."""

    def __init__(self, lexicon: str = "surgery", api_key: str | None = None) -> None:
        self.lexicon = lexicon
        self.api_key = api_key


class ServerJudge(ToyJudge):
    """A judge with a required argument."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.url = url
        self.timeout = timeout


class ToyReward:
    """A weighted component."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight


class ToyRows(Dataset[Tensor]):
    """Eight rows of two numbers."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([float(index), 1.0])


class ToyModule(LightningModule):
    """One linear layer; writes the ranks that took part."""

    def __init__(
        self,
        judge: ToyJudge,
        components: dict[str, ToyReward] | None = None,
        optimizer: OptimizerCallable = torch.optim.SGD,
        width: int = 2,
        fail: str = "",
        ranks_to: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.judge = judge
        self.components = components or {}
        self.make_optimizer = optimizer
        self.fail = fail
        self.ranks_to = ranks_to
        self.layer_in = torch.nn.Linear(width, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.fail == "extra":
            raise MissingExtraError("vllm", "vllm")
        if self.fail == "user":
            raise UserError("records.json row 3: field 'conversations' is missing")
        if self.fail == "full":
            raise OSError(28, "No space left on device", "shard.parquet")
        if self.fail == "interrupt":
            raise KeyboardInterrupt
        if self.fail == "defect":
            raise ZeroDivisionError("a defect")
        loss = self.layer_in(batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def on_train_end(self) -> None:
        if self.ranks_to:
            Path(self.ranks_to, f"rank-{self.global_rank}-of-{self.trainer.world_size}").touch()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.make_optimizer(self.parameters())


class ToyData(LightningDataModule):
    """Two batches of four rows."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(ToyRows(), batch_size=self.batch_size)
