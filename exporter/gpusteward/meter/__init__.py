"""The meter: integrates portions of leaves over time into counters, and into the rows that are billed.

Belongs here: the counters since the agent began, the rows of the window that is open, and both as a document
that outlives the process. Pure: time comes in as arguments.
"""

from gpusteward.meter.counters import INTEGRATED, Interval, Meter
from gpusteward.meter.open_rows import OpenRows
from gpusteward.meter.state import MeterState, OpenState, dump_meter, dump_open, load_meter, load_open

__all__ = [
    "INTEGRATED",
    "Interval",
    "Meter",
    "MeterState",
    "OpenRows",
    "OpenState",
    "dump_meter",
    "dump_open",
    "load_meter",
    "load_open",
]
