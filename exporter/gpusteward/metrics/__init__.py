"""What is exported: every metric's definition, and a snapshot turned into a page.

Belongs here: the catalogue (names, types, units, labels, help: once), the collectors from Snapshot to metric
families, the series budget, the page in its formats, and the generated reference. Must not: decide what a
value is (that is the snapshot's), speak HTTP, or read a clock. No I/O of its own; the numbers of our own
process come from prometheus_client's ProcessCollector, which the composition root passes in.
"""
