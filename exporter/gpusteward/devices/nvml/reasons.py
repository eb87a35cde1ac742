"""Why nothing could be read: the closed list of words for the health series, each with the next step."""

from __future__ import annotations

from typing import Final

LIBRARY_MISSING: Final = "library_missing"
DRIVER_NOT_LOADED: Final = "driver_not_loaded"
DRIVER_MISMATCH: Final = "driver_mismatch"
NO_PERMISSION: Final = "no_permission"
UNKNOWN_ERROR: Final = "unknown_error"
NO_GPUS: Final = "no_gpus"
STARTING: Final = "starting"
TIMEOUT: Final = "timeout"
STUCK: Final = "stuck"
WORKER_DIED: Final = "worker_died"

HINTS: Final = {
    LIBRARY_MISSING: "install the NVIDIA driver, run the agent under the nvidia container runtime, or set "
    "sources.nvml.library or sources.nvml.driver_root",
    DRIVER_NOT_LOADED: "load the nvidia kernel module, or wait for the driver container; "
    "it is tried again by itself",
    DRIVER_MISMATCH: "the driver was changed while in use; a new process is tried by itself, and if that "
    "does not end it, library and kernel module are of different versions: reboot the node",
    NO_PERMISSION: "let the agent open /dev/nvidia*: the nvidia container runtime or a privileged container",
    UNKNOWN_ERROR: "if the host ran `systemctl daemon-reload`, the container has lost its devices: recreate "
    "the pod; else look for NVRM lines in the kernel log",
    NO_GPUS: "check `nvidia-smi -L` on the node, and NVIDIA_VISIBLE_DEVICES of the agent",
    STARTING: "wait; with nvidia-persistenced running the driver keeps awake",
    TIMEOUT: "it is killed and started again by itself; if it stays, look for NVRM lines in the kernel log",
    STUCK: "the driver holds a process that cannot be killed: drain the node and reboot it",
    WORKER_DIED: "it is started again by itself; its last words are in the agent's log",
}
"""Next step for each reason."""
