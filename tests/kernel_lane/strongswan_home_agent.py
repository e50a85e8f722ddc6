# SPDX-License-Identifier: GPL-2.0-or-later
"""Run inside the kernel lane by test_strongswan.py: strongSwan and the kernel's ESP and Mobile IPv6 as a home agent.

    ue ns                                       ha ns
    our IKE and ESP --- ue0 =============== ha0 --- charon, kernel XFRM; home agent 2001:db8:1::1

The home agent's own part, an answer to a Binding Update, is played by the test. Tests build on each other, in order.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mn_dsmip.crypto.kdf import ChildKeys
from mn_dsmip.engine.ike.events import ChildSa, ChildSaClosed, ChildSaEstablished
from mn_dsmip.engine.mip.packet import MobilityPacket
from mn_dsmip.engine.protection import EspDatabase, open_mobility, seal_mobility
from mn_dsmip.wire.ip import ESP, MOBILITY_HEADER, parse_ipv6
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingUpdate, build_mobility, parse_mobility
from mn_dsmip.wire.mobility_options import AlternateCareOfAddress
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import HA, UE, Field, field
from tests.interop.peers.ours import Initiator
from tests.interop.responding import FOR_HOME, HOME, attached, home_agent, same_keys
from tests.kernel_lane.xfrm import REQID, KernelSa, Keys, kernel_sas, protect, told

pytestmark = pytest.mark.timeout(100)
PATIENCE = 20.0
ETH_P_IPV6 = 0x86DD
LIFETIME = 150
"""Of the binding, in units of four seconds."""


class Peers:
    """Both ends and their namespaces; the home agent's sockets."""

    def __init__(self, meeting: Field, folder: Path) -> None:
        self.ue, self.ha = meeting.ue, meeting.ha
        self.charon = Charon(meeting.ha, folder)
        mobility = {
            "local_ts": [f"{HA}/128[135]"], "remote_ts": [f"{HOME}/128[135]"], "mode": "transport_proxy",
            "esp_proposals": ["aes256gcm16"], "policies": "no", "reqid": str(REQID),
        }  # fmt: skip
        home_agent(self.charon, children={"mh": mobility})
        meeting.ha.run(f"ip -6 route add {HOME}/128 dev ha0")
        protect(meeting.ha, HOME, HA, UE, at_agent=True)
        with meeting.ha:
            self.signalling = socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER)
        with meeting.ue:
            self.sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
            self.receiver.bind(("ue0", ETH_P_IPV6))
        self.ours: Initiator = attached(meeting, first_child=FOR_HOME)
        self.database = EspDatabase(os.urandom)
        self.sequence = 0

    def children(self) -> list[ChildSa]:
        """Ours that are not closed."""
        closed = {each.inbound_spi for each in self.ours.of(ChildSaClosed)}
        made = [each.child for each in self.ours.of(ChildSaEstablished)]
        return [each for each in made if each.inbound_spi not in closed]

    def settled(self) -> ChildSa:
        """Our one child SA, as soon as the kernel has it and no other."""
        self.ours.run(lambda: len(self.children()) == 1 and set(kernel_sas(self.ha)) == _spis(self.children()[0]))
        return self.children()[0]

    def agree(self, packets: int) -> None:
        """The kernel's SAs are ours, with the same keys, between home address and home agent, and so often used."""
        child = self.settled()
        home, agent = str(HOME), str(HA)
        assert sorted(kernel_sas(self.ha).values()) == sorted((
            KernelSa(home, agent, child.outbound_spi, "transport", _both(child.outbound_keys), packets),
            KernelSa(agent, home, child.inbound_spi, "transport", _both(child.inbound_keys), packets),
        ))  # fmt: skip

    def register(self) -> None:
        """Our Binding Update in our ESP, opened by the kernel; the kernel's answer opened by us."""
        pair = self.database.add(b"", self.settled())
        self.sequence += 1
        options = (AlternateCareOfAddress(UE),)
        update = BindingUpdate(self.sequence, acknowledge=True, home=True, lifetime=LIFETIME, options=options)
        sealed = seal_mobility(pair, MobilityPacket(update, HOME, HA, UE), from_mobile_node=True)
        self.sender.sendto(sealed, (str(HA), 0))
        assert select.select([self.signalling], [], [], PATIENCE)[0], told(self.ha)
        content, sender = self.signalling.recvfrom(2048)
        assert (sender[0], parse_mobility(content, HOME, HA)) == (str(HOME), update)
        answer = BindingAcknowledgement(0, sequence=self.sequence, lifetime=LIFETIME)
        self.signalling.sendto(build_mobility(answer, HA, HOME), (str(HOME), 0))
        assert self._opened() == MobilityPacket(answer, HOME, HA, UE)

    def _opened(self) -> MobilityPacket:
        """The next message that our SAs open."""
        counters: Counter[str] = Counter()
        deadline = time.monotonic() + PATIENCE
        while select.select([self.receiver], [], [], max(deadline - time.monotonic(), 0))[0]:
            packet, address = self.receiver.recvfrom(2048)
            outer = parse_ipv6(packet)
            if address[2] == socket.PACKET_OUTGOING or outer.protocol != ESP:
                continue
            if (opened := open_mobility(self.database, outer, True, counters)) is not None:
                return opened[1]
        raise AssertionError(f"{counters}\n{told(self.ha)}")

    def close(self) -> None:
        """End all."""
        self.ours.close()
        self.charon.close()
        for each in (self.signalling, self.sender, self.receiver):
            each.close()


def _spis(child: ChildSa) -> set[bytes]:
    return {child.inbound_spi, child.outbound_spi}


def _both(keys: ChildKeys) -> Keys:
    return Keys(keys.encryption, keys.integrity)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with field() as meeting:
        found = Peers(meeting, tmp_path_factory.mktemp("peers"))
        yield found
        found.close()


def test_established(peers: Peers) -> None:
    same_keys(peers.ours, peers.charon, 1, 1)
    peers.agree(packets=0)


def test_used(peers: Peers) -> None:
    peers.register()
    peers.agree(packets=1)


def test_rekeyed_by_us(peers: Peers) -> None:
    old = peers.settled()
    peers.ours.engine.rekey_child(old.inbound_spi, time.monotonic())
    peers.ours.run(lambda: peers.children() and peers.children()[0] != old)
    assert not _spis(peers.settled()) & _spis(old)
    peers.register()
    peers.agree(packets=1)


def test_rekeyed_by_strongswan(peers: Peers) -> None:
    old = peers.settled()
    peers.ours.finish(peers.charon.rekey(child="mh"))
    peers.ours.run(lambda: peers.children() and peers.children()[0] != old)
    assert not _spis(peers.settled()) & _spis(old)
    peers.register()
    peers.agree(packets=1)
    same_keys(peers.ours, peers.charon, 1, 3)


def test_deleted_by_us(peers: Peers) -> None:
    peers.ours.engine.delete_child(peers.settled().inbound_spi, time.monotonic())
    peers.ours.run(lambda: not peers.children() and not kernel_sas(peers.ha))
