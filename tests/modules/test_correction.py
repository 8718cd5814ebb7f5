"""Weights for an engine that is not quite the trainer: formulas by hand, and what training makes of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.modules.objectives import EngineCorrection, correction_weights
from medgrpo.rollout.hf import HFEngine
from medgrpo.types import Completion
from tests.modules import grpo_scene as scenes

ROWS = st.lists(st.lists(st.tuples(st.floats(-9, 0), st.floats(-9, 0)), min_size=1, max_size=5), min_size=1)


@given(
    ROWS,
    st.sampled_from(["token", "sequence"]),
    st.sampled_from(["truncate", "mask"]),
    st.floats(1.0, 5.0),
    st.none() | st.floats(0.0, 0.9),
)
def test_weights_are_those_of_the_definition(
    rows: list[list[tuple[float, float]]], level: Any, bound: Any, high: float, low: float | None
) -> None:
    length = max(map(len, rows))
    mask = torch.tensor([[k < len(row) for k in range(length)] for row in rows])
    trainer, engine = (
        torch.tensor([[row[k][side] if k < len(row) else math.nan for k in range(length)] for row in rows])
        for side in (0, 1)
    )
    correction = EngineCorrection(level, bound, high, low)
    found = correction_weights(trainer.double(), engine.double(), mask, correction)

    def bounded(weight: float) -> float:
        least = 0.0 if low is None else low
        if bound == "truncate":
            return min(max(weight, least), high)
        return weight if least <= weight <= high else 0.0

    for row, weights in zip(rows, found.tolist(), strict=True):
        ratios = [math.exp(float(torch.tensor(a) - torch.tensor(b))) for a, b in row]
        if level == "sequence":
            assert weights == pytest.approx([bounded(math.prod(ratios))], rel=1e-5)
        else:
            assert weights[: len(row)] == pytest.approx([bounded(ratio) for ratio in ratios], rel=1e-5)
            assert all(weight == bounded(1.0) for weight in weights[len(row) :])


class Off(HFEngine):
    """Reports every token's log-probability off by a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def generate(self, prompts: Any, **options: Any) -> list[list[Completion]]:
        return [
            [
                Completion(c.text, c.token_ids, tuple(v + self.by for v in c.logps), c.finish_reason)
                for c in group
            ]
            for group in super().generate(prompts, **options)
        ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("correction"))


def change(scene: Path, folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    """What one round of plain gradient steps does to the weights."""
    sgd = {"optimizer": lambda p: torch.optim.SGD(p, lr=1e-3), **options}
    trainer, module, data = scenes.make_run(scene, folder, rounds=1, module=sgd)
    module.configure_model()
    before = {name: value.clone() for name, value in scenes.weights(module).items()}
    trainer.fit(module, data)
    return {name: value - before[name] for name, value in scenes.weights(module).items()}


def test_a_step_is_scaled_by_the_weights_and_left_alone_without(scene: Path, tmp_path: Path) -> None:
    plain = change(scene, tmp_path / "a", engine=HFEngine())
    assert any(value.abs().max() > 1e-7 for value in plain.values())
    ignored = change(scene, tmp_path / "b", engine=Off(0.25))
    exact = change(scene, tmp_path / "c", engine=HFEngine(), correction=EngineCorrection())
    capped = change(scene, tmp_path / "d", engine=Off(-3.0), correction=EngineCorrection(high=1.0))
    masked = change(scene, tmp_path / "e", engine=Off(-3.0), correction=EngineCorrection("token", "mask"))
    for name, value in plain.items():
        torch.testing.assert_close(ignored[name], value)
        torch.testing.assert_close(exact[name], value, atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(capped[name], value, atol=1e-6, rtol=1e-3)
        assert not masked[name].any()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"level": "word"}, "level"),
        ({"bound": "drop"}, "bound"),
        ({"high": 0.0}, "high"),
        ({"low": 3.0}, "low"),
    ],
)
def test_wrong_bounds_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=rf"correction\.{says}"):
        EngineCorrection(**wrong)
