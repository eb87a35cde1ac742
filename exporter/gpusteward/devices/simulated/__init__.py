"""A simulated fleet: deterministic from a profile file and a seed, exact in all its means and integrals.

Belongs here: the profile's models and loading, what workloads do to a GPU, the fleet, the source. Everything
but the source is a stateless function of time; the source remembers only when it was read last. Must not:
read a clock, sleep, use a generator of random numbers with a state, or pass for real (`Readings.source` says
`simulated`).
"""

from gpusteward.devices.simulated.fleet import Fleet
from gpusteward.devices.simulated.loading import load_profile
from gpusteward.devices.simulated.source import SimulatedSource

__all__ = ["Fleet", "SimulatedSource", "load_profile"]
