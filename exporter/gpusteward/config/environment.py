"""Environment variables: the only place that reads them. Everything else is in the config file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    Attributes:
        name: as the shell spells it.
        description: what it is for, for the reference page.
    """

    name: str
    description: str


NODE_NAME = Variable(
    "NODE_NAME",
    "Name of the Kubernetes node, from the downward API (`spec.nodeName`). Used where `node.name` is empty.",
)
CONFIG_FILE = Variable(
    "GPUSTEWARD_CONFIG",
    "Path of the config file, where `--config` is not given. With neither, the defaults are used.",
)
KUBERNETES = Variable(
    "KUBERNETES_SERVICE_HOST",
    "Set by the kubelet in every container: the agent then knows that it runs in a pod.",
)
KUBERNETES_PORT = Variable(
    "KUBERNETES_SERVICE_PORT", "Set beside it: the two are where the API server is. Empty: 443."
)
SERVICE_ACCOUNT = Variable(
    "GPUSTEWARD_SERVICE_ACCOUNT",
    "Directory with the `token` and `ca.crt` that the API server is asked with, for a token that is "
    "projected elsewhere. Empty: where Kubernetes mounts them, "
    "/var/run/secrets/kubernetes.io/serviceaccount.",
)
VARIABLES = (CONFIG_FILE, NODE_NAME, KUBERNETES, KUBERNETES_PORT, SERVICE_ACCOUNT)


def environment_node_name() -> str:
    """The node's name as Kubernetes says it; empty when it does not."""
    return _read(NODE_NAME)


def in_cluster() -> bool:
    """Whether this process runs in a pod."""
    return bool(_read(KUBERNETES))


def environment_api_server() -> str:
    """The API server's URL as the kubelet says it, `https://HOST:PORT`; empty outside a pod."""
    host, port = _read(KUBERNETES), _read(KUBERNETES_PORT) or "443"
    if not host:
        return ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def environment_service_account() -> Path:
    """Where the service account's token and CA are."""
    return Path(_read(SERVICE_ACCOUNT) or "/var/run/secrets/kubernetes.io/serviceaccount")


def config_path(argument: str | None) -> Path | None:
    """The config file to use: the command line's, else the environment's; None = the defaults."""
    path = argument or _read(CONFIG_FILE)
    return Path(path) if path else None


def _read(variable: Variable) -> str:
    return os.environ.get(variable.name, "").strip()  # noqa: TID251 - the one place that reads it
