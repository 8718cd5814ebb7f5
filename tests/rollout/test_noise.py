"""The chance in sampling: what it depends on, and that samples follow the distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.rollout.noise import choose_tokens, uniforms


@given(
    seeds=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3),
    n=st.integers(1, 4),
    tokens=st.integers(1, 9),
    more=st.integers(0, 9),
)
def test_a_number_depends_on_seed_answer_and_token_alone(
    seeds: list[int], n: int, tokens: int, more: int
) -> None:
    numbers = uniforms(seeds, n, tokens)
    assert numbers.shape == (len(seeds) * n, tokens)
    assert bool(((numbers >= 0) & (numbers < 1)).all())
    for index, seed in enumerate(seeds):
        alone = uniforms([seed], n + 1, tokens + more)
        assert torch.equal(numbers[index * n : (index + 1) * n], alone[:n, :tokens])


def test_large_seeds_differ_in_their_last_bit() -> None:
    assert not torch.equal(uniforms([2**64 - 1], 1, 4), uniforms([2**64 - 2], 1, 4))


def test_numbers_of_different_answers_are_independent() -> None:
    numbers = uniforms([3, 4], 500, 2).numpy()
    # Neighbours in seed, answer and token; five standard errors of a correlation.
    pairs = [(numbers[:-1, 0], numbers[1:, 0]), (numbers[:500, 0], numbers[500:, 0]), numbers.T]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / len(a) ** 0.5
    assert abs(numbers.mean() - 0.5) < 5 * (1 / 12 / numbers.size) ** 0.5


def test_samples_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.2, 0.29, 0.01, 0.0])
    uniform = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1]
    chosen = choose_tokens(probabilities.log().expand(len(uniform), -1), uniform)
    shares = torch.bincount(chosen, minlength=7) / len(uniform)
    torch.testing.assert_close(shares, probabilities, atol=1e-4, rtol=0)
    assert not set(chosen.tolist()) & {0, 2, 6}


@pytest.mark.parametrize("banned", [[0], [3], [0, 3], [0, 1, 3]])
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_a_banned_id_is_never_chosen_not_even_at_the_edges(banned: list[int], uniform: float) -> None:
    logps = torch.log_softmax(
        torch.tensor([[2.0, 1.0, 1.0, 2.0]]).index_fill(1, torch.tensor(banned), -torch.inf), -1
    )
    [chosen] = choose_tokens(logps, torch.tensor([uniform], dtype=torch.float64)).tolist()
    assert chosen not in banned
