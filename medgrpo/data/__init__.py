"""Records, sampling, decoding, encoding, and the batches that training takes.

The names below are imported when first used: reading records needs neither torch nor Lightning.
"""

from importlib import import_module
from typing import Any

__all__ = ["GRPOData", "SFTData", "SamplingPolicy", "open_records", "read_records", "write_records"]

_HOMES = {
    "GRPOData": "medgrpo.data.grpo",
    "SFTData": "medgrpo.data.sft",
    "SamplingPolicy": "medgrpo.data.sampling",
    "open_records": "medgrpo.data.lazy_records",
    "read_records": "medgrpo.data.records",
    "write_records": "medgrpo.data.records",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
