"""``python -m app.users FILE NAME``: let somebody log in to the dashboard."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from app.site.users import LEAST_PASSWORD, ROLES, add_user
from medgrpo.errors import UserError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Add a user, or change their role and password; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m app.users",
        description="Add somebody who may log in to the dashboard, or change their role and password. The "
        "password is asked for, or read from the first line of the input.",
    )
    parser.add_argument("file", type=Path, help="file of users, made if there is none")
    parser.add_argument("name", help="under which the person logs in and verdicts are kept")
    parser.add_argument(
        "--role",
        choices=ROLES,
        default="reviewer",
        help="a researcher sees every page; a reviewer sees those for reviewers alone, so that rewards and "
        "the judge cannot sway them (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        add_user(options.file, options.name, options.role, _password())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.name} ({options.role}) can log in with {options.file}")
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password, at least {LEAST_PASSWORD} characters: ")
    if getpass.getpass("Once more: ") != password:
        raise UserError("the two passwords differ")
    return password


if __name__ == "__main__":
    sys.exit(main())
