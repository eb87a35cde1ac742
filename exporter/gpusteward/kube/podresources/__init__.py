"""The kubelet's pod-resources API, v1: which container holds which device of this node.

Belongs here: the messages (`api.proto`, its Python made by `python -m tests.generate_podresources`), the
client, and the watch that asks at its own pace and remembers. Failures become `KubeError` here. Must not: say
which GPU a device id means (that is attribution's), or be asked within a scrape.
"""
