"""Policies, the objectives they are trained with, and the Lightning modules that do it.

The names below are imported when first used: the mathematics needs neither Lightning nor transformers.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "CollapseAlarm",
    "ExportHF",
    "GRPOModule",
    "GradientShares",
    "LoRA",
    "MetricsCSV",
    "QwenVLPolicy",
    "SFTModule",
    "Schedule",
    "ZeROPrecision",
]

_HOMES = {
    "CollapseAlarm": "medgrpo.modules.collapse",
    "ExportHF": "medgrpo.modules.callbacks",
    "GRPOModule": "medgrpo.modules.grpo",
    "GradientShares": "medgrpo.modules.gradient_shares",
    "LoRA": "medgrpo.modules.policy",
    "MetricsCSV": "medgrpo.modules.metrics_file",
    "QwenVLPolicy": "medgrpo.modules.policy",
    "SFTModule": "medgrpo.modules.sft",
    "Schedule": "medgrpo.modules.schedule",
    "ZeROPrecision": "medgrpo.modules.precision",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
