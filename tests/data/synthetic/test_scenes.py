"""What is drawn is what the state says."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from medgrpo.data.synthetic import PHASES, SOURCES, TARGETS, TOOLS, VERBS, Scene, sample_scene
from medgrpo.data.synthetic.assessments import CriteriaScene, SkillScene
from medgrpo.data.synthetic.instruments import INSTRUMENT_COLOURS, Placement, draw_instrument
from medgrpo.data.synthetic.scenes import ProcedureScene
from medgrpo.data.synthetic.tissue import TARGET_COLOURS, draw_effect

PROCEDURES = [name for name, spec in SOURCES.items() if spec.kind == "procedure"]


def clean(source: str, seed: int) -> Scene:
    """A scene without noise."""
    return sample_scene(source, seed, spec=replace(SOURCES[source], noise=0.0))


def changed_box(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int, int]:
    """Bounding box of the pixels in which two frames differ, far edges exclusive."""
    ys, xs = np.nonzero((a != b).any(-1))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


@pytest.mark.parametrize("source", SOURCES)
def test_a_scene_is_a_function_of_its_seed(source: str) -> None:
    one, two = sample_scene(source, 5), sample_scene(source, 5)
    last = float(one.times[-1])
    two.render(0.0)  # another order of rendering
    assert one.duration == two.duration
    assert one.state(last) == two.state(last)
    np.testing.assert_array_equal(one.render(last), two.render(last))
    assert (sample_scene(source, 6).render(0.0) != one.render(0.0)).any()


@pytest.mark.parametrize("source", SOURCES)
def test_frames_and_states_are_well_formed(source: str) -> None:
    spec = SOURCES[source]
    for seed in range(20):
        scene = sample_scene(source, seed)
        assert len(scene.times) >= 4
        assert scene.times[-1] < scene.duration <= 120
        for time in (0.0, 0.37 * scene.duration, float(scene.duration)):
            frame, state = scene.render(time), scene.state(time)
            assert frame.shape == (spec.height, spec.width, 3)
            assert frame.dtype == np.uint8
            assert state.verb in VERBS
            assert state.phase in PHASES
            assert state.tool in (TOOLS if state.visible else ("",))
            assert state.target in (*TARGETS, "")
            x1, y1, x2, y2 = state.box
            if state.visible:
                assert 0 <= x1 < x2 <= 1
                assert 0 <= y1 < y2 <= 1
            assert (state.cvs is not None) == (spec.kind == "criteria")
            assert (state.skill is not None) == (spec.kind == "skill")


@pytest.mark.parametrize("tool", INSTRUMENT_COLOURS)
@pytest.mark.parametrize(("right", "below"), list(itertools.product((False, True), repeat=2)))
def test_an_instrument_fills_its_box_and_no_more(tool: str, right: bool, below: bool) -> None:
    from PIL import Image, ImageDraw

    ground = (120, 100, 200)
    for beat in (0.0, 1.0):
        image = Image.new("RGB", (168, 112), ground)
        place = Placement((48.0, 28.0, 114.0, 77.0), right, below)
        draw_instrument(ImageDraw.Draw(image), tool, place, beat, ground, 1.0)
        found = changed_box(np.asarray(image), np.full((112, 168, 3), ground))
        assert np.abs(np.subtract(found, place.box)).max() <= 4, found


@pytest.mark.parametrize("source", PROCEDURES)
def test_the_drawn_tool_is_where_the_box_says(source: str) -> None:
    spec = SOURCES[source]
    size = np.array([spec.width, spec.height] * 2)
    checked = 0
    for seed in range(30):
        scene = clean(source, seed)
        for time in scene.times:
            state = scene.state(float(time))
            if not state.visible or state.verb != "idle":
                continue  # the effect of an action covers the tip
            found = changed_box(scene.render(float(time)), scene.render(float(time), tool=False))
            assert np.abs(np.subtract(found, state.box * size)).max() <= 4
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("source", PROCEDURES)
def test_actions_are_visible_and_differ(source: str) -> None:
    scene = clean(source, 3)
    assert isinstance(scene, ProcedureScene)
    action = scene.actions[0]
    middle = (action.start + action.end) / 2
    with_action = scene.render(middle)
    scene.actions = (replace(action, verb=next(v for v in SOURCES[source].verbs if v != action.verb)),)
    assert (scene.render(middle) != with_action).any(-1).sum() > 12


def test_every_verb_and_target_has_its_own_look() -> None:
    from PIL import Image, ImageDraw

    looks = set()
    for verb in VERBS:
        image = Image.new("RGB", (48, 48), (128, 128, 128))
        draw_effect(ImageDraw.Draw(image), verb, 24, 24, 9, 0.5, (128, 128, 128), 1.0)
        looks.add(image.tobytes())
    assert len(looks) == len(VERBS)
    assert set(TARGETS) <= set(TARGET_COLOURS)
    assert set(TOOLS) == set(INSTRUMENT_COLOURS)


@pytest.mark.parametrize("source", PROCEDURES)
def test_timelines(source: str) -> None:
    spec = SOURCES[source]
    for seed in range(60):
        scene = sample_scene(source, seed)
        assert isinstance(scene, ProcedureScene)
        now = 0.0
        for a, b in itertools.pairwise((*scene.actions, None)):
            assert a is not None
            assert a.tool in spec.verbs[a.verb]
            assert now <= a.shown_from <= a.start < a.end <= a.shown_to <= scene.duration
            assert a.start % spec.time_step == 0
            assert a.end % spec.time_step == 0
            assert b is None or a.verb != b.verb
            now = a.shown_to
        assert spec.next_steps is not None or scene.phases[-1][1] + 1 < len(spec.phases)


def test_lengths_of_clips_vary() -> None:
    lengths = {name: [sample_scene(name, s).duration for s in range(300)] for name in ("NurViD", "JIGSAWS")}
    for durations in lengths.values():
        assert 120 in durations
        assert any(20 <= d <= 60 for d in durations)
        assert np.median(durations) <= 18


def count(frame: np.ndarray, colour: tuple[int, int, int], reach: int = 40) -> int:
    """Pixels close to a colour."""
    return int((np.abs(frame.astype(int) - colour).max(-1) < reach).sum())


def test_a_pixel_classifier_reads_the_criteria_of_safety() -> None:
    right = np.zeros(3)
    levels = []
    for seed in range(150):
        scene = sample_scene("Cholec80_CVS", seed)
        assert isinstance(scene, CriteriaScene)
        frame = scene.render(1.0)
        tubes = (count(frame, (120, 215, 235)) > 60) + (count(frame, (236, 60, 70), 25) > 60)
        plate = round(count(frame, (240, 214, 224), 25) / 660)
        fat = count(frame, (246, 208, 70), 45)
        triangle = 2 if fat < 60 else 1 if fat < 900 else 0
        right += np.equal((tubes, plate, triangle), scene.levels)
        levels.append(scene.levels)
    assert (right / 150 > 0.95).all(), right
    # Balanced, so that a blind answer is right in a third of the cases.
    shares = [np.bincount([level[k] for level in levels], minlength=3) / 150 for k in range(3)]
    assert max(s.max() for s in shares) < 0.45


def test_skill_is_a_visible_quantity() -> None:
    rated: dict[str, list[tuple[int, float]]] = {"spots": [], "stitches": [], "idle": [], "tremor": []}
    for seed in range(80):
        scene = clean("JIGSAWS", seed)
        assert isinstance(scene, SkillScene)
        frame = scene.render(float(scene.times[-1]), tool=False)
        rated["spots"].append((scene.skill["Respect for tissue"], -count(frame, (190, 0, 15))))
        rated["stitches"].append((scene.skill["Quality of final product"], count(frame, (25, 25, 140))))
        states = [scene.state(float(t)) for t in scene.times]
        rated["idle"].append((scene.skill["Flow of operation"], -np.mean([s.verb == "idle" for s in states])))
        heights = [s.box[1] for s in states if s.verb != "idle"]
        rated["tremor"].append((scene.skill["Time and motion"], -float(np.std(heights))))
    for name, pairs in rated.items():
        ratings, seen = np.array(pairs).T
        assert np.corrcoef(ratings, seen)[0, 1] > 0.85, name
