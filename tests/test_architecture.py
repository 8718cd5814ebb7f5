"""What the layout promises: imports point one way, heavy packages load late, files stay small."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("medgrpo/**/*.py"), *ROOT.glob("app/**/*.py")])

# A part imports itself and parts of lower layers. Parts of one layer are separate, but for the program's own.
LAYERS = (
    ("types", "errors", "assets"),
    ("tasks", "services"),
    ("data", "rewards", "rollout"),
    ("modules", "planning"),
    ("evaluation",),
    (
        "ablation",
        "compose",
        "parse_errors",
        "demo",
        "commands",
        "trainer_cli",
        "cli",
        "lightning_run",
        "__main__",
        "",
    ),
    ("app",),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
TOP = LEVEL["cli"]

LATE = {
    "av",
    "bitsandbytes",
    "cv2",
    "datasets",
    "decord",
    "deepspeed",
    "faster_whisper",
    "gradio",
    "openai",
    "openpyxl",
    "ray",
    "sentence_transformers",
    "supervision",
    "torchcodec",
    "vllm",
}
PURE_FORBIDDEN = {"lightning", "transformers", "openai", "httpx", "requests", "urllib3", "aiohttp"}
PURE = (
    "medgrpo/tasks/",
    "medgrpo/rewards/",
    "medgrpo/data/sampling.py",
    "medgrpo/modules/objectives/",
    "medgrpo/modules/advantages/",
)
TEXT_SUFFIXES = {".py", ".yaml", ".yml", ".toml", ".md", ".sh", ".txt", ".css", ".js", ".json", ""}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "app" if parts[0] == "app" else parts[1] if parts[1] != "__init__" else ""


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Absolute module names, and when each is imported: at "load", in a "call", or for "types" only."""
    when: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            when.update((id(child), "types") for child in ast.walk(node))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            when.update((id(child), "call") for child in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, when.get(id(node), "load")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", when.get(id(node), "load")
            if node.module == "medgrpo":
                yield from ((f"medgrpo.{alias.name}", when.get(id(node), "load")) for alias in node.names)


@pytest.fixture(params=SOURCES, ids=name_of)
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_imports_point_one_way(source: Path) -> None:
    part = part_of(source)
    assert part in LEVEL, f"say in which layer {part} is"
    for module, when in imports(ast.parse(source.read_text())):
        package, _, rest = module.partition(".")
        if package not in ("medgrpo", "app"):
            continue
        target = "app" if package == "app" else rest.partition(".")[0]
        if target in ("__version__", "") or target == part:
            continue
        assert target in LEVEL, f"{module}: say in which layer {target} is"
        # A protocol may name a type of a part beside it.
        beside = LEVEL[target] == LEVEL[part] and (LEVEL[part] == TOP or when == "types")
        assert LEVEL[target] < LEVEL[part] or beside, f"{part} must not import {module}"


def test_heavy_packages_load_late(source: Path) -> None:
    at_import = {
        module.partition(".")[0] for module, when in imports(ast.parse(source.read_text())) if when == "load"
    }
    assert not at_import & LATE


def test_pure_parts_stay_pure(source: Path) -> None:
    if not name_of(source).startswith(PURE):
        return
    everywhere = {module.partition(".")[0] for module, _ in imports(ast.parse(source.read_text()))}
    if name_of(source).startswith("medgrpo/rewards/judges/"):
        everywhere -= {"openai", "httpx"}
    assert not everywhere & PURE_FORBIDDEN


def test_files_are_short_and_say_what_they_export(source: Path) -> None:
    text = source.read_text()
    assert len(text.splitlines()) <= 400
    if text.strip():
        tree = ast.parse(text)
        assert ast.get_docstring(tree), "a module says what it is"
        assigned = {ast.unparse(node).partition("=")[0].partition(":")[0].strip() for node in tree.body}
        defines = any(not isinstance(node, ast.Expr) for node in tree.body)
        assert "__all__" in assigned or not defines


def test_no_machine_paths_or_index_addresses_in_tracked_files() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    # Without git, as in an unpacked source archive, what it ships is looked at.
    folders = ("app", "benchmarks", "configs", "docs", "medgrpo", "scripts", "tests")
    shipped = [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    names = listed.stdout.splitlines() if listed.returncode == 0 else [name_of(path) for path in shipped]
    assert len(names) > 100
    personal = re.compile(r"(?<![\w.~$}])/(?:home|Users|root|work|mnt)/\w|index-url|pypi\.org/simple")
    wrong = []
    for name in names:
        path = ROOT / name
        if path == Path(__file__).resolve() or path.suffix not in TEXT_SUFFIXES or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if personal.search(line):
                wrong.append(f"{name}:{number}: {line.strip()[:80]}")
    assert wrong == []
