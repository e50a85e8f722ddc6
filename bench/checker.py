# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets a second of the checker against `tshark -T fields` with the same fields and filter on the same file.

The captures come out of our own engines, seeded: bootstraps, refreshes, detaches and user data of UEs that come and go
in waves. One is mostly user data (1,000,000 packets, 2 % signalling), one mostly signalling (50,000 packets, 60 %, 500
UEs). Both programs run in turn; the best of the rounds counts. Memory is that of the Python process alone, at 100,000
and at 1,000,000 packets. The captures are kept in the folder for temporary files.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mn_dsmip.agent.keylog import KeyLog  # noqa: E402  # the clone's packages are on the path only now
from mn_dsmip.check.flow.language import Flow, load  # noqa: E402
from mn_dsmip.check.flow.match import match  # noqa: E402
from mn_dsmip.check.pipeline import Totals, judge_stream  # noqa: E402
from mn_dsmip.check.reading import dissect, fields_reader  # noqa: E402
from mn_dsmip.check.reading.duplicates import Duplicates  # noqa: E402
from mn_dsmip.check.reading.keys import Keys  # noqa: E402
from mn_dsmip.check.reading.tshark import ISOLATED, isolated_folder  # noqa: E402
from mn_dsmip.check.rules import RULES  # noqa: E402
from mn_dsmip.check.rules.rule import judge  # noqa: E402
from mn_dsmip.check.separate import separate  # noqa: E402
from mn_dsmip.check.session import Session  # noqa: E402
from mn_dsmip.check.verdict import Verdict  # noqa: E402
from mn_dsmip.engine.ue_states import UeState  # noqa: E402
from tests.engine.hosts import echo_request, ipv6, with_checksum  # noqa: E402
from tests.engine.operator_network import CORRESPONDENT, Operator  # noqa: E402

VERSION = 1  # of the captures: another one makes them anew
FLOW = ROOT / "captures" / "initial-attach" / "flow.yaml"
ROUNDS = 3
START = 1_800_000_000.0
UDP, IPV6 = 17, 41
ACCESS = bytes.fromhex("20010db8000f0001")  # the first octets of the UEs' care-of addresses
ETHERNET = bytes.fromhex("020000000001 020000000002 86dd")
NANOSECOND_PCAP = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
PAYLOAD = 200  # octets of user data in a packet
GAP = 1e-5  # seconds between two packets of user data
APART = 70.0  # seconds between waves: longer than the checker waits for what is late


class Traffic(NamedTuple):
    """What a capture is made of."""

    name: str
    packets: int
    ues: int
    wave: int  # UEs at a time
    refreshes: int  # of each UE


SMALL = Traffic("100k", 100_000, 50, 50, 8)
LARGE = Traffic("1M", 1_000_000, 500, 50, 8)
DENSE = Traffic("signalling", 50_000, 500, 500, 18)


def folder_of(traffic: Traffic) -> Path:
    """Where the capture lies; made when it is not there yet, by a process of its own."""
    folder = Path(tempfile.gettempdir()) / f"mn-dsmip-bench-{os.getuid()}-{VERSION}" / traffic.name
    if not (folder / "trace.pcap").exists():
        subprocess.run([sys.executable, __file__, "make", traffic.name, str(folder)], check=True)
    return folder


def make(traffic: Traffic, folder: Path) -> None:
    operator = Operator(7).start()
    for begin in range(0, traffic.ues, traffic.wave):
        _wave(operator, begin, traffic)
    keys = KeyLog(folder / "wireshark")
    for node in (operator.gateway_node, *operator.nodes):
        for _, event in node.events:
            keys.take(event)
    wire = [one for one in operator.simulation.wire if ACCESS in (one[1][8:16], one[1][24:32])]
    data = sum(map(_is_data, (packet for _, packet in wire)))
    times = (traffic.packets - len(wire) + data) // data
    print(f"    {traffic.name}: {len(wire) - data:,} packets of signalling and pings, {data * times:,} of user data")
    unfinished = folder / "unfinished"
    with unfinished.open("wb") as file:
        file.write(NANOSECOND_PCAP)
        file.writelines(_records(wire, times))
    unfinished.rename(folder / "trace.pcap")


def _wave(operator: Operator, begin: int, traffic: Traffic) -> None:
    """UEs that attach, ping, refresh while they use the tunnel, and detach."""
    simulation = operator.simulation
    for _ in range(traffic.wave):
        operator.add_ue()
    ues, nodes = operator.ues[begin:], operator.nodes[begin:]
    assert simulation.run(lambda: all(ue.state is UeState.ATTACHED for ue in ues), 300)
    home = [str(ue.status(simulation.now)["home_address"]) for ue in ues]
    for own, node in zip(home, nodes, strict=True):
        simulation.apply(node, echo_request(own, CORRESPONDENT))
    _pass(operator, 1)
    for _ in range(traffic.refreshes):
        for ue, own, node in zip(ues, home, nodes, strict=True):
            simulation.apply(node, _user_data(own))
            simulation.do(node, ue.refresh)
        _pass(operator, 5)
    for ue, node in zip(ues, nodes, strict=True):
        simulation.do(node, ue.detach)
    assert simulation.run(lambda: all(ue.finished for ue in ues), 200)
    _pass(operator, APART)


def _pass(operator: Operator, seconds: float) -> None:
    operator.simulation.run(lambda: False, seconds)


def _user_data(source: str) -> bytes:
    here, there = IPv6Address(source).packed, IPv6Address(CORRESPONDENT).packed
    datagram = struct.pack("!HHHH", 4000, 5000, 8 + PAYLOAD, 0) + bytes(PAYLOAD)
    return ipv6(here, there, UDP, with_checksum(here, there, UDP, datagram, 6))


def _is_data(packet: bytes) -> bool:
    return packet[6] == IPV6 and packet[46] == UDP


def _records(wire: Iterable[tuple[float, bytes]], times: int) -> Iterator[bytes]:
    """Records of a pcap file; each packet of user data stands for as many."""
    for time_, packet in wire:
        frame = ETHERNET + packet
        for copy in range(times if _is_data(packet) else 1):
            seconds, fraction = divmod(START + time_ + copy * GAP, 1)
            yield struct.pack("<IIII", int(seconds), int(fraction * 1e9), len(frame), len(frame)) + frame


# -- measuring


def extract(folder: Path) -> float:
    """Seconds that tshark takes alone."""
    with isolated_folder(Keys.load(folder / "wireshark")) as settings:
        environment = {**os.environ, **dict.fromkeys(ISOLATED, settings)}
        command = fields_reader.arguments("tshark", str(folder / "trace.pcap"))
        return _seconds(lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True))


def check(folder: Path) -> tuple[float, dict[str, float]]:
    """Seconds that the checker takes, from its start to its end, and what it says of itself."""
    told: list[str] = []
    command = [sys.executable, __file__, "check", str(folder)]
    taken = _seconds(lambda: told.append(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout))
    return taken, json.loads(told[0])


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def judge_whole(folder: Path) -> dict[str, float]:
    """In a process of its own: the verdict on a capture, and this process's memory."""
    flow, totals = load(FLOW), Totals()
    verdict = Verdict(flow, detail=0)
    keys = Keys.load(folder / "wireshark")
    for judgement in judge_stream(folder / "trace.pcap", keys, flow, RULES, reader="tshark", totals=totals):
        verdict.add(judgement)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, passed = used.ru_utime + used.ru_stime, verdict.counts["pass"]
    return {"kib": used.ru_maxrss, "cpu": cpu, "read": totals.packets, "sessions": totals.sessions, "passed": passed}


def stages(folder: Path) -> Iterator[tuple[str, float, int]]:
    """Seconds of each stage by itself, and how many messages went in."""
    keys, flow = Keys.load(folder / "wireshark"), load(FLOW)
    begun = time.perf_counter()
    packets = list(fields_reader.read(folder / "trace.pcap", keys))
    yield "tshark and reading", time.perf_counter() - begun, len(packets)
    begun = time.perf_counter()
    messages = [one for one in map(dissect, packets) if one is not None]
    yield "dissect", time.perf_counter() - begun, len(messages)
    begun = time.perf_counter()
    messages = list(Duplicates()(messages))
    yield "duplicates", time.perf_counter() - begun, len(messages)
    begun = time.perf_counter()
    found = separate(messages)
    yield "separate", time.perf_counter() - begun, len(messages)
    yield from _judging(found, flow, len(messages))


def _judging(found: list[Session], flow: Flow, messages: int) -> Iterator[tuple[str, float, int]]:
    begun = time.perf_counter()
    for session in found:
        match(session, flow)
    yield "flow", time.perf_counter() - begun, messages
    begun = time.perf_counter()
    for session in found:
        for rule in RULES:
            judge(rule, session)
    yield "rules", time.perf_counter() - begun, messages


def compare(traffic: Traffic) -> dict[str, float]:
    folder = folder_of(traffic)
    alone, whole, told = [], [], dict[str, float]()
    for _ in range(ROUNDS):
        alone.append(extract(folder))
        taken, told = check(folder)
        whole.append(taken)
    best, ours = min(alone), min(whole)
    print(
        f"checker, {traffic.name}: {traffic.packets / ours:,.0f} packets/s,"
        f" tshark alone {traffic.packets / best:,.0f}/s, ratio {best / ours:.2f} (aim 0.80);"
        f" {told['kib'] / 1024:.0f} MiB; {told['read']:,.0f} packets read, {told['sessions']:.0f} sessions,"
        f" {told['passed']:.0f} pass; {told['cpu'] / told['read'] * 1e6:.0f} us of the Python process per packet read"
    )
    return told


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["make"]:
        name, folder = arguments[1:]
        make(next(one for one in (SMALL, LARGE, DENSE) if one.name == name), Path(folder))
    elif arguments[:1] == ["check"]:
        print(json.dumps(judge_whole(Path(arguments[1]))))
    else:
        compare(DENSE)
        large = compare(LARGE)
        _, small = check(folder_of(SMALL))
        print(
            f"checker: memory {small['kib'] / 1024:.0f} MiB at 100,000 packets, {large['kib'] / 1024:.0f} at 1,000,000"
        )
        print("where the time goes (signalling, each stage by itself):")
        for name, taken, messages in stages(folder_of(DENSE)):
            print(f"    {taken / messages * 1e6:6.1f} us per message  {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
