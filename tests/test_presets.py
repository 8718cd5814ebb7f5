"""Presets of policies: what is trained and the rate at which it is go together, whatever was there before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medgrpo.compose import compose

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PATHS = [(f"paths.{name}", "x") for name in ("model", "records", "statistics")]


def _composed(*names: str) -> dict[str, Any]:
    return compose([CONFIGS / f"{name}.yaml" for name in names], PATHS)


def _trained(*names: str) -> tuple[bool, float]:
    """Whether adapters are trained, and at which rate."""
    options = _composed(*names)["model"]["init_args"]
    return options["policy"]["init_args"]["lora"] is not None, options["optimizer"]["init_args"]["lr"]


@pytest.mark.parametrize("entry", ["grpo", "sft"])
def test_adapters_and_whole_weights_have_rates_of_their_own(entry: str) -> None:
    rate = {"grpo": 1e-5, "sft": 1e-4}[entry]
    assert _trained(entry) == _trained(entry, f"policy/{entry}_lora") == (True, rate)
    assert _trained(entry, "policy/full") == (False, 5e-7)
    assert _trained(entry, "policy/full", f"policy/{entry}_lora") == (True, rate)


def test_the_papers_numbers() -> None:
    config = _composed("grpo", "paper/grpo")
    assert _trained("grpo", "paper/grpo") == (False, 5e-7)
    options = config["model"]["init_args"]
    objective = options["objective"]
    assert (objective["eps_low"], objective["eps_high"], objective["kl_weight"]) == (0.2, 0.3, 0.0)
    assert options["group_size"] == 8
    assert options["reward"]["init_args"]["normalizer"]["init_args"]["k"] == 3.0
    assert config["trainer"]["max_steps"] == 5000


def test_the_demo_keeps_rates_of_its_own() -> None:
    assert _trained("grpo", "demo/grpo") == (False, 1e-4)
    assert _trained("sft", "demo/sft") == (False, 2e-3)
