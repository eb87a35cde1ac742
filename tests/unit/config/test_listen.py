from __future__ import annotations

import pytest

from gpusteward.config import ListenAddress, parse_listen

ANY_IPV4 = "0.0.0.0"  # noqa: S104 - what is tested is how it is written


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:9455", ANY_IPV4, 9455),
        ("localhost:1", "localhost", 1),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("gpu-1.example.org:65535", "gpu-1.example.org", 65535),
        ("[::]:9455", "::", 9455),
        ("[2001:DB8::1]:80", "2001:db8::1", 80),
        (":9455", ANY_IPV4, 9455),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == ListenAddress(host, port)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9455", "has no port"),
        ("", "has no port"),
        ("localhost:", "has no port from 0 to 65535"),
        ("localhost:65536", "has no port from 0 to 65535"),
        ("localhost:http", "has no port from 0 to 65535"),
        ("localhost:-1", "has no port from 0 to 65535"),
        ("localhost:٣", "has no port from 0 to 65535"),
        (f"localhost:{'9' * 5000}", "has no port from 0 to 65535"),
        ("::1:9455", "an IPv6 address stands in brackets"),
        ("[::g]:9455", "has no IPv6 address in its brackets"),
        ("[localhost]:9455", "has no IPv6 address in its brackets"),
        ("http://localhost:9455", "an IPv6 address stands in brackets"),
        ("local host:9455", "neither a name nor an address"),
        ("-host:9455", "neither a name nor an address"),
    ],
)
def test_anything_else_says_what_it_lacks(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_listen(text)
