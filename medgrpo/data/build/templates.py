"""How a source is introduced and how writers are asked about it: versioned data, a file a (source, task).

``prompts/<Source>/source.yaml`` holds persona, domain, tasks and notes;
``prompts/<Source>/<task>@<version>.yaml`` the prompt of a task. A folder of the user's own replaces single
files. A source without a folder takes ``generic``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from medgrpo.data.build.results import content_hash
from medgrpo.errors import UserError
from medgrpo.services.files import read_text
from medgrpo.tasks import TASKS

__all__ = ["FIELDS", "WRITTEN_TASKS", "SourceTexts", "Template", "source_texts"]

WRITTEN_TASKS = ("dense_captioning", "video_summary", "region_caption")
"""Tasks whose answers are written."""

FIELDS: Mapping[str, frozenset[str]] = {
    "dense_captioning": frozenset(
        {"duration", "domain", "notes", "annotations", "speech", "events", "count"}
    ),
    "video_summary": frozenset({"duration", "domain", "notes", "annotations", "speech"}),
    "region_caption": frozenset(
        {"duration", "domain", "notes", "annotations", "speech", "object", "start", "end"}
    ),
}
"""What a prompt may name in braces."""

NEEDED: Mapping[str, frozenset[str]] = {
    "dense_captioning": frozenset({"events", "count"}),
    "video_summary": frozenset({"duration"}),
    "region_caption": frozenset({"object", "start", "end"}),
}

GENERIC = "generic"
_FILE = re.compile(r"(?P<task>[a-z_]+)@(?P<version>[1-9][0-9]*)\.yaml")


@dataclass(frozen=True, slots=True)
class Template:
    """The prompt of one (source, task).

    Attributes:
        id: For example ``CholecT50/video_summary@1``.
        text: With fields in braces.
        digest: sha256 of the text.
    """

    id: str
    text: str
    digest: str

    def filled(self, **fields: str) -> str:
        """The prompt. Braces in what is filled in stay what they are."""
        return self.text.format_map(fields)


@dataclass(frozen=True, slots=True)
class SourceTexts:
    """What is said about a source.

    Attributes:
        source: Its name.
        persona: First sentence of every question.
        domain: Second sentence of every question.
        notes: What writers are told about the footage.
        tasks: Those that the source has annotations for.
        templates: Task to prompt.
    """

    source: str
    persona: str
    domain: str
    notes: str
    tasks: tuple[str, ...]
    templates: Mapping[str, Template]

    def template_id(self, task: str) -> str:
        """Id of a task's prompt."""
        return self.templates[task].id


def source_texts(source: str, folder: str | Path | None = None) -> SourceTexts:
    """The texts of a source.

    Args:
        source: Name as in records.
        folder: The user's own ``<Source>/...``, whose files replace shipped ones.

    Raises:
        UserError: If a file is malformed, names an unknown field, or a written task has no prompt.
    """
    places = _places(source, folder)
    if not places:
        places = {**_places(GENERIC, None), **_places(GENERIC, folder)}
    if "source.yaml" not in places:
        raise UserError(f"{Path(folder or '') / source}: source.yaml is missing beside the prompts")
    about = _mapping(places["source.yaml"], {"persona": str, "domain": str, "tasks": list, "notes": str})
    tasks = about["tasks"]
    where = places["source.yaml"]
    if any(task not in tuple(TASKS) for task in tasks):
        raise UserError(f"{where}: tasks: expected a list of {', '.join(TASKS)}, found {tasks!r}")
    templates = {}
    for task in (task for task in WRITTEN_TASKS if task in tasks):
        names = {
            int(m["version"]): m[0] for name in places if (m := _FILE.fullmatch(name)) and m["task"] == task
        }
        if not names:
            raise UserError(f"{where}: {task} is a task, but there is no {task}@1.yaml beside it")
        templates[task] = _template(places[names[max(names)]], task)
    return SourceTexts(
        source,
        about["persona"],
        about["domain"],
        about.get("notes") or "",
        tuple(tasks),
        templates,
    )


def _places(source: str, folder: str | Path | None) -> dict[str, Path]:
    """File name to its path: the user's over the shipped."""
    shipped = Path(str(files("medgrpo.data.build") / "prompts" / source))
    found = {path.name: path for path in sorted(shipped.glob("*.yaml"))}
    if folder is not None:
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: there is no such folder of prompts")
        own = sorted((Path(folder) / source).glob("*.yaml"))
        for path in own:
            match = _FILE.fullmatch(path.name)
            if path.name != "source.yaml" and (match is None or match["task"] not in WRITTEN_TASKS):
                raise UserError(
                    f"{path}: expected source.yaml or <task>@<version>.yaml of {', '.join(WRITTEN_TASKS)}"
                )
        found |= {path.name: path for path in own}
    return found


def _mapping(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The content of a file whose keys, but for ``notes``, are all needed."""
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: malformed YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping with {', '.join(kinds)}")
    if unknown := [key for key in content if key not in kinds]:
        raise UserError(f"{path}: {unknown[0]} is unknown; there are {', '.join(kinds)}")
    for key, kind in kinds.items():
        if not content.get(key):
            if key == "notes":
                continue
            raise UserError(f"{path}: {key} is missing or empty")
        if not isinstance(content[key], kind):
            expected = "a list" if kind is list else "text"
            raise UserError(f"{path}: {key}: expected {expected}, found {content[key]!r}")
    return content


def _template(path: Path, task: str) -> Template:
    text: str = _mapping(path, {"text": str})["text"]
    try:
        fields = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"{path}: text: {error}; write {{{{ and }}}} for braces") from None
    named = {str(name) for name, _, _ in fields}
    if unknown := sorted(named - FIELDS[task]):
        raise UserError(f"{path}: text names {{{unknown[0]}}}; there are {', '.join(sorted(FIELDS[task]))}")
    if formatted := [name for name, form, conversion in fields if form or conversion]:
        raise UserError(f"{path}: text: {{{formatted[0]}}} is filled in as it is; leave its format out")
    if missing := sorted(NEEDED[task] - named):
        raise UserError(f"{path}: text must name {{{missing[0]}}}")
    return Template(f"{path.parent.name}/{path.stem}", text, content_hash(text))
