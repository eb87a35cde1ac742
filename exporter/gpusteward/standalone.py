"""Composition root of `gpusteward up`: everything on one machine, in one of two modes, never mixed.

real: this machine's GPUs. simulated: a made-up fleet through the same pipeline, said so everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.clock import SystemClock
from gpusteward.config import ConfigWatch, config_path, parse_listen
from gpusteward.devices.auto import ON_ITS_WAY
from gpusteward.errors import GpustewardError, SourceError
from gpusteward.runtime import Parts, RunningAgent
from gpusteward.sources import node_name, real_source, simulated_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock, Moment
    from gpusteward.config import Config
    from gpusteward.devices import DeviceSource


@dataclass(frozen=True, slots=True)
class _Choice:
    """The mode that was chosen, once, and why; when a simulated fleet's warm-up is over."""

    mode: str
    source: DeviceSource
    why: str
    warmed_up_at: Moment | None = None


def run(given_path: str | None, mode: str, listen: str, say: Callable[[str], None]) -> None:
    """Run until told to stop.

    Args:
        given_path: the config file; None = the environment's, else the defaults.
        mode: `auto`, `real` or `simulated`.
        listen: address and port; loopback unless a person widens it.
        say: prints a line.

    Raises:
        GpustewardError: the config or address cannot be used, or `real` found no GPU source.
    """
    clock = SystemClock()
    watch = ConfigWatch(config_path(given_path), clock)
    _refuse_open_access(listen, watch.config)
    choice = _choose(watch.config, mode, clock)
    agent = RunningAgent(
        Parts(
            watch=watch,
            source=choice.source,
            clock=clock,
            mode=choice.mode,
            listen=listen,
            warmed_up_at=choice.warmed_up_at,
            node=node_name(watch.config),
        )
    )
    for line in _banner(choice, agent.address):
        say(line)
    agent.run()


def _refuse_open_access(listen: str, config: Config) -> None:
    """Raise unless only this machine can connect, or a token is asked for."""
    try:
        host = parse_listen(listen).host
    except ValueError:
        return  # the server says what is wrong with it
    loopback = host in {"localhost", "::1"} or host.startswith("127.")
    if not loopback and not config.agent.bearer_token_file:
        raise GpustewardError(
            f"--listen {listen} would serve everybody without a token",
            "set agent.bearer_token_file, or listen on 127.0.0.1",
        )


def _choose(config: Config, mode: str, clock: Clock) -> _Choice:
    """The mode that the command asks for; `auto` leaves it to the config, and then to what answers.

    Only where neither names a source does a machine without a GPU get a simulated fleet: a source that was
    asked for and does not answer is waited for, or is an error where `--mode real` asks for it now.
    """
    named = config.agent.source
    if mode == "simulated" or (mode == "auto" and named == "simulated"):
        return _simulated(config, clock, "asked for")
    if named == "simulated":
        raise GpustewardError("--mode real, and agent.source is simulated", "leave one of them out")
    real = real_source(config, clock)
    try:
        _first_read(real, clock)
    except SourceError as error:
        if mode == "real":
            raise GpustewardError(error.message, error.hint) from error
        if named != "auto":
            return _Choice("real", real, f"waiting for {named}: {error.message}")
        real.close()
        return _simulated(config, clock, error.message)
    return _Choice("real", real, f"reading {real.name}")


def _simulated(config: Config, clock: Clock, why: str) -> _Choice:
    now = clock.now()
    return _Choice("simulated", simulated_source(config, now), why, warmed_up_at=now)


def _first_read(source: DeviceSource, clock: Clock) -> None:
    """Read once; a driver that is waking up is waited for, as long as its source calls it that.

    Raises:
        SourceError: there is nothing to read.
    """
    while True:
        try:
            source.read(clock.now())
        except SourceError as error:
            if error.reason not in ON_ITS_WAY:
                raise
        else:
            return


def _banner(choice: _Choice, address: str) -> list[str]:
    url = f"http://{address}"
    if choice.mode == "simulated":
        first = f"SIMULATED fleet ({choice.why}): every GPU, pod and figure below is made up."
    else:
        first = f"This machine's GPUs ({choice.why})."
    return [
        first,
        f"  overview          {url}/",
        f"  metrics           curl {url}/metrics",
        f"  cost by cause     curl -s {url}/metrics | grep gpusteward_gpu_cost_per_hour",
        "  stop              Ctrl-C",
    ]
