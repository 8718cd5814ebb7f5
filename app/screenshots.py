"""``python -m app.screenshots --runs runs/ --out docs/img/dashboard``: all pages as pictures, for docs."""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.example_review import REVIEWERS, add_example_review
from medgrpo.errors import MissingExtraError, UserError

__all__ = ["LOOKS", "Look", "Shot", "main", "shots", "shots_of_records", "take"]

_QUIET_MS = 1_500
_PATIENCE_MS = 60_000
_LARGEST = 150_000  # bytes of a picture
_QUALITIES = (85, 70, 55, 40, 25)
_QUIET = """([quiet, longest]) => new Promise((done) => {
  let timer = setTimeout(done, quiet);
  setTimeout(done, longest);
  new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); })
    .observe(document.body, { childList: true, subtree: true, characterData: true });
})"""


@dataclass(frozen=True, slots=True)
class Look:
    """A screen and a colour scheme."""

    name: str
    width: int
    height: int
    scheme: str


LOOKS = (
    Look("laptop-light", 1440, 1000, "light"),
    Look("laptop-dark", 1440, 1000, "dark"),
    Look("tablet-light", 1024, 768, "light"),
)
"""What every page is looked at with."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Something to take a picture of.

    Attributes:
        name: Of the picture's file.
        path: Below the dashboard's address.
        fill: CSS selector of a field, and what to write there first; empty for none.
        press: CSS selector of a button to press first; empty for none.
        ready: CSS selector of what has to be there; empty if only the page has to come to rest.
        top: CSS selector of what stands at the upper edge of the picture; empty for the top of the page.
    """

    name: str
    path: str
    fill: tuple[str, str] | None = None
    press: str = ""
    ready: str = ""
    top: str = ""


_REVIEW = Shot(
    "review-item",
    "review/",
    fill=("#review-reviewer input, #review-reviewer textarea", REVIEWERS[-1]),
    press="#review-start",
    ready="#review-item .player[data-ready]",
)


def shots(runs: Path) -> list[Shot]:
    """The start, all pages, of the page on training each tab and the newest group, and a review at work.

    Args:
        runs: Folder that training wrote to.

    Raises:
        UserError: If there is no such folder.
    """
    from app.index import GroupFilter, RolloutIndex
    from app.pages import PAGES
    from app.training.listing import group_link

    index = RolloutIndex(runs)
    index.refresh()
    found = [Shot("start", "")]
    for page in PAGES:
        found.append(Shot(page.path, f"{page.path}/"))
        if page.path == "training":
            newest, _ = index.groups(GroupFilter(), "newest", limit=1)
            for one in newest:
                found += _of_training(group_link(one.run, one.step, one.group_id))
        elif page.path == "review":
            found.append(_REVIEW)
    return found


def shots_of_records() -> list[Shot]:
    """The first row of the first records file, and the answer of a model to its question."""
    row = "?file=0&row=0"
    return [
        Shot("data-row", f"data/{row}", ready="#record figure img", top="#record"),
        Shot("ask-answer", f"ask/{row}", press="#ask", ready="#answer article", top="#answer"),
    ]


def _of_training(group: str) -> list[Shot]:
    """The other tabs, and a group by the query that opens it."""
    return [
        Shot("training-answers", "training/?tab=answers", ready="#groups table"),
        Shot(
            "training-compare",
            "training/?tab=compare",
            press="#compare",
            ready="#compared table",
            top="#compare",
        ),
        Shot("training-group", f"training/{group}", ready=".player[data-ready]", top="#group"),
    ]


def take(address: str, wanted: Sequence[Shot], out: Path) -> list[Path]:
    """Take pictures with the distribution's Chromium.

    Args:
        address: Of a running dashboard.
        wanted: What of.
        out: Folder for ``<name>-<look>.webp``.

    Returns:
        The pictures.

    Raises:
        MissingExtraError: If Playwright is not installed.
        UserError: If there is no Chromium, or a picture cannot be written.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtraError("playwright", "test") from error
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise UserError("no Chromium was found: install it, for example with apt-get install chromium")
    written = []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for look in LOOKS:
            size: Any = {"width": look.width, "height": look.height}
            scheme: Any = look.scheme
            page = opened.new_page(viewport=size, color_scheme=scheme)
            for shot in wanted:
                page.goto(address + shot.path)
                _wait(page, shot)
                written.append(_write(page.screenshot(), out / f"{shot.name}-{look.name}.webp"))
            page.close()
        opened.close()
    return written


def _wait(page: Any, shot: Shot) -> None:
    from playwright.sync_api import Error

    page.evaluate(_QUIET, [_QUIET_MS, _PATIENCE_MS])
    if shot.fill and page.locator(shot.fill[0]).is_visible():
        page.locator(shot.fill[0]).fill(shot.fill[1])
    if shot.press and page.locator(shot.press).is_visible():
        page.locator(shot.press).click()
    if shot.ready:
        try:
            page.wait_for_selector(shot.ready, timeout=_PATIENCE_MS, state="attached")
        except Error:  # such as a clip of which no film can be made: the picture shows what the page says
            print(f"{shot.path}: {shot.ready} did not appear", file=sys.stderr)
    page.evaluate(_QUIET, [_QUIET_MS, _PATIENCE_MS])
    if shot.top and page.locator(shot.top).count():
        page.locator(shot.top).first.evaluate("(element) => element.scrollIntoView({ block: 'start' })")
        page.evaluate(_QUIET, [_QUIET_MS, _PATIENCE_MS])


def _write(png: bytes, path: Path) -> Path:
    """As WebP, as good as fits into the limit."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            image.save(buffer, format="WEBP", quality=quality, method=6)
            if buffer.tell() <= _LARGEST:
                break
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise UserError(f"--out {path.parent}: cannot be written ({error.strerror})") from error
    return path


@contextmanager
def _dashboard(runs: Path, further: Sequence[str]) -> Iterator[str]:
    """The address of a dashboard with a workspace of its own for the log and made-up marks."""
    with tempfile.TemporaryDirectory(prefix="medgrpo-screenshots-") as workspace:
        add_example_review(runs, Path(workspace))
        command = [sys.executable, "-m", "app", "--runs", str(runs), "--workspace", workspace, *further]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            address = next((word for word in said.split() if word.startswith("http")), None)
            if address is None:
                raise UserError("the dashboard did not start; see the lines above")
            yield address
        finally:
            server.terminate()
            server.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m app.screenshots",
        description=__doc__,
        epilog="Further options, such as --records and --model, are those of python -m app.",
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="what to show (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="names of pictures to take, without the look"
    )
    options, further = parser.parse_known_args(arguments)
    try:
        wanted = shots(options.runs) + (shots_of_records() if "--records" in further else [])
        if options.only:
            unknown = sorted(set(options.only) - {shot.name for shot in wanted})
            if unknown:
                known = ", ".join(shot.name for shot in wanted)
                raise UserError(f"--only {' '.join(unknown)}: there is no such picture; there are {known}")
            wanted = [shot for shot in wanted if shot.name in options.only]
        with _dashboard(options.runs, further) as address:
            for path in take(address, wanted, options.out):
                print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
