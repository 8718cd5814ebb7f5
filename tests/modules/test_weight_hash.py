"""The hash of weights: no change is missed, and where they are and how they lie does not matter."""

from __future__ import annotations

import pytest
import torch

from medgrpo.modules.weight_hash import ROW, weights_hash

SIZES = [1, 3, 7, 2 * ROW, 2 * ROW + 1, 5 * ROW + 3]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_change_of_the_last_bit_anywhere_is_seen(size: int, dtype: torch.dtype) -> None:
    weight = torch.randn(size, generator=torch.Generator().manual_seed(size)).to(dtype)
    bits = torch.int32 if dtype == torch.float32 else torch.int16
    before = weights_hash([("w", weight)])
    assert weights_hash([("w", weight.clone())]) == before
    seen = {before}
    for place in {0, size // 2, size - 1}:
        changed = weight.clone()
        changed.view(bits)[place] ^= 1
        seen.add(weights_hash([("w", changed)]))
    assert len(seen) == 1 + len({0, size // 2, size - 1})


def test_changes_that_could_cancel_do_not() -> None:
    weight = torch.randn(4 * ROW, generator=torch.Generator().manual_seed(0))
    swapped, negated, rolled = weight.clone(), weight.clone(), weight.roll(2 * ROW)
    swapped[[1, 3]] = weight[[3, 1]]
    negated[[1, 3]] *= -1  # sign bits alone
    exchanged = weight.clone()
    exchanged[:2], exchanged[2 * ROW : 2 * ROW + 2] = weight[2 * ROW : 2 * ROW + 2], weight[:2]
    tensors = [weight, swapped, negated, -weight, 2 * weight, rolled, exchanged, torch.zeros(4 * ROW)]
    assert len({weights_hash([("w", tensor)]) for tensor in tensors}) == len(tensors)


def test_name_shape_and_type_count_and_layout_does_not() -> None:
    weight = torch.randn(6, 4)
    variants = [("w", weight), ("v", weight), ("w", weight.view(4, 6)), ("w", weight.view(torch.int32))]
    assert len({weights_hash([variant]) for variant in variants}) == len(variants)
    a, b = ("a", torch.randn(5)), ("b", torch.randn(5))
    assert weights_hash([a, b]) != weights_hash([("a", b[1]), ("b", a[1])])
    # A view into the middle of a storage, and one that is not contiguous.
    storage = torch.cat([torch.zeros(1), weight.flatten()])
    assert weights_hash([("w", storage[1:].view(6, 4))]) == weights_hash([("w", weight)])
    assert weights_hash([("w", weight.t().contiguous().t())]) == weights_hash([("w", weight)])
    assert weights_hash([("w", torch.tensor(3.0))]) != weights_hash([("w", torch.tensor(4.0))])


def test_the_name_of_weights_is_for_ever() -> None:
    assert weights_hash([("w", torch.arange(2 * ROW + 1, dtype=torch.float32))]) == "f6b95b01dcecd3ea"
