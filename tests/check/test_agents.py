# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents' own bytes before the judge: simulated runs, written to a capture with their keys."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from mn_dsmip.agent.keylog import KeyLog
from mn_dsmip.engine.effects import RefreshSucceeded
from mn_dsmip.engine.ike.aka_common import AKA_PRIME
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.ue_states import UeState
from tests.check.conftest import Case, judged_file
from tests.check.forge import PUBLISHED, Forger, Frame, write_capture
from tests.engine.hosts import echo_request
from tests.engine.operator_network import ACCESS, CORRESPONDENT, CORRESPONDENT_IPV4, Operator
from tests.engine.simulation import Conditions

START = 1_800_000_000.0
ACCESS_BYTES = bytes.fromhex("20010db8000f0001")  # of ACCESS, the UEs' link


def simulated(folder: Path, operator: Operator, ues: int = 1, **changes: object) -> Case:
    """Attach, ping both ways, refresh, detach; what the access link saw becomes a capture."""
    assert ACCESS == "2001:db8:f:1::/64"
    sim = operator.start().simulation
    for _ in range(ues):
        operator.add_ue(**changes)
    assert sim.run(lambda: all(ue.state is UeState.ATTACHED for ue in operator.ues), 300)
    for ue, node in zip(operator.ues, operator.nodes, strict=True):
        status = ue.status(sim.now)
        for own, far in (("home_address", CORRESPONDENT), ("ipv4_home_address", CORRESPONDENT_IPV4)):
            for _ in range(30):  # on a bad network a ping may be lost
                sim.apply(node, echo_request(str(status[own]), far))
                if sim.run(lambda: answered(node.home, far), 1):  # noqa: B023  # called within this round
                    break
        sim.do(node, ue.refresh)
        assert sim.run(lambda: bool(node.seen(RefreshSucceeded)), 200)  # noqa: B023  # called within this round
        sim.do(node, ue.detach)
        assert sim.run(lambda: ue.finished, 200)  # noqa: B023  # called within this round
    return written(folder, operator)


def answered(packets: list[bytes], source: str) -> bool:
    return any(ip_address(source).packed in packet[:40] for packet in packets)


def written(folder: Path, operator: Operator) -> Case:
    keys = KeyLog(folder / "wireshark")
    for node in (operator.gateway_node, *operator.nodes):
        for _, event in node.events:
            keys.take(event)
    forger = Forger(PUBLISHED, start=START)
    forger.router_advertisement()
    seen = [
        Frame(START + 1 + time, "", packet)
        for time, packet in operator.simulation.wire
        if packet[0] >> 4 == 6 and ACCESS_BYTES in (packet[8:16], packet[24:32])
    ]
    write_capture(folder / "trace.pcapng", forger.frames + seen)
    return Case(folder / "trace.pcapng", folder / "wireshark")


def problems(case: Case) -> list[str]:
    """Whatever is worse than a note, and the verdict's own words when it is no pass."""
    verdict, _ = judged_file(case.capture, case.keys)
    found = [
        f"{one.step.step.name if one.step else one.rule and one.rule.ident} in frame {one.frame}"
        for judgement in verdict.judgements
        for one in judgement.problems
        if one.severity == "violation"
    ]
    found += [f"unseen: {one.step.name}" for judgement in verdict.judgements for one in judgement.unseen_steps]
    found += [f"unseen: {one.rule.ident}" for judgement in verdict.judgements for one in judgement.unseen_rules]
    return found if verdict.verdict != "pass" else []


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_attach_refresh_detach(profile: str, tmp_path: Path) -> None:
    operator = Operator()
    operator.ike = replace(operator.ike, profile=PROFILES[profile])
    case = simulated(tmp_path, operator, profile=PROFILES[profile])
    assert problems(case) == []


def test_aka_prime(tmp_path: Path) -> None:
    assert problems(simulated(tmp_path, Operator(), flavour=AKA_PRIME, network_name=b"WLAN")) == []


def test_three_ues(tmp_path: Path) -> None:
    case = simulated(tmp_path, Operator(), ues=3)
    assert problems(case) == []
    assert len(judged_file(case.capture, case.keys)[0].judgements) == 3


@pytest.mark.parametrize("seed", range(6))
def test_lossy_network(seed: int, tmp_path: Path) -> None:
    """A fifth of all packets lost, some doubled, some overtaken: repetitions, but nothing against a clause."""
    conditions = Conditions(loss=0.2, duplication=0.05, jitter=0.05)
    assert problems(simulated(tmp_path, Operator(seed, conditions))) == []


def capture_in_the_middle(operator: Operator, seed: int) -> None:
    """What gets lost is lost before the capture as often as behind it."""
    sim, dice = operator.simulation, random.Random(seed)
    send = sim.send

    def sent(packet: bytes) -> None:
        waiting = len(sim._queue)
        send(packet)
        if len(sim._queue) == waiting and dice.random() < 0.5:
            sim.wire.pop()

    sim.send = sent  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", [0, 1, 2, 25])
def test_lossy_network_seen_from_its_middle(seed: int, tmp_path: Path) -> None:
    """An update may be lost unseen, and an acknowledgement that is seen may not arrive: still repetitions."""
    operator = Operator(seed, Conditions(loss=0.2))
    capture_in_the_middle(operator, seed)
    assert problems(simulated(tmp_path, operator)) == []
