"""What the running dashboard serves of its folder of films, and what it refuses, byte for byte."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from PIL import Image

from medgrpo.data.review_clips import ReviewClip, make_review_clip
from medgrpo.types import Clip
from tests.app.browsing import serving
from tests.app.scene import write_scene

Answer = tuple[int, http.client.HTTPMessage, bytes]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> ReviewClip:
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder, rounds=1)
    media = folder / "runs-review" / "media"
    (folder / "Jane_Doe").mkdir()
    paths = tuple(folder / "Jane_Doe" / f"{k}.png" for k in range(3))
    for k, path in enumerate(paths):
        Image.new("RGB", (64, 48), (80 * k, 90, 90)).save(path)
    paths[1].unlink()
    made = make_review_clip(Clip(paths, times=(0.0, 0.5, 1.0), fps=2.0), media)
    (media / "secret.html").write_text("<b>secret</b>")
    os.symlink(folder / "frames" / "000.jpg", media / f"{'a' * 32}.mp4")
    os.symlink(made.film, media / f"{'b' * 32}.mp4")
    (media / f".{made.key}.mp4.0123.part").write_bytes(b"half")
    (folder / f"{'c' * 32}.mp4").write_bytes(b"outside")
    return made


@pytest.fixture(scope="module")
def address(film: ReviewClip) -> Iterator[str]:
    with serving(film.folder.parents[1] / "runs") as found:
        yield found


def ask(address: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request with the path exactly as it is written."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_a_film_is_served_whole_and_in_parts(film: ReviewClip, address: str) -> None:
    content, url = film.film.read_bytes(), f"/media/{film.key}.mp4"
    status, headers, body = ask(address, url)
    assert (status, body) == (200, content)
    assert headers["content-type"] == "video/mp4"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-store"
    assert headers["accept-ranges"] == "bytes"
    size = len(content)
    for asked, first, last in (("0-99", 0, 99), ("100-", 100, size - 1), ("-50", size - 50, size - 1)):
        status, headers, body = ask(address, url, range=f"bytes={asked}")
        assert (status, body) == (206, content[first : last + 1])
        assert headers["content-range"] == f"bytes {first}-{last}/{size}"
    status, headers, body = ask(address, url, range=f"bytes={size}-")
    assert status == 416
    assert headers["content-range"].endswith(f"*/{size}")
    status, headers, body = ask(address, url, "HEAD")
    assert (status, headers["content-length"], body) == (200, str(size), b"")


def test_nothing_else_of_the_disk_is_served(film: ReviewClip, address: str) -> None:
    outside = "c" * 32
    for path in (
        f"/media/../{outside}.mp4",
        f"/media/%2e%2e/{outside}.mp4",
        f"/media/..%2f{outside}.mp4",
        f"/media/%2e%2e%2f%2e%2e%2f{outside}.mp4",
        f"/media/%252e%252e%252f{outside}.mp4",
        f"/media/..%5c{outside}.mp4",
        "/media//etc/passwd",
        "/media/%2fetc%2fpasswd",
        "/media/../../../../etc/passwd",
        f"/media/{film.film}",
        f"/media/{'a' * 32}.mp4",  # a link out of the folder
        f"/media/{'b' * 32}.mp4",  # a link inside of it
        f"/media/{film.key}.json",  # names the patient
        f"/media/{film.key}.mp4.json",
        f"/media/{film.key}.MP4",
        f"/media/{film.key}.mp4/",
        f"/media/{film.key}.mp4%00",
        f"/media/{film.key}.mp4%0a",
        f"/media/{film.key.upper()}.mp4",
        f"/media/{film.key[:-1]}.mp4",
        f"/media/.{film.key}.mp4.0123.part",
        "/media/secret.html",
        "/media/",
        f"/clips/{film.key}.json",
        "/clips/../media/secret.html",
        f"/clips/%2e%2e%2fmedia%2f{film.key}.json",
    ):
        status, headers, body = ask(address, path)
        assert status == 403, path
        assert body == b"not a review clip"
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(address, f"/media/{'0' * 32}.mp4")[0] == 404
    for path in ("/static/../server.py", "/static/%2e%2e%2fplayer.py", "/static/style.css", "/static/"):
        assert ask(address, path)[0] == 404, path
    assert ask(address, f"/media/{film.key}.mp4", "DELETE")[0] == 405
    assert film.film.is_file()


def test_the_times_of_a_film_name_no_file(film: ReviewClip, address: str) -> None:
    status, headers, body = ask(address, f"/clips/{film.key}")
    told = json.loads(body)
    assert status == 200
    assert headers["cache-control"] == "private, no-store"
    assert told["state"] == "ready"
    assert (told["times"], told["starts"], told["duration"]) == ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], 1.5)
    assert told["size"] == told["stored"] == [64, 48]
    assert "1 of 3 pictures cannot be read" in told["notes"][0]
    assert b"Jane" not in body
    assert b".png" not in body
    assert json.loads(ask(address, f"/clips/{'0' * 32}")[2]) == {"state": "unknown", "reason": ""}


def test_a_damaged_sidecar_is_a_message(film: ReviewClip, address: str) -> None:
    damaged = ReviewClip(film.folder, "d" * 32)
    damaged.film.write_bytes(film.film.read_bytes())
    damaged.sidecar.write_text('{"shown"')
    told = json.loads(ask(address, f"/clips/{damaged.key}")[2])
    assert told == {"state": "failed", "reason": "What is known about its times is damaged."}


def test_the_players_own_files_are_served(address: str) -> None:
    for name, kind in (("player.js", "text/javascript"), ("player.css", "text/css")):
        status, headers, body = ask(address, f"/static/{name}")
        assert status == 200
        assert headers["content-type"].startswith(kind)
        assert b"player" in body
