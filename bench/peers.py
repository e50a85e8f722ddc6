# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE set-ups a second: our gateway and strongSwan's responder, both with strongSwan as initiator, in turns.

A set-up is IKE_SA_INIT and IKE_AUTH with a PSK, an IPv6 address and a child SA, with aes256gcm16-prfsha256-curve25519.
Ours is the whole agent, `mn-dsmip gateway`, with its tunnel device and journal; strongSwan is charon with a quiet log.
Both ends share the machine's cores with the initiator. The second table is the other way round: how long our UE's IKE
takes from the first octet to the child SA, with our gateway and with strongSwan as responder.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mn_dsmip.engine.ike.child import mobility_selector  # noqa: E402
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished, Selectors  # noqa: E402
from tests.interop.peers.charon import Charon  # noqa: E402
from tests.interop.peers.network import HA, UE, Field, field  # noqa: E402
from tests.interop.peers.ours import Agent, Initiator  # noqa: E402
from tests.interop.responding import our_config  # noqa: E402

SUITE, NAME, PSK = "aes256gcm16-prfsha256-curve25519", "internet", "a secret of ours and theirs"
OUR_ADDRESS = "2001:db8:aaaa::1"
PEERS, AT_ONCE, ROUNDS, ATTACHES = 120, 8, 3, 60
LOOSE: dict[str, Any] = {"dos_protection": "no", "ikesa_table_size": 256}
CONFIGURATION = f"""\
version: 1
role: gateway
name: gateway
journal: gateway.jsonl
addresses: {{ipv6: "{OUR_ADDRESS}", ipv4: null}}
pools: {{ipv6: {{{NAME}: "2001:db8:200::/48"}}, ipv4: {{}}}}
ike: {{psk: {PSK}, cookie_threshold: 1000}}
"""


@contextmanager
def our_gateway(place: Field, folder: Path) -> Iterator[str]:
    """The agent; its address."""
    config = folder / "gateway.yaml"
    config.touch(mode=0o600)
    config.write_text(CONFIGURATION)
    agent = Agent(place.ha, "gateway", config)
    try:
        yield OUR_ADDRESS
    finally:
        agent.end()
        agent.close()


@contextmanager
def their_gateway(place: Field, folder: Path) -> Iterator[str]:
    """strongSwan's responder; its address."""
    charon = Charon(place.ha, folder, "responder", shim=True, settings=LOOSE, quiet=True)
    charon.load_psk(PSK.encode())
    charon.load_pool("home", addrs="2001:db8:100:1::/112")
    charon.load_conn(
        "s2c", local_addrs=[str(HA)], proposals=[SUITE], pools=["home"], unique="no",
        local={"auth": "psk", "id": NAME}, remote={"auth": "psk", "id": "%any"},
        children={"user": {"local_ts": ["::/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"},
                  "mh": {"local_ts": [f"{HA}/128[135]"], "remote_ts": ["::/0[135]"], "mode": "transport_proxy",
                         "esp_proposals": ["aes256gcm16"], "policies": "no"}},
    )  # fmt: skip
    try:
        yield str(HA)
    finally:
        charon.close()


GATEWAYS = {"mn-dsmip gateway": our_gateway, "strongSwan 5.9.8": their_gateway}


def set_ups(place: Field, folder: Path, address: str) -> tuple[float, float]:
    """Set-ups a second with strongSwan as initiator, and one's median duration in seconds."""
    charon = Charon(place.ue, folder, "initiator", shim=True, settings=LOOSE, quiet=True)
    try:
        charon.load_psk(PSK.encode())
        common = {"local_addrs": [str(UE)], "remote_addrs": [address], "proposals": [SUITE], "vips": ["::"]}
        for number in range(PEERS):
            charon.load_conn(
                f"s{number}", **common, unique="no",
                local={"auth": "psk", "id": f"ue{number}@example.net"}, remote={"auth": "psk", "id": NAME},
                children={f"c{number}": {"remote_ts": ["::/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"}},
            )  # fmt: skip

        def one(number: int) -> float:
            begun = time.perf_counter()
            charon.initiate(f"c{number}").result(30)
            return time.perf_counter() - begun

        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = time.perf_counter()
            durations = list(pool.map(one, range(PEERS)))
            return PEERS / (time.perf_counter() - begun), statistics.median(durations)
    finally:
        charon.close()


def attach_latency(place: Field, address: str) -> float:
    """The median duration in seconds of our own initiator's set-ups, one after the other."""
    home_agent = IPv6Address(address)
    whole = mobility_selector(IPv6Address(0), IPv6Address(2**128 - 1))
    child = Selectors((whole,), (mobility_selector(home_agent),), transport=True)
    durations = []
    for number in range(ATTACHES):
        begun = time.perf_counter()
        config = replace(our_config(psk=PSK.encode(), apn=NAME, first_child=child), identity=f"a{number}@example.net")
        ours = Initiator(place.ue, config, UE, home_agent)
        try:
            ours.run(lambda end=ours: end.of(IkeSaEstablished) and end.of(ChildSaEstablished))
            durations.append(time.perf_counter() - begun)
            ours.engine.delete(time.monotonic())
            ours.run(lambda end=ours: end.engine.closed)
        finally:
            ours.close()
    return statistics.median(durations)


def main() -> None:
    """Print both tables."""
    rates: dict[str, list[float]] = {name: [] for name in GATEWAYS}
    medians: dict[str, list[float]] = {name: [] for name in GATEWAYS}
    latencies: dict[str, list[float]] = {name: [] for name in GATEWAYS}
    for _ in range(ROUNDS):
        for name, gateway in GATEWAYS.items():
            with field() as place, tempfile.TemporaryDirectory() as folder:
                place.ue.run(f"ip -6 route add default via {HA}")
                with gateway(place, Path(folder)) as address:
                    rate, median = set_ups(place, Path(folder), address)
                    rates[name].append(rate)
                    medians[name].append(median)
                    latencies[name].append(attach_latency(place, address))
    ours, theirs = (statistics.median(rates[name]) for name in GATEWAYS)
    print(f"IKE set-ups with strongSwan as initiator, {AT_ONCE} at once, PSK, {SUITE}:")
    for name in GATEWAYS:
        each = ", ".join(f"{rate:.0f}" for rate in rates[name])
        middle = statistics.median(medians[name]) * 1e3
        print(f"  {name:<18} {statistics.median(rates[name]):6.0f}/s ({each}), one takes {middle:.1f} ms")
    print(f"  ratio ours / strongSwan's: {ours / theirs:.2f}")
    print("Our UE's IKE_SA_INIT and IKE_AUTH, one after the other, median:")
    for name in GATEWAYS:
        print(f"  {name:<18} {statistics.median(latencies[name]) * 1e3:6.1f} ms")


if __name__ == "__main__":
    main()
