"""Shorten the typed parser's report of a wrong configuration to one line with key, reason and value.

jsonargparse reports every branch of every union on the way to the mistake, with the whole configuration
after each; for a nested component that is a page. The walk below follows the first branch that failed
inside a class.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["useful_line"]

_KEY = re.compile(r'Parser key "([^"]+)": ')
_CLASS = re.compile(r"Problem with given class_path '([^']+)': ")
_CALLABLE = re.compile(r"Type typing\.Callable\[.*?\] expects a function or a callable class: ")
_UNION = re.compile(
    r"(?:- )?Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: - "
)
_PATH_TRIED = re.compile(r"- Expected a path but .*? either not accessible or invalid (?=- )")
_DEEPER = re.compile(rf"{_CLASS.pattern}|{_KEY.pattern}")
_END = re.compile(
    r" - (?:Expected|Not a valid)| Given value type:| Subclass types expect|\. Got value: (?:Namespace|\{)"
)
_VALUE = re.compile(r"(?:Given|Got) value: (.*?)(?= - |\. Got value| Subclass types|$)")


def useful_line(message: str, known: Iterable[str] = ()) -> str:
    """The one line a user can act on.

    Args:
        message: The parser's message, of any length.
        known: Dotted keys that exist, to suggest the nearest for an unknown one.
    """
    text = " ".join(message.split())
    unknown = re.match(r"(?:Subcommand '\w+'|Parser|Group \S+) does not accept option '([^']+)'", text)
    if unknown:
        return _unknown_key(unknown[1], known)
    required = re.match(r"the following arguments are required: (?:fit|validate|test|predict)\.(\S+)", text)
    if required:
        return f"{required[1]} is missing; name its class_path in a config file or with --{required[1]}=CLASS"
    keys: list[str] = []
    expected = owner = inside = ""
    while True:
        text = _PATH_TRIED.sub("", text, count=1) if _PATH_TRIED.match(text) else text
        if found := _KEY.match(text):
            keys.append(found[1])
            # Which class the key belongs to: a mapping's keys are not in the parser's report.
            inside = owner.rpartition(".")[2]
            expected = owner = ""
        elif found := _CLASS.match(text):
            owner = found[1]
            keys.append("init_args")
        elif found := _UNION.match(text):
            expected = _type_names(found[1])
            deeper = _DEEPER.search(text, found.end())
            if deeper:
                text = text[deeper.start() :]
                continue
        elif not (found := _CALLABLE.match(text)):
            break
        text = text[found.end() :]
    return _sentence(keys, text, expected, owner, inside)


def _unknown_key(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else "")


def _sentence(keys: list[str], text: str, expected: str, owner: str, inside: str) -> str:
    option = re.match(r"(?:Option|.*?does not accept option) '([^']+)'", text)
    if option:
        where = ".".join([*keys, option[1]])
        return f"unknown key {where}" + (f": {owner} has no argument {option[1]}" if owner else "")
    if owner and keys[-1:] == ["init_args"]:
        keys = keys[:-1]
    where = ".".join(keys)
    value = _VALUE.search(text)
    got = f", got {value[1]}" if value else ""
    reason = _END.split(text, maxsplit=1)[0]
    if missing := re.match(r"the following arguments are required: (.*)", reason):
        reason = f"{owner} needs {missing[1]} in init_args"
    elif bare := re.match(r"Expected a dot import path string: (\S+)", reason):
        reason = f"unknown class {bare[1]}"
    elif owner and not reason.startswith("Expected"):
        reason = f"cannot use class {owner}: {reason}"
    elif expected and reason.startswith("Expected"):
        reason = f"expected {expected}{got}"
    elif single := re.match(r"Expected an? (.*?)\. Got value: (.*)", reason):
        reason = f"expected {_type_names(single[1])}, got {single[2]}"
    where = f"{where} (of {inside})" if inside else where
    return f"{where}: {reason}" if where else reason


def _type_names(types: str) -> str:
    names = (
        re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", types)
        .replace("typing.", "")
        .replace("NoneType", "null")
    )
    return " or ".join(re.split(r", (?![^\[]*\])", names))
