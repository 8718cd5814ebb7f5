"""The strategies of configs/trainer/ as objects, built through the program's own parser."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from medgrpo import cli
from medgrpo.compose import compose
from medgrpo.errors import UserError
from medgrpo.modules import QwenVLPolicy, SFTModule, ZeROPrecision
from medgrpo.modules.precision import refuse_casting_plugin
from medgrpo.modules.sharding import data_parallel
from medgrpo.trainer_cli import TrainerParser

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GRPO = [f"--config={CONFIGS / 'grpo.yaml'}", "--paths.model=m", "--paths.records=r", "--paths.statistics=s"]


def build(*overlays: str, **changes: Any) -> L.Trainer:
    """The trainer of GRPO with these overlays, on the CPU: parsed and built as ``fit`` does it."""
    files = [CONFIGS / "grpo.yaml", *(CONFIGS / "trainer" / f"{name}.yaml" for name in overlays)]
    given = {"model": "m", "records": "r", "statistics": "s"}
    overrides = [(f"paths.{name}", value) for name, value in given.items()]
    overrides += [("trainer.accelerator", "cpu"), *((f"trainer.{key}", str(v)) for key, v in changes.items())]
    options = compose([str(file) for file in files], overrides)["trainer"]
    parser = TrainerParser()
    parser.add_lightning_class_args(L.Trainer, "trainer")
    options |= {"callbacks": None, "logger": False}
    return L.Trainer(**parser.instantiate_classes(parser.parse_object({"trainer": options})).trainer)


def test_ddp() -> None:
    trainer = build("ddp", devices=2)
    assert type(trainer.strategy) is DDPStrategy
    assert isinstance(trainer.precision_plugin, MixedPrecision)
    assert (trainer.world_size, trainer.num_nodes) == (2, 1)


def test_fsdp2() -> None:
    trainer = build("fsdp2")
    strategy: Any = trainer.strategy
    assert isinstance(strategy, ModelParallelStrategy)
    assert type(trainer.precision_plugin) is Precision
    assert strategy._data_parallel_size * strategy._tensor_parallel_size == trainer.world_size == 8
    assert strategy._save_distributed_checkpoint is False


def test_several_machines_keep_the_strategy() -> None:
    trainer = build("ddp", "multi_node")
    assert type(trainer.strategy) is DDPStrategy
    assert (trainer.num_nodes, trainer.num_devices, trainer.world_size) == (2, 8, 16)
    sizes = {"strategy.init_args.data_parallel_size": 16}
    strategy: Any = build("fsdp2", "multi_node", **sizes).strategy
    assert strategy._data_parallel_size == strategy.num_nodes * 8 == 16


def test_deepspeed_that_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    monkeypatch.setattr("medgrpo.trainer_cli.find_spec", lambda name: None)
    assert cli.main(["fit", *GRPO, f"--config={CONFIGS / 'trainer' / 'deepspeed_zero2.yaml'}"]) == 2
    assert "medgrpo[deepspeed]" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("fsdp", "use FSDP2 (configs/trainer/fsdp2.yaml)"),
        ("fsdp_cpu_offload", "use FSDP2 (configs/trainer/fsdp2.yaml)"),
        ("lightning.pytorch.strategies.FSDPStrategy", "use FSDP2 (configs/trainer/fsdp2.yaml)"),
        ("xla", "TPUs are not served"),
    ],
)
def test_strategies_that_are_not_served_end_in_one_line(
    strategy: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    assert cli.main(["fit", *GRPO, f"--trainer.strategy={strategy}"]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"medgrpo: error: trainer.strategy={strategy}: ")
    assert told in line


def test_a_trainer_of_ones_own_is_refused_alike() -> None:
    module = SFTModule(QwenVLPolicy("nowhere"))
    module._trainer = SimpleNamespace(strategy=FSDPStrategy())  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"FSDP1 is not served; use FSDP2 \(configs/trainer/fsdp2\.yaml\)"):
        module.setup("fit")


def test_matrices_are_not_split() -> None:
    meshes: Any = {name: SimpleNamespace(size=lambda: 2) for name in ("data_parallel", "tensor_parallel")}
    with pytest.raises(UserError, match="tensor_parallel_size of ModelParallelStrategy must be 1"):
        data_parallel(meshes)
    meshes["tensor_parallel"].size = lambda: 1
    assert data_parallel(meshes) is meshes["data_parallel"]


@pytest.mark.parametrize(("text", "said"), [("Setting accelerator to CPU. If you", False), ("other", True)])
def test_deepspeed_says_nothing_where_commands_print(text: str, said: bool) -> None:
    logger = logging.getLogger("DeepSpeed")
    record = logger.makeRecord(logger.name, logging.WARNING, __file__, 1, text, (), None)
    assert bool(logger.filter(record)) is said


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed(stage: int) -> None:
    pytest.importorskip("deepspeed")
    from deepspeed.runtime.config import DeepSpeedConfig

    trainer = build(f"deepspeed_zero{stage}", devices=1)
    strategy = trainer.strategy
    assert isinstance(strategy, DeepSpeedStrategy)
    assert isinstance(trainer.precision_plugin, ZeROPrecision)
    refuse_casting_plugin(trainer.precision_plugin)
    assert strategy.zero_stage_3 is (stage == 3)
    assert strategy.exclude_frozen_parameters
    # What Lightning adds when the run begins, without asking the data, which would play a round.
    module = L.LightningModule()
    module._trainer = trainer
    strategy._lightning_module = module
    asked = trainer.fit_loop._data_source
    asked.instance = object()  # has no loader: being asked would raise
    strategy._init_config_if_needed()
    config = DeepSpeedConfig(strategy.config)
    assert config.zero_optimization_stage == stage
    assert config.bfloat16_config.enabled
    assert config.gradient_accumulation_steps == trainer.accumulate_grad_batches
    assert config.gradient_clipping == trainer.gradient_clip_val == 1
    assert config.train_micro_batch_size_per_gpu == 1
