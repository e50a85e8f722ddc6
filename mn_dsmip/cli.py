# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line. A subcommand imports what it needs when it is called, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .check.arguments import Parser

EXIT_FAILURE = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
OLDEST_PYTHON = (3, 10)
ASK_TIMEOUT = 150.0
# The checker has its own command lines.
CHECK = {"check": "judge a capture or a run"}
CHECKER = {
    "report": "write a page about a capture: ladder diagrams, what is wrong, coverage",
    "draft": "write a first flow from a good capture",
    "diff": "say in which step two traces part",
}

DESCRIPTION = """\
DS-MIPv6 over 3GPP's S2c reference point (TS 24.303): a UE and a PDN GW for Mininet or for a bench,
and a judge that checks captures of it."""
EXAMPLES = """\
examples:
  sudo make demo                                  a UE bootstraps in Mininet, and its trace is judged
  sudo mn --custom $(mn-dsmip topo s2c) --topo s2c --switch lxbr --controller none
                                                  the same network, with a prompt
  mn-dsmip init lab                               sample configurations, subscriber store, demo CA
  sudo mn-dsmip gateway lab/gateway.yaml          one gateway, in the foreground, in this network namespace
  mn-dsmip status --socket lab/state/ue/control.sock
  mn-dsmip check runs/latest                      judge a run's capture
  mn-dsmip report runs/latest -o report.html      show it to somebody
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status: 0 well, 1 failed, 2 unusable input or machine."""
    if sys.version_info < OLDEST_PYTHON:
        return _complain(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is {sys.version.split()[0]}"
        )
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads; say nothing at exit either
        return EXIT_FAILURE
    except Exception as fault:
        if os.environ.get("MN_DSMIP_DEBUG"):
            raise
        status = (
            EXIT_UNUSABLE if words[:1] in (["check"], ["diff"]) else EXIT_FAILURE
        )  # a verdict's 1 says that a trace is wrong
        return _complain(
            f"a fault in mn-dsmip itself: {type(fault).__name__}: {fault} (MN_DSMIP_DEBUG=1 shows where)", status
        )


def _run(words: list[str]) -> int:
    if words[:1] == ["check"]:
        from .check import main as check

        return check(words[1:])
    if words[:1] and words[0] in CHECKER:
        from .check import command

        return command(words[0], words[1:])
    if words[:1] == ["wireshark"]:
        from .wireshark import main as wireshark

        return wireshark(words[1:])
    arguments = _parser().parse_args(words)
    run: Callable[[argparse.Namespace], int] = arguments.run
    status = run(arguments)
    sys.stdout.flush()  # a reader that went away is noticed here, not at exit
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "mn-dsmip", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"mn-dsmip {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for role, help_text in (
        ("ue", "run a UE in the foreground, in this network namespace"),
        ("gateway", "run a PDN GW (home agent) in the foreground, in this network namespace"),
        ("aaa", "run a RADIUS server with the subscriber store, for gateways with `aaa: radius`"),
    ):
        agent = commands.add_parser(role, help=help_text, description=f"{help_text}. Ctrl-C ends it orderly.")
        agent.add_argument(
            "config", type=Path, metavar="CONFIG", help="configuration file; `mn-dsmip init` writes samples"
        )
        agent.add_argument(
            "--check-config", action="store_true", help="only read the configuration and say what is wrong"
        )
        agent.add_argument(
            "--ready-fd", type=int, metavar="N", help="write one JSON line to this descriptor when ready"
        )
        agent.set_defaults(run=_run_agent, role=role)
    _add_control(commands)
    _add_files(commands)
    for name, help_text in (CHECK | CHECKER).items():
        commands.add_parser(name, help=f"{help_text} (mn-dsmip {name} --help tells more)", add_help=False)
    return parser


def _add_control(commands: argparse._SubParsersAction[Parser]) -> None:
    for command, help_text in (
        ("status", "show what an agent is doing"),
        ("attach", "have a UE attach"),
        ("refresh", "have a UE refresh its binding now"),
        ("detach", "have a UE end its PDN connection"),
        ("events", "follow an agent's events, one JSON line each"),
    ):
        control = commands.add_parser(command, help=help_text, description=help_text)
        control.add_argument("--socket", type=Path, required=True, metavar="PATH", help="the agent's control socket")
        control.set_defaults(run=_control, command=command)
    for command, help_text in (
        ("rekey", "replace all keys of a UE, or at a gateway those of one subscriber or of all"),
        ("redirect", "have a gateway send one subscriber's UE, or all, to another gateway (RFC 5685)"),
    ):
        control = commands.add_parser(command, help=help_text, description=help_text)
        if command == "redirect":
            control.add_argument("gateway", metavar="GATEWAY", help="address or name of the other gateway")
        control.add_argument("--socket", type=Path, required=True, metavar="PATH", help="the agent's control socket")
        control.add_argument("--subscriber", metavar="IDENTITY", help="an IMSI, or the identity of a peer with a PSK")
        control.set_defaults(run=_control, command=command)


def _add_files(commands: argparse._SubParsersAction[Parser]) -> None:
    init = commands.add_parser(
        "init", help="write commented sample configurations, a subscriber store and a demo CA with a certificate"
    )
    init.add_argument("folder", type=Path, metavar="DIR")
    init.set_defaults(run=_init)
    certificate = commands.add_parser(
        "certificate", help="write a gateway's certificate, and a demo CA if there is none"
    )
    certificate.add_argument("folder", type=Path, metavar="DIR", help="where ca.pem and ca.key are, or are to be")
    certificate.add_argument("--out", required=True, metavar="NAME", help="writes NAME.pem and NAME.key")
    certificate.add_argument(
        "--name", action="append", default=[], help="a DNS name the gateway is looked up by; repeat"
    )
    certificate.add_argument("--address", action="append", default=[], help="an address of the gateway; repeat")
    certificate.set_defaults(run=_certificate)
    topo = commands.add_parser("topo", help="print the path of a topology for `mn --custom`")
    topo.add_argument("name", metavar="NAME", help="s2c")
    topo.set_defaults(run=_topo)


def _complain(message: str, status: int = EXIT_UNUSABLE) -> int:
    sys.stderr.write(f"mn-dsmip: {message}\n")
    return status


def _words(problem: Exception) -> str:
    """What a person reads: an ``OSError`` without its number."""
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    return str(problem)


def _run_agent(arguments: argparse.Namespace) -> int:
    from .agent.aaa_config import load_aaa
    from .agent.config import load_gateway, load_ue
    from .agent.errors import ConfigError, EnvironmentProblem

    try:
        if arguments.check_config:
            {"ue": load_ue, "gateway": load_gateway, "aaa": load_aaa}[arguments.role](arguments.config)
            sys.stdout.write(f"{arguments.config}: fine\n")
            return 0
        from .agent.run import run_aaa, run_gateway, run_ue

        {"ue": run_ue, "gateway": run_gateway, "aaa": run_aaa}[arguments.role](arguments.config, arguments.ready_fd)
    except (ConfigError, EnvironmentProblem, OSError) as problem:
        return _complain(_words(problem))
    return 0


def _control(arguments: argparse.Namespace) -> int:
    import json

    from .agent.control import CommandFailed, ask

    def show(line: bytes) -> None:
        sys.stdout.write(line.decode())
        sys.stdout.flush()

    told = {name: getattr(arguments, name, None) for name in ("gateway", "subscriber")}
    given = {name: value for name, value in told.items() if value is not None}
    try:
        result = ask(arguments.socket, arguments.command, ASK_TIMEOUT, show, **given)
    except CommandFailed as failure:
        return _complain(str(failure), EXIT_FAILURE)
    if arguments.command != "events":
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0


def _init(arguments: argparse.Namespace) -> int:
    from .agent.errors import EnvironmentProblem
    from .agent.samples import write_samples

    try:
        for path in write_samples(arguments.folder):
            sys.stdout.write(f"{path}\n")
    except (EnvironmentProblem, OSError) as problem:
        return _complain(_words(problem))
    return 0


def _certificate(arguments: argparse.Namespace) -> int:
    from .agent.errors import EnvironmentProblem
    from .agent.samples import write_certificate

    names = [*arguments.name, *arguments.address]
    if not names:
        return _complain("certificate: at least one --name or --address is needed")
    try:
        write_certificate(arguments.folder, arguments.out, names)
    except (EnvironmentProblem, OSError) as problem:
        return _complain(_words(problem))
    return 0


def _topo(arguments: argparse.Namespace) -> int:
    from .resources import topology

    try:
        sys.stdout.write(f"{topology(arguments.name)}\n")
    except (LookupError, FileNotFoundError) as problem:
        return _complain(str(problem.args[0]))
    return 0
