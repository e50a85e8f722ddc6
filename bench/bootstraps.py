# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole bootstraps a second: UE and PDN GW engines in one process, over the in-memory network of the tests.

One bootstrap is DNS discovery, IKE_SA_INIT, IKE_AUTH with EAP-AKA and the gateway's certificate, CREATE_CHILD_SA,
Binding Update and Acknowledgement: both ends, with the suites of the `modern` profile and an Ed25519 certificate. The
network itself runs in the same process and counts as well; the DNS server, which is neither end, answers from a cache.
Where the time goes is profiled in a run of its own.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mn_dsmip.engine.ue_states import UeState  # noqa: E402  # the clone's tests are on the path only now
from tests.engine.hosts import DnsHost, ipv6, with_checksum  # noqa: E402
from tests.engine.operator_network import DNS_SERVER, Operator  # noqa: E402

UDP = 17
UES, ROUNDS = 200, 5
SHOWN = 12


class CachingDnsHost(DnsHost):
    """Remembers its answer to each question, and writes only ids, ports and addresses anew."""

    def __init__(self, known: DnsHost) -> None:
        super().__init__({})
        self.records = known.records
        self._answers_to: dict[bytes, bytes] = {}

    def answer(self, packet: bytes) -> bytes | None:
        question, identifier = packet[50:], packet[48:50]
        if question not in self._answers_to:
            answer = super().answer(packet)
            assert answer is not None
            self._answers_to[question] = answer[50:]
        here, there = packet[24:40], packet[8:24]
        body = identifier + self._answers_to[question]
        datagram = packet[42:44] + packet[40:42] + (8 + len(body)).to_bytes(2, "big") + b"\0\0" + body
        return ipv6(here, there, UDP, with_checksum(here, there, UDP, datagram, 6))


def prepared(seed: int) -> Operator:
    """A gateway and UEs that wait for the word."""
    operator = Operator(seed)
    operator.simulation.add("dns", CachingDnsHost(operator.dns), DNS_SERVER)
    operator.start()
    for _ in range(UES):
        operator.add_ue(attach=False)
    return operator


def attach_all(operator: Operator) -> None:
    simulation = operator.simulation
    for ue, node in zip(operator.ues, operator.nodes, strict=True):
        simulation.do(node, ue.attach)
    simulation.run(lambda: operator.ues[-1].state is UeState.ATTACHED, 300)
    simulation.run(lambda: all(ue.state is UeState.ATTACHED for ue in operator.ues), 300)
    missing = [ue for ue in operator.ues if ue.state is not UeState.ATTACHED]
    assert not missing, f"{len(missing)} UEs did not attach, the first is {missing[0].state}"


def seconds(operator: Operator) -> float:
    begun = time.perf_counter()
    attach_all(operator)
    return time.perf_counter() - begun


def shares(operator: Operator) -> Counter[str]:
    """Module -> share of the time spent in it; what is compiled (cryptography, hashlib) goes by its function's name."""
    profile = cProfile.Profile()
    profile.runcall(attach_all, operator)
    found: Counter[str] = Counter()
    for (file, _, function), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        found[_place(file, function)] += own
    total = sum(found.values())
    return Counter({place: own / total for place, own in found.items()})


def _place(file: str, function: str) -> str:
    path = Path(file)
    if path.is_relative_to(ROOT / "mn_dsmip"):
        return str(path.relative_to(ROOT).with_suffix(""))
    if path.is_relative_to(ROOT / "tests"):
        return "the simulated network (tests/engine)"
    if "dns" in path.parts:
        return "dnspython"
    if "cryptography" in path.parts or "cryptography" in function or "openssl" in function:
        return "cryptography"
    return "Python itself: hashlib, hmac, ipaddress, struct, …"


def main() -> None:
    best = min(seconds(prepared(seed)) for seed in range(ROUNDS))
    print(f"bootstraps: {UES / best:,.0f}/s, both ends in one process, {best / UES * 1000:.2f} ms each")
    print("where the time goes (profiled, which costs Python code more than compiled code):")
    for place, share in shares(prepared(ROUNDS)).most_common(SHOWN):
        print(f"    {share:>6.1%}  {place}")


if __name__ == "__main__":
    main()
