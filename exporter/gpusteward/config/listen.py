"""Listen addresses: `host:port`, with IPv6 in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - what `:9455` means to everyone who writes it
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens.

    Attributes:
        host: a name or address; IPv6 without brackets.
        port: 0 to 65535; 0 lets the system choose one.
    """

    host: str
    port: int


def parse_listen(text: str) -> ListenAddress:
    """`127.0.0.1:9455`, `[::1]:9455`, `localhost:9455`, or `:9455` for every IPv4 address.

    Raises:
        ValueError: what is wrong, as the end of a sentence that begins with the text.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("has no port")
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= _MAX_PORT):
        raise ValueError(f"has no port from 0 to {_MAX_PORT} after its last colon")
    return ListenAddress(_host(host), int(port))


def _host(text: str) -> str:
    if not text:
        return _ANY_IPV4
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(IPv6Address(text[1:-1]))
        except AddressValueError as error:
            raise ValueError("has no IPv6 address in its brackets") from error
    if ":" in text:
        raise ValueError("has a colon in its host: an IPv6 address stands in brackets")
    if not _HOST.fullmatch(text):
        raise ValueError("has a host that is neither a name nor an address")
    return text
