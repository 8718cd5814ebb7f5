"""Build the site: the guide by Zensical, and the reference of all modules by pdoc, without a network.

python scripts/build_site.py [--out site] [--guide-only]

Pages link to benchmarks/results, outside docs/: both are copied to a folder of their own first, where
the results are results/. A page of the menu that does not exist is left out of it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def stage(folder: Path) -> None:
    """Put everything that Zensical reads into a folder."""
    docs = folder / "docs"
    shutil.copytree(ROOT / "docs", docs)
    shutil.copytree(ROOT / "benchmarks" / "results", docs / "results")
    for page in docs.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        if page.parent == docs:
            text = text.replace("](../benchmarks/results/README.md", "](results/README.md")
            text = text.replace("](../benchmarks/results/", "](results/")
        else:
            text = text.replace("](../../docs/", "](../")
        page.write_text(text, encoding="utf-8")
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    lines = [line for line in settings.splitlines() if _page_exists(line, docs)]
    (folder / "zensical.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tomllib.loads("\n".join(lines))


def _page_exists(line: str, docs: Path) -> bool:
    page = re.search(r'= "([^"]+\.md)" }', line)
    return page is None or (docs / page[1]).is_file()


def build_guide(out: Path) -> None:
    """The guide, into a folder that is made anew."""
    with tempfile.TemporaryDirectory() as made:
        stage(Path(made))
        subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=made, check=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(Path(made) / "site", out)


def build_reference(out: Path) -> None:
    """A page for each module, from the docstrings."""
    modules = []
    for path in sorted([*ROOT.glob("medgrpo/**/*.py"), *ROOT.glob("app/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    # Packages bring some of their modules along, and name classes that they import when first used:
    # both are on the pages of their own modules. Annotations that only type checkers read stay text.
    told = ("The module specification", "Found '", "Error parsing type annotation")
    quiet = [word for beginning in told for word in ("-W", f"ignore:{beginning}")]
    command = [*quiet, "-m", "pdoc", "--docformat", "google", "--output-directory", str(out)]
    subprocess.run([sys.executable, *command, *modules], cwd=ROOT, check=True)


def main() -> int:
    """Build what was asked for."""
    parser = argparse.ArgumentParser(description="Build the site: guide and reference.")
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder to make (default: site)")
    parser.add_argument("--guide-only", action="store_true", help="without the reference")
    options = parser.parse_args()
    build_guide(options.out)
    if not options.guide_only:
        build_reference(options.out / "reference")
    print(f"open {options.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
