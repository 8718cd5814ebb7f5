"""An engine that fails: one line that names the round, nothing half stored, and a run that can continue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medgrpo.errors import UserError
from medgrpo.rollout.failures import EngineError, engine_failures
from medgrpo.rollout.hf import HFEngine
from medgrpo.rollout.store import read_rollouts
from medgrpo.types import Completion
from tests.modules.grpo_scene import make_run, make_scene


class MortalEngine(HFEngine):
    """Dies in a round, behind its answers."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def generate(self, prompts: Any, **options: Any) -> list[list[Completion]]:
        self.lives -= 1
        with engine_failures("MortalEngine"):
            answers = super().generate(prompts, **options)
            if self.lives < 0:
                raise MemoryError("out of memory:\n  tried to allocate 2 GiB")
        return answers


def told(rows: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    return {(row["group_id"], row["sample_index"]): row["completion_text"] for row in rows}


def test_the_round_is_named_and_the_run_continues_behind_the_last_one(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    trainer, module, data = make_run(scene, tmp_path, module={"engine": MortalEngine(lives=1)})
    with pytest.raises(
        UserError,
        match=r"^round 1: MortalEngine failed: MemoryError: out of memory: tried .*--ckpt_path=last$",
    ):
        trainer.fit(module, data)
    assert set(read_rollouts(tmp_path, "t")["step"].to_pylist()) == {0}
    trainer, module, data = make_run(scene, tmp_path)
    trainer.fit(module, data, ckpt_path=str(tmp_path / "checkpoints" / "last.ckpt"))
    rows = read_rollouts(tmp_path, "t").to_pylist()
    assert sorted({(row["step"], row["attempt"]) for row in rows}) == [(0, 0), (1, 1)]
    whole = tmp_path / "whole"
    trainer, module, data = make_run(scene, whole)
    trainer.fit(module, data)
    assert told(rows) == told(read_rollouts(whole, "t").to_pylist())


def test_what_is_one_line_already_stays_as_it_is() -> None:
    with pytest.raises(UserError, match=r"^row 3$") as caught, engine_failures("E"):
        raise UserError("row 3")
    assert not isinstance(caught.value, EngineError)
    with pytest.raises(KeyboardInterrupt), engine_failures("E"):
        raise KeyboardInterrupt
    with pytest.raises(EngineError, match=r"^E failed: ValueError: no reason given$"), engine_failures("E"):
        raise ValueError
