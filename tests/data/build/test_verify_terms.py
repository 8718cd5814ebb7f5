"""Instruments, phases and findings that a text names and the annotation does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.build.verify.candidates import ClipFacts, facts_of
from medgrpo.data.build.verify.terminology import CATEGORIES, Terminology
from medgrpo.data.sources.annotations import Event, Instance, Provenance, SourceVideo, Triplet
from medgrpo.errors import UserError
from medgrpo.types import Clip
from tests.data.build.verify_scene import clip_of

TERMS = Terminology()
FILE = Path(__file__).parents[3] / "medgrpo" / "data" / "build" / "verify" / "terms.yaml"
DATA = yaml.safe_load(FILE.read_text())
FORMS = [(concept, form) for concept, synonyms in DATA["instrument"].items() for form in (concept, *synonyms)]


def wrong(
    text: str, present: tuple[str, ...], source: str = "CholecT50", category: str = "instrument"
) -> set[str]:
    facts = ClipFacts({category: present})
    return {mention.concept for mention in TERMS.contradictions(text, source, facts)[0]}


@pytest.mark.parametrize(
    ("text", "contradicted"),
    [
        ("The grasper holds it and the L-hook cuts.", set()),
        ("The graspers hold it, the electrocautery hook cuts.", set()),
        ("A forceps holds it, cautery cuts.", set()),  # broader words for grasper and hook
        ("The clipper comes in.", {"clip applier"}),
        ("The clip applier and scissors come in.", {"clip applier", "scissors"}),
        ("Bipolar forceps coagulate.", {"bipolar forceps"}),
        ("A scalpel opens the skin.", {"scalpel"}),
        ("A trocar and the specimen bag are seen.", set()),  # in the pictures, but nobody marks them
        ("Nothing is done without the clipper.", set()),
        ("No clipper, scissors or bipolar is used.", set()),
        ("No clipper is used, but scissors are.", {"scissors"}),
        ("The clipper is not used; the scissors cut.", {"scissors"}),
        ("The scissors cut and the clipper is absent.", {"scissors"}),
        ("Without bleeding, the scissors cut.", {"scissors"}),
        ("The grasper lifts it instead of the scissors.", set()),
        ("The hook hooks the tissue, ready to hook more.", set()),
    ],
)
def test_an_instrument_that_is_not_annotated_contradicts(text: str, contradicted: set[str]) -> None:
    assert wrong(text, ("grasper", "hook")) == contradicted


@pytest.mark.parametrize(
    ("text", "contradicted"),
    [
        ("The clipping and cutting goes on.", {"clipping and cutting"}),
        ("Gallbladder dissection goes on with careful dissection.", set()),
        ("Dissection of the gallbladder goes on.", set()),
        ("After clipping and cutting, it is dissected.", set()),
        ("It is freed in preparation for gallbladder packaging.", set()),
        ("The preparation phase goes on.", {"preparation"}),
        ("With some preparation it is dissected.", set()),
        ("Calot's triangle dissection is seen.", {"calot triangle dissection"}),
        ("The grasper makes a gallbladder retraction.", set()),
    ],
)
def test_a_phase_that_is_not_annotated_contradicts(text: str, contradicted: set[str]) -> None:
    assert wrong(text, ("gallbladder-dissection",), category="phase") == contradicted


def test_findings_are_held_against_the_source_that_marks_them() -> None:
    assert wrong("Active bleeding is seen.", (), "CholecTrack20", "finding") == {"bleeding"}
    assert wrong("No bleeding is seen.", (), "CholecTrack20", "finding") == set()
    assert wrong("It is coagulated to prevent bleeding.", (), "CholecTrack20", "finding") == set()
    assert wrong("Hemorrhage is seen.", ("bleeding",), "CholecTrack20", "finding") == set()


def test_what_nobody_annotated_contradicts_nothing_and_is_told() -> None:
    assert TERMS.contradictions("The clipper comes in.", "NurViD", ClipFacts()) == ([], True)
    assert TERMS.contradictions("It comes in.", "NurViD", ClipFacts()) == ([], False)


def test_an_events_label_speaks_for_its_instrument() -> None:
    facts = ClipFacts({"instrument": ("Forceps",)}, events=("dissect flap tissue with knife",))
    assert TERMS.contradictions("The ESD knife dissects.", "CoPESD", facts)[0] == []
    assert TERMS.contradictions("The ESD knife dissects.", "CoPESD", ClipFacts({"instrument": ("Forceps",)}))[
        0
    ]


def test_a_narrower_word_needs_a_label_of_its_own_to_contradict() -> None:
    assert wrong("A grasping forceps lifts it.", ("Forceps",), "CoPESD") == set()
    assert wrong("Bipolar forceps lift it.", ("Forceps",), "EgoSurgery") == {"bipolar forceps"}
    assert wrong("Tweezers lift it.", ("Forceps",), "EgoSurgery") == set()


def test_every_label_of_a_source_is_in_the_terms() -> None:
    for source in DATA["sources"]:
        for category in CATEGORIES:
            known = set(DATA[category])
            assert TERMS.annotated[source][category] <= known, source
        assert TERMS.silent[source] <= set(DATA["instrument"]), source
    assert {kind for kinds in DATA["broader"].values() for kind in kinds} <= set(DATA["instrument"])


@given(st.sampled_from(FORMS), st.sampled_from(FORMS))
def test_synonyms_say_the_same(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Whichever words are used, a concept is covered exactly if it or something narrower is annotated."""
    text = f"the {one[1]} is moved; the {other[1]} rests"
    assert [mention.concept for mention in TERMS.find(text)] == [one[0], other[0]]
    covered = {one[0], *TERMS.kinds(one[0])}
    expected = {concept for concept in (one[0], other[0]) if concept not in covered}
    # In a source without a list a narrower word than the annotated one passes, too.
    expected -= {concept for concept in expected if one[0] in TERMS.kinds(concept)}
    assert wrong(text, (one[0],), "a new source") == expected


NEGATIONS = (
    "no {} is seen",
    "without the {}",
    "the {} is not used",
    "neither {} nor needle",
    "in absence of a {}",
)
ASSERTIONS = ("the {} moves", "a {} comes in", "with the {} it is cut", "using a {}", "and then the {} rests")


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.sampled_from(FORMS)), min_size=1, max_size=6),
    st.sampled_from([". ", "; ", ", but ", ", while "]),
    st.sets(st.sampled_from(sorted(DATA["instrument"])), max_size=8),
)
def test_negated_clauses_never_contradict_and_others_always_do(
    clauses: list[tuple[bool, int, tuple[str, str]]], joint: str, present: set[str]
) -> None:
    """Against the truth by which the text was made."""
    text = joint.join((NEGATIONS if no else ASSERTIONS)[k].format(form) for no, k, (_, form) in clauses)
    said = {concept for no, _, (concept, _) in clauses if not no}
    covered = present | {kind for concept in present for kind in TERMS.kinds(concept)}
    expected = {concept for concept in said - covered if not TERMS.kinds(concept) & present}
    assert wrong(text, tuple(sorted(present)), "a new source") == expected


def test_terms_of_ones_own_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "terms.yaml"
    path.write_text(yaml.safe_dump({**DATA, "instrument": {"grasper": ["tool"], "hook": ["tool"]}}))
    with pytest.raises(UserError, match=r"terms.yaml: 'tool' is 'grasper' and 'hook'"):
        Terminology(path)
    path.write_text(yaml.safe_dump({**DATA, "negation": [False]}))
    with pytest.raises(UserError, match="'negation' must list words"):
        Terminology(path)
    path.write_text(yaml.safe_dump({name: part for name, part in DATA.items() if name != "broader"}))
    with pytest.raises(UserError, match="'broader' is missing"):
        Terminology(path)
    path.write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        Terminology(path)
    with pytest.raises(UserError, match=r"missing\.yaml"):
        Terminology(tmp_path / "missing.yaml")


WHERE = Provenance("labels.json")


def video(**fields: object) -> SourceVideo:
    footage = Clip(video=Path("a.mp4"))
    return SourceVideo("CholecT50", "VID01", "cholec:1", footage, 1.0, 100.0, **fields)  # type: ignore[arg-type]


def test_facts_are_those_of_the_clip() -> None:
    source = video(
        events=(
            Event("phase", "preparation", 0.0, 60.0, WHERE),
            Event("phase", "gallbladder-dissection", 60.0, 100.0, WHERE),
            Event("action", "cut", 61.0, 70.0, WHERE),
        ),
        instances=(
            Instance(5.0, "grasper", WHERE),
            Instance(80.0, "scissors", WHERE, attributes={"flags": "smoke"}),
        ),
        triplets=(Triplet(7.0, "hook", "dissect", "omentum", WHERE), Triplet(8.0, "", "", "omentum", WHERE)),
        annotated=tuple(float(k) for k in range(0, 100, 5)),
        official_split="test",
    )
    facts = facts_of(source, clip_of())
    assert facts.present == {"instrument": ("grasper", "hook"), "phase": ("preparation",)}
    assert facts.events == ("preparation",)
    assert facts.official_split == "test"
    later = facts_of(source, clip_of(start=55.0))
    assert later.present["instrument"] == ("scissors",)
    assert later.present["finding"] == ("smoke",)
    assert later.present["phase"] == ("gallbladder-dissection", "preparation")
    assert later.events == ("cut", "gallbladder-dissection", "preparation")


def test_what_was_looked_for_in_a_part_of_the_clip_only_is_not_known() -> None:
    seen = (Instance(5.0, "grasper", WHERE),)
    assert (
        "instrument"
        in facts_of(video(instances=seen, annotated=(0.0, 9.0, 18.0, 27.0, 36.0)), clip_of()).present
    )
    assert facts_of(video(instances=seen, annotated=(0.0, 5.0, 10.0)), clip_of()).present == {}
    assert facts_of(video(instances=seen), clip_of()).present == {}
    half = (Event("phase", "preparation", 0.0, 20.0, WHERE),)
    assert facts_of(video(events=half), clip_of()).present == {}
