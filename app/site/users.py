"""Who may log in: a file of names, roles and salted hashes of passwords."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.services.files import read_json, write_whole

__all__ = ["LEAST_PASSWORD", "ROLES", "User", "add_user", "read_users", "verified"]

ROLES = ("researcher", "reviewer")
"""A researcher sees every page; a reviewer those for reviewers alone, and so stays blind."""

LEAST_PASSWORD = 10
"""Characters."""

_NAME = re.compile(r"[\w.@ -]{1,64}")
_COST = {"n": 2**14, "r": 8, "p": 1}  # scrypt: 16 MB and some 50 ms a try


@dataclass(frozen=True, slots=True)
class User:
    """One person.

    Attributes:
        role: One of :data:`ROLES`.
        salt: Hexadecimal.
        digest: Scrypt of the password, hexadecimal.
    """

    role: str
    salt: str
    digest: str


def read_users(path: Path) -> dict[str, User]:
    """By name.

    Raises:
        UserError: If the file is missing, empty or no such file; it never shows what is in it.
    """
    content = read_json(path, "a file of users that `python -m app.users` made")
    try:
        users = {str(name): User(**fields) for name, fields in content.items()}
        for user in users.values():
            bytes.fromhex(user.salt + user.digest)
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{path}: not a file of users; make one with python -m app.users") from None
    if not users:
        raise UserError(f"{path}: holds no user; add one with python -m app.users {path} NAME")
    for name, user in users.items():
        if user.role not in ROLES:
            raise UserError(f"{path}: {name}: role must be one of {', '.join(ROLES)}")
    return users


def add_user(path: Path, name: str, role: str, password: str) -> None:
    """Add somebody, or change their role and password; the file can be read by its owner alone.

    Raises:
        UserError: If the name or the password will not do.
    """
    if not _NAME.fullmatch(name) or name != name.strip():
        raise UserError(f"{name!r} is no name: 1 to 64 letters, digits, spaces and . _ @ -")
    if len(password) < LEAST_PASSWORD:
        raise UserError(f"the password needs at least {LEAST_PASSWORD} characters")
    users = read_users(path) if path.exists() else {}
    salt = secrets.token_hex(16)
    users[name] = User(role, salt, _digest(password, salt))
    content = json.dumps({name: asdict(user) for name, user in sorted(users.items())}, indent=1)
    before = os.umask(0o077)
    try:
        write_whole(path, content + "\n")
    finally:
        os.umask(before)


def verified(users: Mapping[str, User], name: str, password: str) -> bool:
    """Whether the password is that of the user; takes as long for a name that is not known."""
    user = users.get(name)
    salt = user.salt if user else "00" * 16
    same = hmac.compare_digest(_digest(password, salt), user.digest if user else "")
    return same and user is not None


def _digest(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_COST).hex()
