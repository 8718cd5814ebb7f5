"""Which servers data may be sent to: this machine, and others only where that is allowed by name."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from medgrpo.errors import UserError

__all__ = ["is_local"]


def is_local(base_url: str, allow_remote: bool) -> bool:
    """Whether the server is this machine.

    Args:
        base_url: Of an API.
        allow_remote: Whether it may be another machine.

    Raises:
        UserError: If the address is malformed, holds a secret, or is elsewhere and may not be.
    """
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
    if not local and not allow_remote:
        raise UserError(
            f"{host} is another machine, and what is sent would leave this one; "
            "if it may, say so with allow_remote: true"
        )
    return local
