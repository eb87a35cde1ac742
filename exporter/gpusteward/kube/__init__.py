"""Kubernetes as this agent's node sees it.

Belongs here: the light client that reads one Node (not the `kubernetes` package, which costs an agent more
memory than all the rest of it) and what is told by a Node's labels. Failures become `KubeError` here. Must
not: read devices, price, or be asked within a scrape. Does I/O; each request ends by its own deadline.
"""
