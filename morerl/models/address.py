"""The address of an endpoint and the key for it: what cannot be used is refused before anything is sent."""

from __future__ import annotations

import os
import re

from morerl.errors import ConfigError

NO_KEY = "none"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
_URL = re.compile(
    r"https?://(?P<host>\[::1\]|[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*)(:(?P<port>[0-9]{1,5}))?(/[!-~]*)?"
)


def is_local(base_url: str) -> bool:
    """Whether the address is one of this machine."""
    address = _URL.fullmatch(base_url)
    return address is not None and address["host"].lower() in LOCAL


def key_for(base_url: str) -> str:
    """The environment's OPENAI_API_KEY; NO_KEY where a server of this machine is asked without one.

    Raises ConfigError for an address that is not like http://host:port/v1, or for no key, or one that cannot be sent.
    """
    # the address is not repeated, for it may hold a password
    address = None if set("@?#") & set(base_url) else _URL.fullmatch(base_url)
    if address is None or int(address["port"] or 0) > 65_535:
        raise ConfigError("the endpoint must be like http://127.0.0.1:8000/v1, without user, password, ? or #")
    host = address["host"]
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and host.lower() not in LOCAL:
        raise ConfigError(f"OPENAI_API_KEY is not set; {host} needs a key (any word where the server asks for none)")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("OPENAI_API_KEY holds characters that no key has; copy it again")
    return key or NO_KEY
