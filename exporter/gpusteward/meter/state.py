"""The meter as a document that outlives the process: JSON, since the meter's integers know no bound."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from gpusteward.meter.counters import Account, LeafMeter, Meter, NodeMeter, Xids
from gpusteward.meter.open_rows import OpenDevice, OpenRows
from gpusteward.model import Cause, Device, Holder, Price, Signal, State

Key: TypeAlias = tuple[str, str, str]


class ChargeState(Struct, frozen=True, array_like=True):
    """One account: holder, cause, held, cost, whether it ever had a price."""

    holder: Holder
    cause: Cause
    held: int
    cost: int
    priced: bool


class LeafState(Struct, frozen=True, kw_only=True):
    """One leaf's counters."""

    key: Key
    charges: list[ChargeState]
    last_held: list[tuple[Holder, float]]
    holders: list[Holder]
    active: int | None
    signals: dict[Signal, int]
    states: dict[State, int]
    device: Device | None
    last_seen: float


class NodeState(Struct, frozen=True, array_like=True):
    """One node's sums: name, charged, other, due."""

    node: str
    charged: int
    other: int
    due: int


class XidState(Struct, frozen=True, kw_only=True):
    """One GPU's XID errors."""

    key: tuple[str, str]
    counts: dict[int, int]
    last_at: dict[int, float]
    shown: int | None


class MeterState(Struct, frozen=True, kw_only=True):
    """All counters."""

    leaves: list[LeafState]
    nodes: list[NodeState]
    xids: list[XidState]


class OpenRowState(Struct, frozen=True, array_like=True):
    """One open account: holder, cause, price, held."""

    holder: Holder
    cause: Cause
    price: Price | None
    held: int


class OpenDeviceState(Struct, frozen=True, kw_only=True):
    """One device's open rows."""

    key: Key
    elapsed: int
    end: float
    rows: list[OpenRowState]


class OpenState(Struct, frozen=True, kw_only=True):
    """The open window."""

    began: float | None
    devices: list[OpenDeviceState]
    carried: list[tuple[Key, int]]


def dump_meter(meter: Meter) -> MeterState:
    """The counters as a document."""
    return MeterState(
        leaves=[_dump_leaf(key, leaf) for key, leaf in meter.leaves.items()],
        nodes=[NodeState(name, node.charged, node.other, node.due) for name, node in meter.nodes.items()],
        xids=[
            XidState(key=key, counts=known.counts, last_at=known.last_at, shown=known.shown)
            for key, known in meter.xids.items()
        ],
    )


def _dump_leaf(key: Key, leaf: LeafMeter) -> LeafState:
    return LeafState(
        key=key,
        charges=[
            ChargeState(holder, cause, account.held, account.cost, account.priced)
            for holder, causes in leaf.accounts.items()
            for cause, account in causes.items()
        ],
        last_held=list(leaf.last_held.items()),
        holders=sorted(leaf.holders),
        active=leaf.active,
        signals=leaf.signals,
        states=leaf.states,
        device=leaf.device,
        last_seen=leaf.last_seen,
    )


def load_meter(meter: Meter, state: MeterState, *, counters: bool) -> None:
    """Let a meter that has counted nothing yet go on where another ended.

    Args:
        meter: that meter.
        state: where the other ended.
        counters: False restores only who held what. After a crash the counters would come back lower than
            Prometheus has seen them, which it takes for a reset, and adds their whole value once more.
    """
    if not counters:
        meter.leaves = {leaf.key: LeafMeter(holders=frozenset(leaf.holders)) for leaf in state.leaves}
        for leaf in state.leaves:
            meter.leaves[leaf.key].last_seen = leaf.last_seen
        return
    meter.leaves = {leaf.key: _load_leaf(leaf) for leaf in state.leaves}
    meter.nodes = {node.node: NodeMeter(node.charged, node.other, node.due) for node in state.nodes}
    meter.xids = {xid.key: Xids(xid.counts, xid.last_at, xid.shown) for xid in state.xids}


def _load_leaf(state: LeafState) -> LeafMeter:
    accounts: dict[Holder, dict[Cause, Account]] = {}
    for charge in state.charges:
        account = Account(charge.held, charge.cost, charge.priced)
        accounts.setdefault(charge.holder, {})[charge.cause] = account
    return LeafMeter(
        accounts=accounts,
        last_held=dict(state.last_held),
        holders=frozenset(state.holders),
        active=state.active,
        signals=state.signals,
        states=state.states,
        device=state.device,
        last_seen=state.last_seen,
    )


def dump_open(rows: OpenRows) -> OpenState:
    """The open window as a document."""
    return OpenState(
        began=rows.began,
        devices=[
            OpenDeviceState(
                key=key,
                elapsed=device.elapsed,
                end=device.end,
                rows=[OpenRowState(*account, held) for account, held in device.held.items()],
            )
            for key, device in rows.devices.items()
        ],
        carried=list(rows.carried.items()),
    )


def load_open(state: OpenState) -> OpenRows:
    """The open window of a document."""
    rows = OpenRows()
    rows.began = state.began
    rows.carried = dict(state.carried)
    for device in state.devices:
        held = {(row.holder, row.cause, row.price): row.held for row in device.rows}
        rows.devices[device.key] = OpenDevice(device.elapsed, device.end, held)
    return rows
