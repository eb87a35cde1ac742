"""The command line: the only place that prints or exits.

Exit codes: 0 done, 1 an expected failure with its next step, 2 wrong usage, 3 a bug, with its traceback.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from gpusteward import __version__
from gpusteward.errors import GpustewardError, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.config import Config
    from gpusteward.config.check import Findings
    from gpusteward.pricing import PriceBook, Report, SeenNode

DEFAULT_LISTEN = "127.0.0.1:9455"


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))  # noqa: TID251 - the one place


def run(argv: Sequence[str]) -> int:
    """Run one command; its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        code: int = arguments.run(arguments)
    except GpustewardError as error:
        print(f"gpusteward: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # `gpusteward prices list | head` is no failure, and needs no complaint
        return 0
    except Exception:  # noqa: BLE001 - the last line of defence: say that it is a bug
        traceback.print_exc()
        print("gpusteward: this is a bug; please report the lines above", file=sys.stderr)
        return 3
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpusteward",
        description="What each GPU costs, who holds it, and whether that money does anything.",
    )
    parser.add_argument("--version", action="version", version=f"gpusteward {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_agent(commands)
    _add_up(commands)
    _add_check(commands)
    _add_prices(commands)
    _add_docs(commands)
    return parser


def _with_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="gpusteward.yaml; default: $GPUSTEWARD_CONFIG, else built-in defaults",
    )


def _add_agent(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("agent", help="serve the metrics of this node's GPUs on :9455")
    _with_config(parser)
    parser.set_defaults(run=_agent)


def _agent(arguments: argparse.Namespace) -> int:
    from gpusteward import agent

    agent.run(arguments.config)
    return 0


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("up", help="run everything on this machine, with or without a GPU")
    _with_config(parser)
    parser.add_argument(
        "--mode",
        choices=("auto", "real", "simulated"),
        default="auto",
        help="real: this machine's GPUs; simulated: a made-up fleet; auto: real where a GPU source answers",
    )
    parser.add_argument("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="default %(default)s")
    parser.set_defaults(run=_up)


def _up(arguments: argparse.Namespace) -> int:
    from gpusteward import standalone

    standalone.run(arguments.config, arguments.mode, arguments.listen, print)
    return 0


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="check a config file; all problems at once")
    _with_config(parser)
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from gpusteward.config import check, config_path

    fine, text = check.report(config_path(arguments.config), _look_further)
    print(text, file=sys.stdout if fine else sys.stderr)
    return 0 if fine else 1


def _look_further(config: Config) -> Findings:
    """At the files that the config names, as an agent would at its start, and at the catalogue."""
    from gpusteward.config import read_token
    from gpusteward.config.check import Findings
    from gpusteward.devices.simulated import load_profile
    from gpusteward.pricing import doubts
    from gpusteward.runtime import price_book

    problems: list[Problem] = []
    doubtful: list[Problem] = []
    try:
        doubtful += doubts(price_book(config.pricing), config)
    except GpustewardError as error:
        problems += _problems("pricing.catalogue_file", error)
    try:
        load_profile(config.sources.simulated.profile)
    except GpustewardError as error:
        problems += _problems("sources.simulated.profile", error)
    if config.agent.bearer_token_file:
        try:
            read_token(config.agent.bearer_token_file)
        except GpustewardError as error:
            absent = isinstance(error.__cause__, FileNotFoundError)  # perhaps only here, where check runs
            (doubtful if absent else problems).extend(_problems("agent.bearer_token_file", error))
    return Findings(tuple(problems), tuple(doubtful))


def _problems(setting: str, error: GpustewardError) -> list[Problem]:
    """What is wrong with the file that a setting names, under the setting."""
    if isinstance(error, ProblemsError):
        return [replace(problem, path=f"{setting} {problem.path}") for problem in error.problems]
    return [Problem(setting, error.message.removeprefix(f"{setting} "), error.hint)]


def _add_prices(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("prices", help="show, explain and check prices")
    prices = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = prices.add_parser("list", help="the catalogue, with source and date of each row")
    listing.add_argument("--provider", default="", help="only this provider")
    listing.add_argument("--model", default="", help="only this GPU model, in any spelling")
    explaining = prices.add_parser("explain", help="where a price is from: node, GPU model or instance type")
    explaining.add_argument("subject", metavar="NODE-OR-MODEL")
    explaining.add_argument(
        "--agent",
        metavar="URL",
        help="the agent that is asked first whether it has such a node; "
        f"default http://{DEFAULT_LISTEN}, asked only for what is neither type nor model",
    )
    explaining.add_argument("--token-file", metavar="FILE", help="the agent's bearer token, if it wants one")
    checking = prices.add_parser("check", help="check a price CSV; all problems at once")
    checking.add_argument("file", metavar="FILE")
    for command, action in ((listing, _list_prices), (explaining, _explain_price), (checking, _check_prices)):
        _with_config(command)
        command.set_defaults(run=action)


def _list_prices(arguments: argparse.Namespace) -> int:
    from gpusteward.pricing import list_prices

    return _print(list_prices(_book(arguments.config), arguments.provider, arguments.model))


def _explain_price(arguments: argparse.Namespace) -> int:
    from gpusteward.pricing import explain

    book = _book(arguments.config)
    report = explain(book, arguments.subject)
    if arguments.agent or not report.ok:  # perhaps a node, which only an agent knows
        report = explain(book, arguments.subject, _nodes(arguments, report))
    return _print(report)


def _nodes(arguments: argparse.Namespace, otherwise: Report) -> list[SeenNode]:
    """The nodes that the agent sees; when none answers, what is wrong with the subject is said first."""
    from gpusteward.config import read_token
    from gpusteward.exposition import nodes_of_agent

    token = read_token(arguments.token_file) if arguments.token_file else ""
    try:
        return nodes_of_agent(arguments.agent or f"http://{DEFAULT_LISTEN}", token)
    except GpustewardError as error:
        unknown = () if otherwise.ok else otherwise.lines
        raise GpustewardError("\n".join((*unknown, error.message)), error.hint) from error


def _check_prices(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from gpusteward.pricing import check_file

    try:
        text = Path(arguments.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GpustewardError(
            f"{arguments.file} cannot be read: {error}", "give the path of a CSV file"
        ) from error
    return _print(check_file(text, arguments.file))


def _book(path: str | None) -> PriceBook:
    from gpusteward.config import Config, config_path, load
    from gpusteward.runtime import price_book

    file = config_path(path)
    return price_book((load(file) if file else Config()).pricing)


def _print(report: Report) -> int:
    print("\n".join(report.lines), file=sys.stdout if report.ok else sys.stderr)
    return 0 if report.ok else 1


def _add_docs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("docs", help="print a generated reference page")
    parser.add_argument("page", choices=("metrics", "configuration", "example"))
    parser.set_defaults(run=_docs)


def _docs(arguments: argparse.Namespace) -> int:
    from gpusteward.config import reference
    from gpusteward.metrics.reference import metrics_reference

    pages = {"metrics": metrics_reference, "configuration": reference.page, "example": reference.example}
    print(pages[arguments.page](), end="")
    return 0
