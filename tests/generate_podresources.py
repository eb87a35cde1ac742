"""Makes the Python of the kubelet's messages from api.proto: `python -m tests.generate_podresources`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXPORTER = Path(__file__).resolve().parent.parent / "exporter"
PROTO = "gpusteward/kube/podresources/api.proto"
MADE = ("gpusteward/kube/podresources/api_pb2.py", "gpusteward/kube/podresources/api_pb2.pyi")


def generate(into: Path) -> None:
    """Write the generated files below this folder."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={EXPORTER}",
            f"--python_out={into}",
            f"--pyi_out={into}",
            str(EXPORTER / PROTO),
        ],
        check=True,
    )


if __name__ == "__main__":
    generate(EXPORTER)
