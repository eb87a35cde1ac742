"""States with their vetoes and hysteresis, and the cause that each part of a leaf's money goes to.

Belongs here: what is remembered of a leaf (history), what it is judged to be (states), where its money goes
(causes). Pure: a leaf's history is its only memory, time comes in as an argument.

Activity is the greatest of one activity signal (the first known of SM active, graphics-engine active, GPU
utilization) and the codec engines. A sample is *quiet* when activity is below the idle threshold, the buses
carry little and power is near the device's own idle floor. A held device is idle when every sample of the
idle window was quiet and no veto stands; underused when mean activity of the longer window is below the
threshold of its signal. An unknown signal never makes a device idle.
"""

from gpusteward.underuse.causes import portions
from gpusteward.underuse.history import History, activity_of
from gpusteward.underuse.state import HistoryState, dump_history, load_history
from gpusteward.underuse.states import judge, threshold

__all__ = [
    "History",
    "HistoryState",
    "activity_of",
    "dump_history",
    "judge",
    "load_history",
    "portions",
    "threshold",
]
