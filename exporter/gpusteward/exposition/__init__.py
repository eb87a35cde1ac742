"""The agent's HTTP: what was rendered, served from memory.

Belongs here: the ASGI application, the JSON document of a snapshot, the bearer token, and the server that
binds and bounds it all. Must not: sample, price, judge or render metrics; a request never waits for
hardware, a kubelet or an API server.
"""

from gpusteward.config.token import TokenFile
from gpusteward.exposition.app import Exposition, Token
from gpusteward.exposition.reader import nodes_of_agent
from gpusteward.exposition.server import Server

__all__ = ["Exposition", "Server", "Token", "TokenFile", "nodes_of_agent"]
