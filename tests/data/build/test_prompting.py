"""What writers are shown and told, what of it may leave the machine, and what it would cost."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medgrpo.data.build.clips import ClipPolicy
from medgrpo.data.build.items import ClipPictures, Speech, Transcript
from medgrpo.data.build.prepare import Prepared, PreparedClip
from medgrpo.data.build.pricing import Demand, demand_of, price
from medgrpo.data.build.prompting import PromptPolicy, requests_of
from medgrpo.data.build.questions import QuestionPolicy, draft_questions
from medgrpo.data.build.templates import source_texts
from medgrpo.data.build.writer_pictures import WriterPicturePolicy
from medgrpo.data.build.writers import FLAGGED, SPEECH, ChatWriter, TextRequest
from medgrpo.errors import UserError
from medgrpo.services.chat_message import PICTURE_TOKENS, PicturedPrompt
from medgrpo.services.limits import Limits, Price
from tests.data.build.annotated import clips_of, video_of

SPEECHES = (
    Speech(2.0, 6.0, "Doctor Miller cuts the skin."),
    Speech(8.0, 12.0, "Now it is sutured."),
    Speech(500.0, 505.0, "Goodbye."),
)


def prepared(
    source: str, out: Path, transcript: Transcript | None = None, flags: dict[int, str] | None = None
) -> Prepared:
    """A video with one clip whose frames are on the disk; ``flags`` by the number of the picture."""
    video = video_of(source, 5, duration=60.0)
    clip, shown = clips_of(video, ClipPolicy(min_seconds=60.0))[0]
    pictures = []
    for k, picture in enumerate(shown.pictures):
        path = out / picture.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (427, 240), (120, 60, 40)).save(path, quality=95)
        named = (flags or {}).get(k)
        pictures.append(replace(picture, flags=(named,) if named else ()))
    shown = ClipPictures(tuple(pictures), shown.width, shown.height, shown.canvas)
    policy = QuestionPolicy({"video_summary": 1, "dense_captioning": 1, "region_caption": 1, "tal": 1})
    drafts, _ = draft_questions(video, clip, shown, source_texts(source), policy)
    return Prepared(video, (PreparedClip(clip, shown, drafts),), transcript)


def asked(made: Prepared, out: Path, task: str, web: bool = False, most: int = 6) -> TextRequest:
    texts = source_texts(made.video.source)
    found = requests_of(made, out, texts, PromptPolicy(WriterPicturePolicy(most)), web)
    return next(request for request in found if request.draft.task == task)


def said(prompt: PicturedPrompt | None) -> str:
    assert prompt is not None
    return prompt.text


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_a_clip_is_told_with_its_annotations_and_spread_pictures(tmp_path: Path) -> None:
    made = prepared("CholecT50", tmp_path)
    request = asked(made, tmp_path, "video_summary")
    text = said(request.prompt)
    assert request.prompt == request.remote
    assert not request.held_back
    assert source_texts("CholecT50").domain in text
    for event in made.video.events:
        if event.end > event.start:
            assert f"{event.start:.1f}-{event.end:.1f} seconds: phase {event.label}" in text
    captions = [caption for caption, _ in request.prompt.pictures]  # type: ignore[union-attr]
    times = [float(caption.split()[0]) for caption in captions]
    clip = made.clips[0].clip
    assert len(times) == 6
    assert (times[0], times[-1]) == (clip.times[0], clip.times[-1])


def test_dense_captions_are_asked_for_by_event_in_order(tmp_path: Path) -> None:
    request = asked(prepared("CoPESD", tmp_path), tmp_path, "dense_captioning")
    lines = [
        f"{k}. {event.start:.1f}-{event.end:.1f} seconds: {event.caption}"
        for k, event in enumerate(request.draft.events, 1)
    ]
    assert "\n".join(lines) in said(request.prompt)
    assert f"exactly {request.count} sentences" in said(request.prompt)


def test_a_region_is_outlined_on_the_first_picture_only(tmp_path: Path) -> None:
    request = asked(prepared("EgoSurgery", tmp_path), tmp_path, "region_caption")
    draft = request.draft
    assert draft.region_time is not None
    assert request.prompt is not None
    first, *rest = request.prompt.pictures
    assert first[0].startswith(f"{draft.region_time:.1f} s")
    green = [bool((pixels(uri)[..., 1].astype(int) > 200).any()) for _, uri in (first, *rest)]
    assert green == [True] + [False] * len(rest)
    assert f"marks one object: {draft.region_label}." in said(request.prompt)


@pytest.mark.parametrize("flag", ["identifying", "out_of_body"])
def test_flagged_pictures_stay_in_the_house(flag: str, tmp_path: Path) -> None:
    request = asked(prepared("CholecT50", tmp_path, flags={0: flag, 3: flag}), tmp_path, "video_summary")
    assert request.prompt is not None
    assert request.remote is not None
    assert request.held_back == (FLAGGED,)
    assert request.prompt.pictures[0][0].startswith("0.0 s")
    remote_times = {float(caption.split()[0]) for caption, _ in request.remote.pictures}
    assert not remote_times & {0.0, 3.0}
    assert len(request.remote.pictures) == 6, "others take their place"


def test_nothing_leaves_where_every_picture_is_flagged(tmp_path: Path) -> None:
    made = prepared("CholecT50", tmp_path, flags=dict.fromkeys(range(200), "identifying"))
    request = asked(made, tmp_path, "video_summary")
    assert request.prompt is not None
    assert (request.remote, request.detail) == (
        None,
        "frames that it needs must not leave the machine",
    )


def test_black_pictures_are_shown_to_nobody(tmp_path: Path) -> None:
    made = prepared("CholecT50", tmp_path, flags=dict.fromkeys(range(200), "black"))
    request = asked(made, tmp_path, "video_summary")
    assert (request.prompt, request.remote, request.detail) == (None, None, "no frame of it can be shown")


@pytest.mark.parametrize("cleared", [True, False])
def test_words_leave_only_when_they_were_cleared_of_names(cleared: bool, tmp_path: Path) -> None:
    words = Transcript("ok", SPEECHES, "en", 0.4, cleared=cleared)
    request = asked(prepared("AVOS", tmp_path, words), tmp_path, "video_summary", web=True)
    assert "2.0 seconds: Doctor Miller cuts the skin." in said(request.prompt)
    assert "Goodbye" not in said(request.prompt), "said long after the clip"
    assert ("Miller" in said(request.remote)) == cleared
    assert request.held_back == (() if cleared else (SPEECH,))
    assert ("speech" in request.sends(remote=True)) == cleared
    assert "speech" in request.sends(remote=False)


def test_pictures_of_web_videos_are_plain(tmp_path: Path) -> None:
    request = asked(prepared("NurViD", tmp_path), tmp_path, "video_summary", web=True)
    assert request.prompt is not None
    for caption, uri in request.prompt.pictures:
        assert caption.endswith(" s"), "no annotation in the caption"
        assert np.ptp(pixels(uri).reshape(-1, 3).astype(int), axis=0).max() <= 4


def test_prompts_are_the_same_in_every_run(tmp_path: Path) -> None:
    made = prepared("EgoSurgery", tmp_path)
    texts = source_texts("EgoSurgery")
    assert requests_of(made, tmp_path, texts, PromptPolicy(), False) == requests_of(
        made, tmp_path, texts, PromptPolicy(), False
    )


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="shown: speech_chars"):
        PromptPolicy(speech_chars=-1)


def test_a_build_is_priced_by_the_prompts_it_would_send(tmp_path: Path) -> None:
    made = prepared("EgoSurgery", tmp_path)
    texts, policy = source_texts("EgoSurgery"), PromptPolicy(WriterPicturePolicy(6))
    demand = demand_of(made, texts, policy)
    requests = requests_of(made, tmp_path, texts, policy, False)
    shown = sum(len(request.prompt.pictures) for request in requests if request.prompt)
    words = sum(round(len(said(request.prompt).encode()) / 4) for request in requests)
    answered = sum(draft.answer is not None for draft in made.clips[0].drafts)
    assert (demand.questions, demand.requests, demand.pictures) == (answered, len(requests), shown)
    assert demand.prompt_tokens == pytest.approx(words + PICTURE_TOKENS * shown, abs=3)
    events = next(len(r.draft.events) for r in requests if r.draft.task == "dense_captioning")
    assert demand.completion_tokens == 70 + 45 + 40 * events
    assert demand + Demand() == demand


def test_each_writer_has_its_own_price_and_none_without_a_table(tmp_path: Path) -> None:
    demand = Demand(requests=10, prompt_tokens=2_000_000, completion_tokens=500_000)

    def writer(model: str) -> ChatWriter:
        prices = {"dear": Price(2.0, 8.0), "cheap": Price(0.3, 2.5)}
        return ChatWriter(model, "http://localhost:9/v1", str(tmp_path / "c"), limits=Limits(prices=prices))

    costs = price(demand, {"gpt": writer("dear"), "gemini": writer("cheap"), "other": writer("free")})
    assert costs == {"gpt": pytest.approx(8.0), "gemini": pytest.approx(1.85), "other": None}
