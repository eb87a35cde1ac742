"""What the API server's refusals mean, in words and with the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError, SSLError

from gpusteward.errors import KubeError
from gpusteward.kube.objects import Status

if TYPE_CHECKING:
    from urllib3.exceptions import HTTPError

_SHOWN: Final = 300  # characters of the server's own words
_OVERLOADED: Final = frozenset({429, 503})
_LONGEST_RETRY_AFTER: Final = 300.0
_SERVER_ERRORS: Final = 500

_RULE: Final = '{apiGroups: [""], resources: [nodes], verbs: [get]}'
_HINTS: Final = {
    401: (
        "unauthorized",
        "the token was refused though it was read anew: see that the service account still exists",
    ),
    403: (
        "forbidden",
        f"give the agent's service account a ClusterRole with the rule {_RULE}",
    ),
    404: ("not_found", "set NODE_NAME from spec.nodeName in the agent's pod, or node.name in the config"),
}


def refusal(status: int, body: bytes, node: str, retry_after: str) -> KubeError:
    """The error that a status other than 200 stands for.

    Args:
        status: HTTP status.
        body: the server's Status object, or a proxy's page.
        node: the name asked for.
        retry_after: that header; empty when it was not sent.
    """
    said = _words(body)
    message = f"the API server answered {status} to the question for node {node}" + (said and f": {said}")
    if status in _HINTS:
        reason, hint = _HINTS[status]
        return KubeError(message, reason, hint)
    if status in _OVERLOADED:
        return KubeError(message, "overloaded", "nothing: it is asked again later", _seconds(retry_after))
    if status >= _SERVER_ERRORS:
        return KubeError(message, "server_error", "read the API server's log")
    return KubeError(message, "bad_answer", "look at what is between the agent and the API server")


def unreachable(error: HTTPError, url: str) -> KubeError:
    """The error that a connection stands for which failed, was cut or took too long."""
    if isinstance(error, SSLError):
        hint = "see that the CA beside the token is the one that signed the API server's certificate"
        return KubeError(f"{url} did not prove who it is: {error}", "tls", hint)
    late = isinstance(error, (ConnectTimeoutError, ReadTimeoutError))
    if late and not isinstance(error, NewConnectionError):  # urllib3 counts a refusal among the late ones
        hint = "see whether a network policy keeps the agent from the API server"
        return KubeError(f"{url} did not answer in time: {error}", "timeout", hint)
    return KubeError(
        f"{url} cannot be reached: {error}", "unreachable", "see that the API server runs and may be reached"
    )


def _words(body: bytes) -> str:
    """What the server says of it; empty when it is no Status, as a proxy's page is none."""
    try:
        message = msgspec.json.decode(body, type=Status).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return " ".join(message.split())[:_SHOWN]


def _seconds(retry_after: str) -> float | None:
    """Seconds to wait; None when it is a date or nothing. No server may keep us away for ever."""
    digits = retry_after.strip()
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(float(digits[:9]), _LONGEST_RETRY_AFTER)
