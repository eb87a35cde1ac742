"""Every spelling of a device id, told by its form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.attribution import DeviceId, parse_device_id

UUID = "5d9f1a3e-0c4b-5f61-9b7a-2f0b5a6c7d02"
GPU, MIG = f"GPU-{UUID}", f"MIG-{UUID}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GPU, DeviceId(uuid=GPU)),
        (MIG, DeviceId(mig_uuid=MIG)),
        (f"MIG-{GPU}/7/0", DeviceId(uuid=GPU, gi="7")),
        (f"{GPU}::0", DeviceId(uuid=GPU, seat=0)),
        (f"{GPU}::47", DeviceId(uuid=GPU, seat=47)),
        (f"{MIG}::3", DeviceId(mig_uuid=MIG, seat=3)),
        (f"MIG-{GPU}/7/0::3", DeviceId(uuid=GPU, gi="7", seat=3)),
        ("nvidia0", DeviceId(device="nvidia0")),
        ("nvidia15", DeviceId(device="nvidia15")),
        ("nvidia0/gi0", DeviceId(device="nvidia0", gi="0")),
        ("nvidia0/gi11", DeviceId(device="nvidia0", gi="11")),
        ("nvidia0/vgpu1", DeviceId(device="nvidia0", seat=1)),
        ("nvidia0/gi0/vgpu1", DeviceId(device="nvidia0", gi="0", seat=1)),
    ],
)
def test_a_known_spelling_is_taken_apart(text: str, expected: DeviceId) -> None:
    assert parse_device_id(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GPU-",
        "GPU-5d9f1a3e",
        f"GPU-{UUID}::",
        f"GPU-{UUID}::x",
        f"GPU-{UUID}:0",
        f"GPU-{UUID} ",
        f"GPU-{UUID}\n",
        f"MIG-{GPU}/7",
        f"MIG-{GPU}",
        f"gpu-{UUID}",
        "nvidia",
        "nvidiactl",
        "nvidia0/",
        "nvidia0/gi",
        "nvidia0/vgpu1/gi0",
        "nvidia0::1",
        "nvidia٣",
        "amdgpu0",
        "0",
    ],
)
def test_a_near_miss_is_none_of_them(text: str) -> None:
    assert parse_device_id(text) is None


def test_seats_of_one_device_have_one_place_and_other_instances_another() -> None:
    a, b = parse_device_id(f"{GPU}::0"), parse_device_id(f"{GPU}::1")
    zero, one = parse_device_id("nvidia0/gi0"), parse_device_id("nvidia0/gi1")
    assert a is not None
    assert b is not None
    assert zero is not None
    assert one is not None
    assert a.place == b.place == (GPU, "")
    assert zero.place != one.place


@given(st.text() | st.from_regex(r"(GPU|MIG|nvidia)[-/:0-9a-f]*", fullmatch=True))
def test_no_text_crashes_it_and_what_it_reads_names_exactly_one_device(text: str) -> None:
    got = parse_device_id(text)
    assert got is None or [bool(name) for name in (got.uuid, got.mig_uuid, got.device)].count(True) == 1
