"""The few parts of HTTP that the application needs (RFC 9110)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: HTTP status.
        body: bytes; not sent for HEAD and 304.
        content_type: of the body.
        headers: further headers, in lower case.
    """

    status: int
    body: bytes
    content_type: str = PLAIN
    headers: tuple[tuple[str, str], ...] = ()


def sentence(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A plain answer of one line."""
    return Response(status, f"{text}\n".encode(), headers=headers)


def header(scope: Scope, name: str) -> str:
    """A request header, several lines of it joined by commas (RFC 9110 §5.3); empty when there is none."""
    wanted = name.encode()
    lines: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return ", ".join(value.decode("latin-1") for key, value in lines if key == wanted)


def unchanged(if_none_match: str, etag: str) -> bool:
    """Whether the client has this version already (weak comparison, RFC 9110 §13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


async def respond(send: Send, response: Response, *, head: bool) -> None:
    """Send an answer; without its body when only the head was asked for, or there is none to a 304."""
    bodiless = response.status == 304  # noqa: PLR2004 - HTTP's number for "not modified"
    headers = [("x-content-type-options", "nosniff"), *response.headers]
    if not bodiless:
        headers += [("content-type", response.content_type), ("content-length", str(len(response.body)))]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    body = b"" if head or bodiless else response.body
    await send({"type": "http.response.body", "body": body})
