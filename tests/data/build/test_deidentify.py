"""What identifies people in speech is hidden, and what cannot be found is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.build.deidentify import Deidentifier, PatternDeidentifier
from medgrpo.data.build.fingerprints import settings_of
from medgrpo.data.build.items import Speech, Transcript
from medgrpo.data.build.transcript import hide_names
from medgrpo.errors import UserError

PATTERNS = PatternDeidentifier()

FOUND = [
    ("Dr. Smith makes the incision.", "Dr. [person] makes the incision.", {"person": 1}),
    ("Doctor Mary Jones and Nurse O'Neil", "Doctor [person] and Nurse [person]", {"person": 2}),
    ("Hello, my name is Xiu Ying Li.", "Hello, my name is [person] Li.", {"person": 1}),
    ("I'm Katherine, I will show", "I'm [person], I will show", {"person": 1}),
    ("the patient Mary Miller is ready", "the patient [person] is ready", {"person": 1}),
    ("thanks to Jennifer Miller for this", "thanks to [person] for this", {"person": 1}),
    ("write to a.b-c@uni.example.org now", "write to [email] now", {"email": 1}),
    ("write to jane at example dot com", "write to [email]", {"email": 1}),
    ("see https://example.org/x?y=1.", "see [address].", {"address": 1}),
    ("call +1 (555) 123-4567 or 555.123.4567", "call [phone] or [phone]", {"phone": 2}),
    ("on March 3rd, 2019 and 2019-03-04", "on [date] and [date]", {"date": 2}),
    ("on the 3rd of March at 04/05/2019", "on [date] at [date]", {"date": 2}),
    ("MRN 0012-33 and patient ID: A1234", "MRN [number] and patient ID: [number]", {"number": 2}),
    ("a 93-year-old woman", "a [age] woman", {"age": 1}),
    ("here at St Mary's General Hospital today", "here at [hospital] today", {"hospital": 1}),
    ("at the University of Ohio Medical Center", "at the [hospital]", {"hospital": 1}),
]

KEPT = [
    "Now dissect Calot's triangle with the Maryland grasper and a Kelly clamp.",
    "Open the clip at 10:30, wait 5 to 10 minutes, inject 2.5 ml of 0.9% saline.",
    "Clamp 1, 2, 3, 4 and 5; the patient will feel it. May I have 2 gauzes?",
    "In the hospital we mark the incision, 10 by 20 cm.",
]

MISSED = [
    "smith cuts now",
    "ask Featherstone",
    "she is the mayor of Springfield",
    "call oh seven nine one two",
]

WORDS = [
    *(
        "Dr.",
        "Smith",
        "Mary",
        "Miller",
        "patient",
        "Hospital",
        "of",
        "the",
        "University",
        "March",
        "3",
        "555",
    ),
    *(
        "123-4567",
        "2019",
        "my name is",
        "I'm",
        "a@b.org",
        "MRN",
        "Nurse",
        "Calot",
        "clip",
        "[person]",
        "[",
        "]",
    ),
    *("May", "at", "dot", "com", "The", "St", "93", "year old", "record number", "www.x.org", ",", "+", "(4"),
]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))


@pytest.mark.parametrize(("text", "hidden", "counts"), FOUND)
def test_what_identifies_is_replaced_and_counted(text: str, hidden: str, counts: dict[str, int]) -> None:
    assert PATTERNS.hide(text) == (hidden, counts)


@pytest.mark.parametrize("text", KEPT)
def test_surgical_speech_stays(text: str) -> None:
    assert PATTERNS.hide(text) == (text, {})


@pytest.mark.parametrize("text", MISSED)
def test_what_is_said_to_be_missed_is_missed(text: str) -> None:
    assert PATTERNS.hide(text)[0] == text


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_hiding_again_changes_nothing(text: str) -> None:
    hidden, counts = PATTERNS.hide(text)
    assert PATTERNS.hide(hidden) == (hidden, {})
    for kind in counts:
        assert f"[{kind}]" in hidden
    if not counts:
        assert hidden == text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 100), TEXTS), max_size=6))
def test_times_and_the_number_of_sentences_never_change(said: list[tuple[float, float, str]]) -> None:
    speeches = tuple(Speech(start, start + length, text) for start, length, text in said)
    before = Transcript("ok", speeches, "en", 0.5, "whisperx 3.8.6", hidden={"person": 1})
    after = hide_names(before, PATTERNS)
    assert [(s.start, s.end) for s in after.speeches] == [(s.start, s.end) for s in speeches]
    assert (after.status, after.language, after.speech_ratio, after.cleared) == ("ok", "en", 0.5, True)
    added = sum(sum(PATTERNS.hide(text)[1].values()) for *_, text in said)
    assert sum(after.hidden.values()) == 1 + added


def test_a_users_own_names_and_patterns(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("# staff\nFeatherstone\n\n")
    own = PatternDeidentifier(names, {"ward": r"\bWard \d+"})
    assert own.hide("ask Featherstone on Ward 7, not Mary") == (
        "ask [person] on [ward], not Mary",
        {"person": 1, "ward": 1},
    )


def test_another_list_is_another_setting(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("Featherstone\n")
    one = settings_of(PatternDeidentifier(names))
    names.write_text("Featherstone\nThistlewood\n")
    assert settings_of(PatternDeidentifier(names)) != one


def test_another_deidentifier_plugs_in() -> None:
    class Shouting(Deidentifier):
        def hide(self, text: str) -> tuple[str, dict[str, int]]:
            return text.upper(), {"letter": len(text)}

    said = Transcript("ok", (Speech(0, 1, "cut"),))
    assert hide_names(said, Shouting()) == Transcript(
        "ok", (Speech(0, 1, "CUT"),), cleared=True, hidden={"letter": 3}
    )


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        PatternDeidentifier(tmp_path / "none.txt")
    with pytest.raises(UserError, match="the expression of 'ward' is wrong"):
        PatternDeidentifier(more={"ward": "("})
    with pytest.raises(UserError, match="matches an empty text"):
        PatternDeidentifier(more={"ward": "a*"})
    with pytest.raises(UserError, match="the kind 'My Ward' must be a word"):
        PatternDeidentifier(more={"My Ward": "a"})
