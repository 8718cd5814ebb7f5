"""Policies and the Lightning modules that train them."""

from medgrpo.modules.callbacks import ExportHF
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.schedule import Schedule
from medgrpo.modules.sft import SFTModule

__all__ = ["ExportHF", "LoRA", "QwenVLPolicy", "SFTModule", "Schedule"]
