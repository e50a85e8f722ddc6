# SPDX-License-Identifier: GPL-2.0-or-later
"""`--test bootstrap`: every UE attaches, pings both ways, refreshes and detaches; one line for each check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mininet.log import output

from .errors import NodeError
from .host import Ipv6Host
from .network import Network
from .ue import ATTACHED, UE

PING_SECONDS = 8  # until an echo is answered; links may lose packets
PING_INTERVAL = 0.5  # seconds between two tries
DETACHED = "idle"

Check = tuple[str, Callable[[], str]]


def bootstrap(net: Network) -> None:
    """Run the checks, stop the network in good order, and exit with status 1 when one failed."""
    failed = 0
    for name, check in _checks(net):
        try:
            output(f"ok    {name}: {check()}\n")
        except NodeError as problem:
            failed += 1
            output(f"FAIL  {name}: {problem}\n")
    if failed or not net.ues():
        output(f"*** {failed} of the checks failed\n" if failed else "*** there is no UE to check\n")
        net.stop()
        raise SystemExit(1)


def _checks(net: Network) -> Iterator[Check]:
    correspondents = [host for host in net.hosts if type(host) is Ipv6Host]
    for ue in net.ues():
        yield f"{ue} attaches", partial(_attach, ue)
    for ue in net.ues():
        for peer in correspondents:
            for source, target in ((ue, peer), (peer, ue)):
                for family in (6, 4) if ue.ipv4_home else (6,):
                    yield f"{source} pings {target} over IPv{family}", partial(_ping, source, target, family)
    for ue in net.ues():
        yield f"{ue} refreshes its binding", partial(_refresh, ue)
    for ue in net.ues():
        yield f"{ue} detaches", partial(_detach, ue)


def _attach(ue: UE) -> str:
    ue.ask("attach")
    status = ue.status()
    _expect(status.get("state") == ATTACHED, f"its state is {status.get('state')}")
    if ue.ipv4_home:
        _expect(bool(status.get("ipv4_home_address")), "it asked for an IPv4 home address and has none")
    homes = [str(status[key]) for key in ("home_address", "ipv4_home_address") if status.get(key)]
    return f"{' and '.join(homes)} at {status.get('care_of_address')}, home agent {status.get('home_agent')}"


def _ping(source: Ipv6Host, target: Ipv6Host, family: int) -> str:
    """One answered echo between home address and correspondent, both named: no other source address counts."""
    own, address = (node.ipv6() if family == 6 else node.ipv4() for node in (source, target))
    _expect(own is not None, f"{source} has no IPv{family} address")
    _expect(address is not None, f"{target} has no IPv{family} address")
    limits = ["-c", "1", "-w", str(PING_SECONDS), "-i", str(PING_INTERVAL)]  # with -w, -c counts answers
    command = ["ping", f"-{family}", "-n", *limits, "-I", str(own), str(address)]
    text, errors, status = source.pexec(command)
    lines = f"{errors}\n{text}".splitlines()
    words = [line for line in lines if line.startswith(("ping", "From")) or "packets transmitted" in line]
    _expect(status == 0, f"no answer from {address}; {'; '.join(words)}")
    return f"{address} answered {own}{_round_trip(text)}"


def _round_trip(text: str) -> str:
    _, found, time = text.partition(" time=")
    return f" in {time.splitlines()[0]}" if found else ""


def _refresh(ue: UE) -> str:
    before = _lifetime_left(ue)
    ue.ask("refresh")
    after = _lifetime_left(ue)
    _expect(after >= before, f"{before:.1f} s were left before, {after:.1f} s after")
    return f"{after:.0f} s left"


def _lifetime_left(ue: UE) -> float:
    left = ue.status().get("lifetime_left")
    _expect(bool(left), "it has no binding")
    return float(str(left))


def _detach(ue: UE) -> str:
    ue.ask("detach")
    status: dict[str, Any] = ue.status()  # Any: JSON
    _expect(status.get("state") == DETACHED, f"its state is {status.get('state')}")
    _expect(not status.get("home_address"), f"it still has {status.get('home_address')}")
    return "no home address any more"


def _expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise NodeError(otherwise)
