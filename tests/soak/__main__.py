"""Long proofs: `python -m tests.soak NAME`. They print as they go and end with code 1 when one fails."""

from __future__ import annotations

import argparse

from tests.soak import agent, journal, nvml_faults, pipeline


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    names = parser.add_subparsers(title="proofs", required=True, metavar="NAME")
    paced = names.add_parser("agent", help=agent.__doc__)
    paced.add_argument("--minutes", type=float, default=60.0, help="how long; default %(default)s")
    paced.set_defaults(run=lambda arguments: agent.main(arguments.minutes, say))
    fast = names.add_parser("pipeline", help=pipeline.__doc__)
    fast.add_argument("--hours", type=float, default=24.0, help="simulated hours; default %(default)s")
    fast.set_defaults(run=lambda arguments: pipeline.main(arguments.hours, say))
    faults = names.add_parser("nvml_faults", help=nvml_faults.__doc__)
    faults.add_argument("--faults", type=int, default=1000, help="how many; default %(default)s")
    faults.set_defaults(run=lambda arguments: nvml_faults.main(arguments.faults, say))
    killed = names.add_parser("journal", help=journal.__doc__)
    killed.add_argument("--kills", type=int, default=200, help="how many; default %(default)s")
    killed.set_defaults(run=lambda arguments: journal.main(arguments.kills, say))
    arguments = parser.parse_args()
    arguments.run(arguments)
    say("passed")


if __name__ == "__main__":
    main()
