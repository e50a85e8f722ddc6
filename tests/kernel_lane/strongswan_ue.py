# SPDX-License-Identifier: GPL-2.0-or-later
"""Run inside the kernel lane by test_strongswan.py: strongSwan with the kernel's ESP and Mobile IPv6 as a UE.

    ue ns                                                    ha ns
    charon, kernel XFRM --- ue0 ======================= ha0 --- `mn-dsmip gateway`, home agent 2001:db8:aaaa::1
    home address on ue0, care-of address 2001:db8:1::2          lo: correspondent 2001:db8:c::80

strongSwan makes the SAs (``mode = transport_proxy``: between home address and home agent, RFC 4877 4); what a Mobile
IPv6 daemon would add are the kernel's Home Address option, type 2 Routing Header, and the policies that join them to
ESP (RFC 6275 6.3, 6.4; RFC 4877 4.1). Tests build on each other, in their order.
"""

from __future__ import annotations

import csv
import select
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.wire.ip import MOBILITY_HEADER
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingUpdate, build_mobility, parse_mobility
from mn_dsmip.wire.mobility_options import AlternateCareOfAddress
from tests.interop.peers.charon import Charon
from tests.interop.peers.keys import EspKeys, SaKeys
from tests.interop.peers.network import HA, UE, Field, field
from tests.interop.peers.ours import Agent
from tests.kernel_lane.xfrm import REQID, KernelSa, Keys, kernel_sas, move, protect, told

pytestmark = pytest.mark.timeout(100)
HOME_AGENT, CORRESPONDENT = IPv6Address("2001:db8:aaaa::1"), IPv6Address("2001:db8:c::80")
CORRESPONDENT_IPV4 = IPv4Address("198.51.100.80")
ELSEWHERE = IPv6Address("2001:db8:1::77")
"""A second care-of address."""
NAME, PEER, PSK = "pgw.example.net", "ue@example.net", "a secret of ours and theirs"
PATIENCE = 20.0
LIFETIME = 600
"""Seconds, of the binding."""
GATEWAY = f"""\
version: 1
role: gateway
name: gateway
journal: gateway.jsonl
keylog: keys
addresses: {{ipv6: "{HOME_AGENT}", ipv4: null}}
pools: {{ipv6: {{internet: "2001:db8:200::/48"}}, ipv4: {{internet: 10.45.0.0/24}}}}
ike:
  fqdn: {NAME}
  psk: {PSK}
  suites:
    ike: [aes256gcm16-prfsha256-curve25519]
    esp: [aes256gcm16-aes128gcm16, aes256-aes128-sha1-sha256-sha384-sha512, null-sha256]
"""
SUITES = ("aes128gcm16", "aes256-sha256", "aes128-sha384", "aes256-sha512", "aes128-sha1", "null-sha256")
"""Beside the one of all other tests."""


class Peers:
    """Both ends and their namespaces; what a Mobile IPv6 daemon does at the UE."""

    def __init__(self, meeting: Field, folder: Path) -> None:
        self.ue, self.folder = meeting.ue, folder
        meeting.ue.run(f"ip -6 route add default via {HA}")
        meeting.ha.run(f"ip addr add {CORRESPONDENT}/128 dev lo nodad", f"ip addr add {CORRESPONDENT_IPV4}/32 dev lo")
        config = folder / "gateway.yaml"
        config.touch(mode=0o600)
        config.write_text(GATEWAY)
        self.gateway = Agent(meeting.ha, "gateway", config)
        self.charon = Charon(meeting.ue, folder, settings={"install_virtual_ip": "no"})
        self.home, self.care_of = IPv6Address(0), UE
        self.sequence = 0

    def connect(self, home: IPv6Address | None = None, suite: str = "aes256gcm16", encap: str = "no") -> None:
        """Tell strongSwan all that it needs; in proxy mode it must know the home address. Nothing is sent."""
        mobility = {
            "local_ts": [f"{home}/128[135]"], "remote_ts": [f"{HOME_AGENT}/128[135]"], "mode": "transport_proxy",
            "esp_proposals": [suite], "policies": "no", "reqid": str(REQID),
        }  # fmt: skip
        user = {"remote_ts": [f"{CORRESPONDENT}/128", f"{CORRESPONDENT_IPV4}/32"], "esp_proposals": ["aes256gcm16"]}
        self.charon.load_conn(
            "s2c",
            local_addrs=[str(UE)],
            remote_addrs=[str(HOME_AGENT)],
            proposals=["aes256gcm16-prfsha256-curve25519"],
            vips=["::", "0.0.0.0"],
            encap=encap,
            local={"auth": "psk", "id": PEER},
            remote={"auth": "psk", "id": NAME},
            children={"user": user, **({"mh": mobility} if home else {})},
        )
        self.charon.load_psk(PSK.encode())

    def live_at(self, home: IPv6Address) -> None:
        """The kernel's part of Mobile IPv6, for the home address that IKE gave."""
        self.home = home
        self.ue.run(f"ip addr add {home}/128 dev ue0 home nodad")
        protect(self.ue, home, HOME_AGENT, UE, at_agent=False)

    def move_to(self, care_of: IPv6Address) -> None:
        """The kernel's part of a handover; SAs of ESP know nothing of it."""
        self.care_of = care_of
        self.ue.run(f"ip addr add {care_of}/64 dev ue0 nodad")
        move(self.ue, self.home, HOME_AGENT, care_of)

    def register(self, lifetime: int = LIFETIME) -> BindingAcknowledgement:
        """Send a Binding Update as any program does, from the home address; the kernel does all the rest both ways."""
        self.sequence += 1
        update = BindingUpdate(
            self.sequence, acknowledge=True, home=True, key_management=True, lifetime=lifetime // 4,
            options=(AlternateCareOfAddress(self.care_of),),
        )  # fmt: skip
        with self.ue:
            way = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER)
        with way:
            way.bind((str(self.home), 0))
            way.sendto(build_mobility(update, self.home, HOME_AGENT), (str(HOME_AGENT), 0))
            assert select.select([way], [], [], PATIENCE)[0], (told(self.ue), self.gateway.ask("status"))
            content, sender = way.recvfrom(2048)
        assert sender[0] == str(HOME_AGENT)
        answer = parse_mobility(content, HOME_AGENT, self.home)
        assert isinstance(answer, BindingAcknowledgement)
        return answer

    def gateway_keys(self) -> dict[bytes, Keys]:
        """By SPI, of all SAs that our gateway has had."""
        lines = csv.reader((self.folder / "keys" / "esp_sa").read_text().splitlines())
        return {
            bytes.fromhex(line[3][2:]): Keys(bytes.fromhex(line[5][2:]), bytes.fromhex(line[7][2:])) for line in lines
        }

    def gateway_ike_keys(self) -> set[frozenset[str]]:
        """SK_ei and SK_er of all IKE SAs that our gateway has had."""
        lines = csv.reader((self.folder / "keys" / "ikev2_decryption_table").read_text().splitlines())
        return {frozenset(line[2:4]) for line in lines}

    def spis(self) -> set[bytes]:
        """Of the ESP SAs that the kernel holds now."""
        return set(kernel_sas(self.ue))

    def agree(self) -> dict[bytes, KernelSa]:
        """The kernel's SAs, which are two at least, after showing that all three know the same keys for them."""
        kernel = kernel_sas(self.ue)
        assert len(kernel) >= 2
        ours, theirs = self.gateway_keys(), self.charon.child_keys()
        assert {spi: each.keys for spi, each in kernel.items()} == {spi: ours.get(spi) for spi in kernel}
        for child in _pairs(theirs, set(kernel)):
            assert child.keys == {kernel[spi].keys for spi in child.spis}
        assert {frozenset((keys.ei.hex(), keys.er.hex())) for keys in self.ike_keys()} == self.gateway_ike_keys()
        return kernel

    def ike_keys(self) -> list[SaKeys]:
        """As strongSwan has them."""
        return self.charon.ike_keys()

    def close(self) -> None:
        """End both."""
        self.charon.close()
        self.gateway.close()


def _pairs(theirs: list[EspKeys], spis: set[bytes]) -> list[EspKeys]:
    """Those of strongSwan's child SAs that are in the kernel; together they are all that is there."""
    found = [each for each in theirs if each.spis <= spis]
    assert set().union(*(each.spis for each in found)) == spis
    return found


def until(condition: Callable[[], object], problem: Callable[[], object]) -> None:
    """Wait for a condition, within limits."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, problem()
        time.sleep(0.1)  # a poll of a condition that has its limit


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with field() as meeting:
        found = Peers(meeting, tmp_path_factory.mktemp("peers"))
        yield found
        found.close()


def mobility_sas(peers: Peers) -> list[KernelSa]:
    """The kernel's SAs for the Mobility Header, one each way, after showing that the keys of all its SAs agree."""
    found = [each for each in peers.agree().values() if each.mode == "transport"]
    ends = (str(peers.home), str(HOME_AGENT))
    assert sorted((each.source, each.destination) for each in found) == sorted((ends, ends[::-1]))
    return found


def ping(peers: Peers, source: str, destination: object, size: int) -> None:
    """Three echoes of that many octets, all answered once both hosts know the path's MTU."""
    command = f"ping -n -i 0.5 -s {size} -I {source} {destination}"
    said = peers.ue.run(f"[ {size} -lt 1000 ] || {command} -c 2 -W 1 >/dev/null || :", f"{command} -c 3 -W 5 || :")
    assert " 0% packet loss" in said, f"{said}\n{told(peers.ue)}\n{peers.gateway.ask('status')}"


def test_user_plane(peers: Peers) -> None:
    peers.connect()
    peers.charon.initiate("user").result()
    (sa,) = peers.charon.sas()
    home, ipv4 = sorted(sa["local-vips"], key=len, reverse=True)
    peers.ue.run(f"ip addr add {ipv4}/32 dev ue0", f"ip route add {CORRESPONDENT_IPV4} dev ue0 src {ipv4}")
    peers.live_at(IPv6Address(home))
    ping(peers, home, CORRESPONDENT, 56)
    assert [(each.mode, each.packets) for each in peers.agree().values()] == [("tunnel", 3)] * 2
    for size in (1400, 4000):
        ping(peers, home, CORRESPONDENT, size)
    for size in (56, 1400, 4000):
        ping(peers, ipv4, CORRESPONDENT_IPV4, size)


def test_established(peers: Peers) -> None:
    peers.connect(peers.home)
    peers.charon.initiate("mh").result()
    assert [each.packets for each in mobility_sas(peers)] == [0, 0]


def test_used(peers: Peers) -> None:
    answer = peers.register()
    assert (answer.status, answer.sequence, answer.lifetime) == (0, peers.sequence, LIFETIME // 4)
    binding = peers.gateway.await_entry("binding_created")["binding"]
    assert (binding["home_address"], binding["care_of_address"]) == (str(peers.home), str(UE))
    assert [each.packets for each in mobility_sas(peers)] == [1, 1]


def test_moved(peers: Peers) -> None:
    before = {each.spi for each in mobility_sas(peers)}
    peers.move_to(ELSEWHERE)
    assert peers.register().status == 0
    binding = peers.gateway.await_entry("binding_updated")["binding"]
    assert binding["care_of_address"] == str(ELSEWHERE)
    assert [(each.spi in before, each.packets) for each in mobility_sas(peers)] == [(True, 2)] * 2


def test_rekeyed(peers: Peers) -> None:
    before = peers.spis()
    old = {each.spi for each in mobility_sas(peers)}
    peers.charon.rekey(child="mh").result()
    until(lambda: len(peers.spis() - before) == 2 and not peers.spis() & old, peers.charon.tail)
    assert peers.register().status == 0
    assert [each.packets for each in mobility_sas(peers)] == [1, 1]


def test_rekeyed_by_us(peers: Peers) -> None:
    before = peers.spis()
    peers.gateway.ask("rekey", subscriber=PEER)
    until(lambda: len(peers.spis()) == len(before) and not peers.spis() & before, peers.charon.tail)
    peers.gateway.await_entry("ike_sa_rekeyed")
    assert peers.register().status == 0
    assert [each.packets for each in mobility_sas(peers)] == [1, 1]


def test_ike_rekeyed(peers: Peers) -> None:
    before = peers.spis()
    peers.charon.rekey(ike="s2c").result()
    until(lambda: len(peers.ike_keys()) == 3 and len(peers.charon.sas()) == 1, peers.charon.tail)
    assert peers.register().status == 0
    assert set(peers.agree()) == before


def delete_mobility(peers: Peers) -> None:
    """Have strongSwan delete its child SA for the Mobility Header; our gateway forgets it, too."""
    (spi,) = (each.spi for each in mobility_sas(peers) if each.destination == str(HOME_AGENT))
    peers.charon.terminate(child="mh").result()
    peers.gateway.await_entry("child_sa_closed", inbound_spi=spi.hex())
    assert [each.mode for each in kernel_sas(peers.ue).values()] == ["tunnel", "tunnel"]


def test_deleted(peers: Peers) -> None:
    assert peers.register(lifetime=0).status == 0
    peers.gateway.await_entry("binding_removed")
    delete_mobility(peers)


def test_suites(peers: Peers) -> None:
    for suite in SUITES:
        peers.connect(peers.home, suite)
        peers.charon.initiate("mh").result()
        assert peers.register().status == 0, suite
        assert [each.packets for each in mobility_sas(peers)] == [1, 1], suite
        delete_mobility(peers)


def test_ended_by_strongswan(peers: Peers) -> None:
    peers.charon.terminate(ike="s2c").result()
    peers.gateway.await_entry("ike_sa_closed")
    assert not peers.spis()
    assert peers.gateway.ask("status")["sessions"] == 0


def test_user_plane_in_udp(peers: Peers) -> None:
    peers.connect(encap="yes")  # as if there were a NAT
    peers.charon.initiate("user").result()
    assert peers.ue.run("ip xfrm state").count("encap type espinudp sport 4500 dport 4500") == 2
    ping(peers, str(peers.home), CORRESPONDENT, 56)
    assert [each.packets for each in peers.agree().values()] == [3, 3]
    peers.charon.terminate(ike="s2c").result()
    peers.gateway.await_entry("ike_sa_closed", 2)


def test_ended_by_us(peers: Peers) -> None:
    peers.connect(peers.home)
    for child in ("user", "mh"):
        peers.charon.initiate(child).result()
    assert len(mobility_sas(peers)) == 2
    status, said = peers.gateway.end()
    assert status == 0, said
    until(lambda: not peers.spis(), peers.charon.tail)
    assert peers.charon.said(r"received DELETE for IKE_SA")
