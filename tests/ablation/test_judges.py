"""Corruptions do what their names say, and the comparison of judges measures what it claims."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.judge_server import asked, running, scores_of
from medgrpo.ablation.corruptions import (
    CORRUPTIONS,
    KINDS,
    corrupted,
    ladder,
    load_terms,
    paraphrase,
    synonym,
)
from medgrpo.ablation.judges import (
    JudgesSettings,
    SimilarityJudge,
    available_judges,
    caption_pairs,
    judges_report,
    read_judges,
)
from medgrpo.errors import UserError
from medgrpo.rewards import ChatJudge, Judge, JudgeRequest, LexiconJudge, load_rubric
from medgrpo.rewards.judges.canaries import auc
from medgrpo.types import Judgement

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "ablation" / "judges.yaml"
PAIRS = caption_pairs(12, seed=0)
TERMS = load_terms()
SCENE = "The grasper retracts the liver, then the surgeon cuts the cystic duct with the scissors."


class Scripted(Judge):
    """Scores by a function of reference and candidate; None fails."""

    def __init__(self, score: Callable[[str, str], float | None]) -> None:
        self.rubric = load_rubric("medgrpo-five@1")
        self.score = score
        self.seen: list[JudgeRequest] = []

    @property
    def id(self) -> str:
        return "scripted"

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        self.seen += requests
        found = [self.score(request.reference, request.candidate) for request in requests]
        return [
            Judgement("scripted", "x@1", {} if one is None else {"all": one}, {}, "ok" if one else "timeout")
            for one in found
        ]


def report_of(score: Callable[[str, str], float | None]) -> dict:
    return judges_report({"one": Scripted(score)}, PAIRS, 0)["judges"]["one"]


REST = "then the surgeon cuts the cystic duct"
EXPECTED = {
    "instrument dropped": f"The grasper retracts the liver, {REST}.",
    "negated": f"The grasper does not retract the liver, {REST} with the scissors.",
    "vague": "The instrument works on the tissue, then the surgeon works on the tissue with the instrument.",
    "order reversed": f"The{REST[8:]} with the scissors, then the grasper retracts the liver.",
    "truncated": "The grasper retracts the liver, then the",
    "repeated": " ".join([SCENE] * 3),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_corruption_reads_as_its_name_says(kind: str) -> None:
    assert CORRUPTIONS[kind](SCENE, Random(0)) == EXPECTED[kind]


@pytest.mark.parametrize(
    ("kind", "term", "known"),
    [
        ("instrument swapped", "grasper", TERMS.instruments),
        ("structure swapped", "liver", TERMS.structures),
        ("wrong action", "retracts", TERMS.actions),
    ],
)
@given(seed=st.integers(0, 10_000))
def test_a_swap_changes_one_term_into_another_that_means_something_else(
    kind: str, term: str, known: dict[str, tuple[str, ...]], seed: int
) -> None:
    before, after = SCENE.split(term, maxsplit=1)
    made = CORRUPTIONS[kind](SCENE, Random(seed))
    assert made.startswith(before)
    assert made.endswith(after)
    other = made[len(before) : len(made) - len(after)]
    assert other in known
    assert other not in SCENE
    assert not {other, *known[other]} & {term, *known[term]}


def test_a_swap_is_no_other_word_for_the_same() -> None:
    made = {
        CORRUPTIONS["instrument swapped"]("The clipper clips the duct.", Random(seed)) for seed in range(300)
    }
    assert len(made) > 10
    assert "The clip applier clips the duct." not in made
    made = {
        CORRUPTIONS["structure swapped"]("The hook burns the liver.", Random(seed)) for seed in range(300)
    }
    assert len(made) > 10
    assert "The hook burns the liver bed." not in made


@given(seed=st.integers(0, 10_000))
def test_rewordings_change_terms_only_into_their_synonyms(seed: int) -> None:
    known = {**TERMS.instruments, **TERMS.structures, **TERMS.actions}
    whole = "^" + re.sub(
        r"\b(grasper|retracts|liver|cuts|cystic duct|scissors)\b",
        lambda m: "(?:" + "|".join(map(re.escape, known[m[0]])) + ")",
        SCENE.replace(".", r"\."),
    )
    assert re.match(whole + "$", paraphrase(SCENE, Random(seed)))
    once = synonym(SCENE, Random(seed))
    swaps = [SCENE.replace(term, other) for term, others in known.items() for other in others]
    assert once != SCENE
    assert once in swaps


def test_rungs_hold_one_error_more_each() -> None:
    rungs = ladder(SCENE, Random(3))
    assert rungs[0] == SCENE
    kept = [sum(term in rung for term in ("grasper", "liver", "retracts")) for rung in rungs]
    assert kept == [3, 2, 1, 0]
    assert ladder("Nothing that is known.", Random(0)) == ["Nothing that is known."]


def test_every_caption_gets_every_corruption_that_applies_and_none_equals_it() -> None:
    for pair in PAIRS:
        made = corrupted(pair, PAIRS, Random(0))
        assert set(made) <= set(KINDS)
        assert set(KINDS) - set(made) <= {"order reversed"}
        assert pair.reference not in made.values()
        assert made["other caption"] in {other.reference for other in PAIRS}


def test_a_judge_that_knows_the_truth_is_right_everywhere_and_its_opposite_wrong() -> None:
    good = {pair.reference for pair in PAIRS}
    right = report_of(lambda reference, candidate: 5.0 if candidate == reference else 1.0)
    wrong = report_of(lambda reference, candidate: 1.0 if candidate in good else 5.0)
    same = report_of(lambda reference, candidate: 3.0)
    for kind in KINDS:
        assert right["kinds"][kind]["within"]["reference"]["mean"] == 1.0
        assert right["kinds"][kind]["across"]["reference"]["low"] == 1.0
        assert same["kinds"][kind]["within"]["synonym"]["mean"] == 0.5
        if kind != "other caption":
            assert wrong["kinds"][kind]["within"]["reference"]["mean"] == 0.0
    assert right["ladder"]["mean"] == pytest.approx(3 / (6 * 3) ** 0.5, abs=0.02)
    assert wrong["ladder"]["mean"] < -0.65
    assert (same["ladder"]["mean"], same["all"]["paraphrase"]["mean"]) == (0.0, 0.5)


def test_the_auc_across_references_is_that_of_all_pairs() -> None:
    judge = Scripted(lambda reference, candidate: 1.0 + len(candidate) % 7)
    found = judges_report({"one": judge}, PAIRS, 0)["judges"]["one"]
    chosen = [Random(f"0 {index}") for index in range(len(PAIRS))]
    good = [judge.score(p.reference, paraphrase(p.reference, c)) for p, c in zip(PAIRS, chosen, strict=True)]
    bad = [judge.score(pair.reference, " ".join([pair.reference] * 3)) for pair in PAIRS]
    across = found["kinds"]["repeated"]["across"]["paraphrase"]
    assert across["mean"] == pytest.approx(auc(good, bad), abs=1e-4)
    assert across["low"] <= across["mean"] <= across["high"]


def test_failed_judgements_are_left_out_and_counted() -> None:
    lost = PAIRS[0].reference
    found = report_of(
        lambda reference, candidate: None if reference == lost else float(candidate == reference) + 1
    )
    assert found["failed"] == 0 or found["failed"] < found["judgements"]
    assert found["failed"] >= len(KINDS)
    assert found["kinds"]["vague"]["within"]["reference"] == {
        "mean": 1.0,
        "low": 1.0,
        "high": 1.0,
        "n": len(PAIRS) - 1,
    }
    assert report_of(lambda *_: None)["kinds"]["vague"]["score"] == {
        "mean": None,
        "low": None,
        "high": None,
        "n": 0,
    }


@pytest.mark.slow
def test_the_lexicon_sees_errors_that_similarity_does_not() -> None:
    report = judges_report(
        {"lexicon": LexiconJudge(), "similarity": SimilarityJudge()}, caption_pairs(60, 0), 0
    )
    lexicon, similarity = (report["judges"][name] for name in ("lexicon", "similarity"))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    # A wrong action costs less similarity than other words for everything, in every caption.
    assert similarity["kinds"]["wrong action"]["within"]["paraphrase"]["high"] < 0.1
    for kind in ("wrong action", "negated", "structure swapped"):
        for good in ("synonym", "paraphrase"):
            ours, theirs = (one["kinds"][kind]["within"][good] for one in (lexicon, similarity))
            assert ours["mean"] > theirs["mean"]
    assert lexicon["all"]["synonym"]["low"] > similarity["all"]["synonym"]["high"] - 0.02
    # Neither can be talked into a better score, and neither pays for praise.
    for judge in (lexicon, similarity):
        assert judge["addressed"]["high"] < 0
        assert judge["kinds"]["generic praise"]["within"]["paraphrase"]["mean"] > 0.95


def test_a_model_judges_only_where_its_server_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # its replies are kept under runs/
    for name in ("JUDGE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = read_judges(CONFIG)
    judges, missing = available_judges(settings)
    assert list(judges) == ["lexicon", "similarity"]
    assert "needs JUDGE_URL" in missing["open model"]
    assert "needs OPENAI_API_KEY" in missing["gpt-4.1"]
    with running() as url:
        monkeypatch.setenv("JUDGE_URL", url)
        judges, missing = available_judges(settings)
        judge = judges["open model"]
        assert isinstance(judge, ChatJudge)
        assert list(missing) == ["gpt-4.1"]
        found = judges_report({"open model": judge}, PAIRS[:2], 0)["judges"]["open model"]
        assert found["failed"] == 0
        assert asked(url) > len(KINDS)
    numbers = scores_of(PAIRS[0].reference), scores_of(PAIRS[1].reference)
    mean = sum(sum(one.values()) / len(one) for one in numbers) / 2
    assert found["score"]["reference"]["mean"] == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("needs.gone=KEY", "'gone', which is none of"),
        ("captions=-1", "captions must be at least 0"),
        ("judge.mine=lexicon", "judge"),
    ],
)
def test_a_wrong_setting_is_named(change: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_judges(CONFIG, [change])
    assert JudgesSettings().needs == {}


def test_references_must_be_several_and_differ() -> None:
    for pairs in (PAIRS[:1], [PAIRS[0], PAIRS[0]]):
        with pytest.raises(UserError, match="at least two references"):
            judges_report({}, pairs, 0)
