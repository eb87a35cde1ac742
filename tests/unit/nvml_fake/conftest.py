"""A library built once, machines made of it, and clients that load the real pynvml on them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.nvml import profiles
from tests.nvml.client import Client
from tests.nvml.fake import FakeNvml, build, newer_than

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.nvml.profiles import Board


class StartMachine(Protocol):
    def __call__(self, *boards: Board, driver: str = ..., manual_clock: bool = ...) -> FakeNvml: ...


class StartClient(Protocol):
    def __call__(self, fake: FakeNvml, *, initialise: bool = ...) -> Client: ...


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nvml-builds")


@pytest.fixture(scope="session")
def library(build_cache: Path) -> Path:
    return build(build_cache)


@pytest.fixture(scope="session")
def library_525(build_cache: Path) -> Path:
    return build(build_cache, without=newer_than(525))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[StartMachine]:
    with contextlib.ExitStack() as stack:

        def start(*boards: Board, driver: str = "580.65.06", manual_clock: bool = True) -> FakeNvml:
            fake = FakeNvml(
                tmp_path / "machine", boards, library=library, driver=driver, manual_clock=manual_clock
            )
            return stack.enter_context(fake)

        yield start


@pytest.fixture
def client() -> Iterator[StartClient]:
    with contextlib.ExitStack() as stack:

        def start(fake: FakeNvml, *, initialise: bool = True) -> Client:
            return stack.enter_context(Client(fake.env(), initialise=initialise))

        yield start


@pytest.fixture
def h100(machine: StartMachine) -> FakeNvml:
    return machine(profiles.H100)


@pytest.fixture
def on_h100(h100: FakeNvml, client: StartClient) -> Client:
    """A client on a machine with one H100, whose handle is `g`."""
    started = client(h100)
    started.run("g = n.nvmlDeviceGetHandleByIndex(0)")
    return started
