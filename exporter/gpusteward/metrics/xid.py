"""What an XID error asks for.

Classes after NVIDIA's XID catalogue (docs.nvidia.com/deploy/xid-errors), reduced to who must act:

- reset: drain the node and reset the GPU;
- reboot: drain and reboot the node;
- app: the workload's owner looks first. Of these 43, 45 and 109 end a workload without fault of the board;
- info: a record, nothing to do by itself;
- investigate: follow NVIDIA's workflow for that code. Also every code that is not in the table: a new code
  is looked at, never ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class XidClass(StrEnum):
    """Who must act; the `class` label."""

    RESET = "reset"
    REBOOT = "reboot"
    INVESTIGATE = "investigate"
    APP = "app"
    INFO = "info"


_CODES: Final = {
    XidClass.RESET: (46, 62, 64, 95, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    XidClass.REBOOT: (79, 151),
    XidClass.APP: (
        *(
            8,
            11,
            13,
            25,
            31,
            32,
            39,
            40,
            41,
            43,
            45,
            60,
            68,
            69,
            70,
            71,
            72,
            75,
            76,
            77,
            80,
            82,
            83,
            84,
            85,
            86,
        ),
        *(88, 89, 94, *range(96, 106), 109, *range(126, 136), 139),
    ),
    XidClass.INFO: (37, 38, 44, 63, 66, 67, 92, 93, 106, 107, 121, 137, 141, 152, 153, 154, 157, 160, 161),
}
_CLASS_OF: Final = {code: xid_class for xid_class, codes in _CODES.items() for code in codes}


def xid_class(xid: int) -> XidClass:
    """The class of an XID; `investigate` when it is not in the table."""
    return _CLASS_OF.get(xid, XidClass.INVESTIGATE)
