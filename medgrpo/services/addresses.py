"""Which servers data may be sent to: this machine, and others only where that is allowed by name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from medgrpo.errors import UserError

__all__ = ["is_local"]


def is_local(base_url: str, allow_remote: bool, allow_hosts: Sequence[str] = ()) -> bool:
    """Whether the server is this machine or one that is named as the user's own.

    Args:
        base_url: Of an API.
        allow_remote: Whether it may be any other machine.
        allow_hosts: Names or addresses of the user's own servers, without a port; no part of one matches.

    Raises:
        UserError: If the address is malformed, holds a secret, or is elsewhere and may not be, or a host is
            not a plain name.
    """
    for name in allow_hosts:
        if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:]+", name):
            raise UserError(f"allow_hosts: {name!r} must be the name or address of a host and nothing else")
    try:
        parts = urlsplit(base_url)
        host, well_formed = parts.hostname or "", parts.port != 0  # reading the port checks it
    except ValueError:
        host, well_formed = "", False
    if not well_formed or not host or parts.scheme not in ("http", "https"):
        raise UserError("base_url must look like http://localhost:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UserError("base_url must not hold a user, a password or a query; keys go into api_key_env")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    own = local or host in {name.lower() for name in allow_hosts}
    if not own and not allow_remote:
        raise UserError(
            f"{host} is another machine, and what is sent would leave this one; if it may, say so with "
            "allow_remote: true, or name your own server in allow_hosts"
        )
    return own
