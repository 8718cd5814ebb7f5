"""Memory and time of a training run from tokens, FLOPs and bytes: arithmetic only, nothing is loaded."""

from medgrpo.planning.memory import Bytes, generation_memory, update_memory
from medgrpo.planning.parameters import lora_parameters, parameters, trainable_parameters
from medgrpo.planning.shapes import PRESETS, ModelShape, model_shape, shape_of
from medgrpo.planning.sizes import GPUS, Gpu, RunSizes
from medgrpo.planning.times import PhaseTime, round_times
from medgrpo.planning.work import Flops, round_work

__all__ = [
    "GPUS",
    "PRESETS",
    "Bytes",
    "Flops",
    "Gpu",
    "ModelShape",
    "PhaseTime",
    "RunSizes",
    "generation_memory",
    "lora_parameters",
    "model_shape",
    "parameters",
    "round_times",
    "round_work",
    "shape_of",
    "trainable_parameters",
    "update_memory",
]
