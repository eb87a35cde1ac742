"""A process that loads the real `pynvml` on a fake machine and evaluates what a test sends it.

pynvml keeps its library for the life of the process, so that each test needs one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOP: Final = """
import ctypes, json, sys, threading, time
import pynvml as n
space = {"n": n, "ctypes": ctypes, "threading": threading, "time": time}
for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["value"]:
            answer = {"value": eval(request["code"], space)}
        else:
            exec(request["code"], space)
            answer = {"value": None}
    except n.NVMLError as refusal:
        answer = {"code": refusal.value}
    print(json.dumps(answer), flush=True)
"""


class RefusedError(Exception):
    """NVML answered with this return code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Client:
    """Evaluates expressions in the client's process, where `n` is pynvml and names live on between calls."""

    def __init__(self, env: Mapping[str, str], *, initialise: bool = True) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-c", _LOOP),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(env),
        )
        if initialise:
            self.run("n.nvmlInit()")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON the expression gives
        """The expression's value; structures must be taken apart in it.

        Raises:
            RefusedError: pynvml raised an NVMLError.
        """
        return self._ask(expression, value=True)

    def run(self, statements: str) -> None:
        self._ask(statements, value=False)

    def code(self, expression: str) -> int:
        """The return code of one call: 0 when it went well."""
        try:
            self.run(expression)
        except RefusedError as refusal:
            return refusal.code
        return 0

    def _ask(self, code: str, *, value: bool) -> Any:  # noqa: ANN401 - as above
        self.send(code, value=value)
        return self.receive()

    def send(self, code: str, *, value: bool = True) -> None:
        """Asks without waiting for the answer, which may never come."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"code": code, "value": value}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:  # noqa: ANN401 - as above
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if "code" in answer:
            raise RefusedError(answer["code"])
        return answer["value"]
