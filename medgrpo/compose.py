"""Compose one configuration from several YAML files and command-line overrides, with interpolation.

OmegaConf reads the files; a class-aware merge folds them, later over earlier, ``configs/base.yaml`` always
first; interpolation is resolved once at the end, so that a later file or an override of a variable reaches
every place that uses it; then the variables themselves (``vars:`` and ``paths:``) are dropped. What remains
is plain YAML for the typed parser, which validates it.

The merge is class-aware: where an overlay names another ``class_path``, its node replaces the old one, and
the arguments of the old class do not linger; otherwise mappings merge key by key. Lists are replaced as a
whole, which is why ``trainer.callbacks`` and ``trainer.logger`` may be written as mappings from a name to a
class: overlays then add, change or null one by name. They become lists at the end.
"""

from __future__ import annotations

import copy
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import (
    GrammarParseError,
    InterpolationKeyError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from medgrpo.errors import UserError

__all__ = [
    "Arguments",
    "compose",
    "config_folder",
    "environment_overrides",
    "merge",
    "split_arguments",
    "variables",
]

RESERVED = ("vars", "paths")
"""Top-level keys that exist for interpolation only."""

NAMED_LISTS = (("trainer", "callbacks"), ("trainer", "logger"))
_CLASS_KEYS = {"class_path", "init_args", "dict_kwargs"}


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line taken apart.

    Attributes:
        files: ``--config`` files in order.
        overrides: ``(dotted key, text)`` pairs in order; the text is read as YAML.
        rest: Everything that belongs to the parser itself: help, ``--print_config``, ``--list+=item``.
    """

    files: tuple[str, ...]
    overrides: tuple[tuple[str, str], ...]
    rest: tuple[str, ...]


def split_arguments(argv: Sequence[str]) -> Arguments:
    """Sort command-line tokens into config files, overrides and what the parser itself must see.

    Args:
        argv: Tokens after the subcommand. ``--a.b=c`` and ``--a.b c`` are the same.

    Raises:
        UserError: A token is not an option, or an option has no value.
    """
    files: list[str] = []
    overrides: list[tuple[str, str]] = []
    rest: list[str] = []
    tokens = list(argv)
    while tokens:
        token = tokens.pop(0)
        name, equals, value = token.partition("=")
        if token in ("-h", "--help") or name == "--print_config":
            rest.append(token)
            continue
        if name.endswith(".help"):
            rest.append(token)
            if not equals and tokens and not tokens[0].startswith("-"):
                rest.append(tokens.pop(0))
            continue
        if not name.startswith("--") and name != "-c":
            raise UserError(
                f"unexpected argument {token!r}; options are written --key=value or --config FILE"
            )
        if not equals:
            if not tokens or tokens[0].startswith("--"):
                raise UserError(f"{token} needs a value: {token}=VALUE")
            value = tokens.pop(0)
        if name in ("-c", "--config"):
            files.append(value)
        elif name.endswith("+"):
            rest.append(f"{name}={value}")
        else:
            overrides.append((name[2:], value))
    return Arguments(tuple(files), tuple(overrides), tuple(rest))


def environment_overrides(prefix: str, environ: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Overrides from variables such as ``MEDGRPO_FIT__TRAINER__MAX_EPOCHS``.

    Args:
        prefix: E.g. ``MEDGRPO_FIT``.
        environ: Where to look, by default the process environment.
    """
    found = os.environ if environ is None else environ
    start = f"{prefix}__"
    names = sorted(name for name in found if name.startswith(start))
    return [(name[len(start) :].lower().replace("__", "."), found[name]) for name in names]


def config_folder() -> Path:
    """The folder of shipped configs: inside an installed wheel, or at the root of a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def compose(
    files: Iterable[str | Path],
    overrides: Iterable[tuple[str, str]] = (),
    *,
    base: str | Path | None = "configs/base.yaml",
    defaults: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Fold files and overrides into one resolved, plain configuration.

    Args:
        files: YAML files, later over earlier. ``configs/...`` falls back to the shipped files.
        overrides: ``(dotted key, YAML text)`` pairs, over all files.
        base: The file that comes before all others; None for none.
        defaults: Overrides that apply over ``base`` but under the files (the environment).

    Returns:
        Nested dicts and lists without interpolation and without the reserved keys.

    Raises:
        UserError: A file is missing or malformed, a variable is unknown or unset; the message names it.
    """
    resolved = _folded(files, overrides, base, defaults)
    for key in RESERVED:
        resolved.pop(key, None)
    _fail_on_missing(resolved, "")
    for parent, key in NAMED_LISTS:
        _name_to_list(resolved.get(parent), key)
    return resolved


def variables(files: Iterable[str | Path], overrides: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """The ``vars`` that :func:`compose` drops, resolved.

    Args:
        files: As for :func:`compose`.
        overrides: As for :func:`compose`.

    Raises:
        UserError: As :func:`compose` does.
    """
    found = _folded(files, overrides, "configs/base.yaml", ()).get("vars")
    return found if isinstance(found, dict) else {}


def _folded(
    files: Iterable[str | Path],
    overrides: Iterable[tuple[str, str]],
    base: str | Path | None,
    defaults: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """Files and overrides as one resolved mapping, the reserved keys included."""
    config: dict[str, Any] = {}
    if base is not None:
        config = merge(config, _load(base))
    for key, text in defaults:
        _override(config, key, text)
    for file in files:
        config = merge(config, _load(file))
    for key, text in overrides:
        _override(config, key, text)
    return _resolve(config)


def merge(base: Any, over: Any) -> Any:
    """Fold ``over`` onto ``base``: class-aware for mappings, replacement for everything else.

    Args:
        base: Plain containers, left as they are.
        over: Plain containers that win.
    """
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if "class_path" in over and not _same_class(base.get("class_path"), over["class_path"]):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _same_class(old: Any, new: Any) -> bool:
    """Whether two class paths name the same class; a short name matches the full path that ends in it."""
    if old == new:
        return True
    if not (isinstance(old, str) and isinstance(new, str)) or ("." in old and "." in new):
        return False
    return old.rpartition(".")[2] == new.rpartition(".")[2]


def _load(file: str | Path) -> dict[str, Any]:
    path = _locate(Path(file))
    try:
        text = path.read_text(encoding="utf-8")
        loaded = (
            OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False) if text.strip() else {}
        )
    except OSError as error:
        raise UserError(f"cannot read config file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"config file {file} is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"malformed YAML in {file}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"malformed YAML in {file}: {_first_line(error)}") from error
    if loaded is None:
        return {}
    # OmegaConf reads a file that is one bare word as a key without a value.
    is_word = loaded == {text.strip(): None}
    if is_word or not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise UserError(f"config file {file} must hold a mapping of keys at its top level")
    return {str(key): value for key, value in loaded.items()}


def _locate(path: Path) -> Path:
    if not path.exists() and path.parts[:1] == ("configs",):
        shipped = config_folder().joinpath(*path.parts[1:])
        if shipped.is_file():
            return shipped
    if not path.exists():
        raise UserError(f"config file {path} does not exist")
    if not path.is_file():
        raise UserError(f"config file {path} is not a file")
    return path


def _override(config: dict[str, Any], key: str, text: str) -> None:
    """Set one dotted key in place, through class nodes (``init_args`` may be left out) and list indices."""
    try:
        # Through OmegaConf, so that numbers such as 1e-5 read as they do in files.
        value = OmegaConf.to_container(
            OmegaConf.create(f"value: {text}" if text else "value: ''"), resolve=False
        )
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"--{key}={text} is not readable as YAML; quote it") from error
    assert isinstance(value, dict)
    parts = key.split(".")
    if not all(parts):
        raise UserError(f"--{key} is not a dotted key")
    node: Any = config
    for depth, part in enumerate(parts):
        if isinstance(node, list):
            node = _item(node, parts, depth, value["value"])
            continue
        if not isinstance(node, dict):
            raise UserError(f"--{key}: {'.'.join(parts[:depth])} is {node!r} and has no {part}")
        if "class_path" in node and part not in _CLASS_KEYS:
            node = node.setdefault("init_args", {})
        if depth == len(parts) - 1:
            node[part] = _overridden(node.get(part), value["value"])
        else:
            node[part] = {} if node.get(part) is None else _pointed_at(config, node[part])
            node = node[part]


def _pointed_at(config: dict[str, Any], node: Any) -> Any:
    """A copy of the node that ``${a.b}`` stands for, so that an override can go below it; else the node."""
    reference = re.fullmatch(r"\$\{([\w.]+)\}", node) if isinstance(node, str) else None
    if reference is None:
        return node
    target: Any = config
    for part in reference[1].split("."):
        target = target.get(part) if isinstance(target, dict) else None
    return copy.deepcopy(target) if isinstance(target, dict) else node


def _item(node: list[Any], parts: list[str], depth: int, value: Any) -> Any:
    part, where = parts[depth], ".".join(parts[:depth])
    if not part.isdigit() or int(part) >= len(node):
        raise UserError(f"--{'.'.join(parts)}: {where} is a list of {len(node)}; name an item as {where}.0")
    if depth == len(parts) - 1:
        node[int(part)] = _overridden(node[int(part)], value)
    return node[int(part)]


def _overridden(old: Any, new: Any) -> Any:
    is_class_name = isinstance(new, str) and isinstance(old, dict) and "class_path" in old
    return merge(old, {"class_path": new} if is_class_name and "${" not in new else new)


def _resolve(config: dict[str, Any]) -> dict[str, Any]:
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except InterpolationToMissingValueError as error:
        name = _first_line(error).rpartition(" ")[2]
        raise UserError(f"{name} has no value, and {_key(error)} needs it; set --{name}=VALUE") from error
    except InterpolationKeyError as error:
        raise UserError(
            f"{_key(error)} refers to ${{{_between_quotes(error)}}}, which is not defined"
        ) from error
    except GrammarParseError as error:
        raise UserError(f"malformed interpolation in {_key(error)}: {_first_line(error)}") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{_key(error)}: {_first_line(error)}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _key(error: OmegaConfBaseException) -> str:
    return str(error.full_key or "the configuration")


def _between_quotes(error: Exception) -> str:
    found = re.search(r"'([^']*)'", _first_line(error))
    name = found[1] if found else _first_line(error)
    return name.removeprefix("${").removesuffix("}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _fail_on_missing(node: Any, where: str) -> None:
    if node == "???":
        raise UserError(f"{where} has no value; set --{where}=VALUE")
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        _fail_on_missing(value, f"{where}.{key}" if where else str(key))


def _name_to_list(parent: Any, key: str) -> None:
    node = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(node, dict) and "class_path" not in node:
        parent[key] = [value for value in node.values() if value is not None]
