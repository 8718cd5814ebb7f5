"""One thread, no network and no telemetry for every test and every process that a test starts; no clock."""

import os

os.environ.update(
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
)

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

# How long an example takes says how busy the machine is.
settings.register_profile("medgrpo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("medgrpo")
