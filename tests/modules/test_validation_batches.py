"""Every rank validates in as many batches, whatever the rows, and all rows are in one of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medgrpo.data import SFTData
from medgrpo.modules.tiny import tiny_sampling


@pytest.mark.parametrize(("rows", "world"), [(9, 2), (5, 4), (13, 3), (3, 8), (8, 1)])
def test_ranks_have_as_many_batches(rows: int, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SFTData, "_loader", lambda data, batches, sampler: (batches, list(sampler)))
    monkeypatch.setattr("medgrpo.data.sft.ValidationBatches", lambda rows: rows)
    monkeypatch.setattr(SFTData, "readable", lambda data, records, samples, encoder: samples)
    data: Any = SFTData("r", tiny_sampling(), val_records=str(Path("v")), clips_per_batch=2, rows_per_clip=2)
    data.val_samples, data.encoder = list(range(rows)), None
    seen: list[int] = []
    counts = set()
    for rank in range(world):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)
        samples, batches = data.val_dataloader()
        seen += [samples[row] for batch in batches for row in batch]
        counts.add(len(batches))
        assert all(len(batch) <= 4 for batch in batches)
    assert sorted(seen) == list(range(rows))
    assert len(counts) == 1
