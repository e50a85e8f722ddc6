# SPDX-License-Identifier: GPL-2.0-or-later
"""What an SA may carry: ports, types, and what cannot be seen, against traffic selectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from mn_dsmip.crypto.kdf import ChildKeys
from mn_dsmip.crypto.suites import Protection
from mn_dsmip.engine.ike.events import ChildSa
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.mip.packet import MobilityPacket
from mn_dsmip.engine.protection import EspDatabase, open_mobility, seal_mobility
from mn_dsmip.engine.selection import OF_THE_OTHER_END, Flow, flow_of, of_type, selects
from mn_dsmip.wire.ikev2_numbers import ANY_PORT, OPAQUE_PORT
from mn_dsmip.wire.ikev2_payloads import TrafficSelector
from mn_dsmip.wire.ip import ICMPV6, MOBILITY_HEADER, UDP, ipv6_packet, parse_ipv6, udp_payload
from mn_dsmip.wire.mobility import BindingAcknowledgement, BindingUpdate, Status
from tests.engine.ike_pair import seeded

OWN, PEER = IPv6Address("2001:db8:aaaa::1"), IPv6Address("2001:db8:f:1::7")
HOME = IPv6Address("2001:db8:100::1")
SPI = b"\0\0\1\0"
AH = 51
UPDATE, ACKNOWLEDGEMENT = 5, 6


def test_flows_behind_extension_headers_and_in_fragments() -> None:
    source, destination = PEER.packed, OWN.packed
    body = udp_payload(source, 1000, destination, 2000, b"data")
    assert flow_of(ipv6_packet(source, destination, UDP, body)) == Flow(UDP, 1000, 2000)
    options = bytes((UDP, 0, 1, 4, 0, 0, 0, 0))
    assert flow_of(ipv6_packet(source, destination, 60, options + body)) == Flow(UDP, 1000, 2000)
    first, later = bytes((UDP, 0, 0, 1, 0, 0, 0, 9)), bytes((UDP, 0, 0, 8, 0, 0, 0, 9))
    assert flow_of(ipv6_packet(source, destination, 44, first + body)) == Flow(UDP, 1000, 2000)
    assert flow_of(ipv6_packet(source, destination, 44, later + body)) == Flow(UDP, None, None)
    echo = bytes((128, 0, 0, 0, 0, 0, 0, 0))
    assert flow_of(ipv6_packet(source, destination, ICMPV6, echo)) == of_type(ICMPV6, 0x8000)
    binding_update = bytes((59, 1, 5, 0, 0, 0, 0, 0))
    assert flow_of(ipv6_packet(source, destination, MOBILITY_HEADER, binding_update)) == of_type(MOBILITY_HEADER, 0x500)
    assert flow_of(ipv6_packet(source, destination, AH, bytes(12))) == Flow(AH, None, None)
    assert flow_of(ipv6_packet(source, destination, UDP, b"")) == Flow(UDP, None, None)
    header = bytes((0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2))
    assert flow_of(header + b"\0\1\0\2\0\0\0\0") == Flow(UDP, 1, 2)
    assert flow_of(header[:6] + b"\0\5" + header[8:] + b"\0\1\0\2\0\0\0\0") == Flow(UDP, None, None)


def test_selectors_of_protocols_and_ports() -> None:
    dns = (TrafficSelector(UDP, 53, 53, PEER, PEER),)
    assert selects(dns, 6, int(PEER), UDP, 53)
    assert not selects(dns, 6, int(PEER), UDP, 54)
    assert not selects(dns, 6, int(PEER), 6, 53)
    assert not selects(dns, 6, int(OWN), UDP, 53)
    assert not selects(dns, 6, int(PEER), UDP, None)
    assert not selects(dns, 4, int(PEER), UDP, 53)
    four = (replace(dns[0], start_port=0, end_port=0xFFFF, start=IPv4Address("10.0.0.0"), end=IPv4Address("10.0.0.9")),)
    assert selects(four, 4, int(IPv4Address("10.0.0.5")), UDP, None)


def test_what_cannot_be_seen_fits_any_and_opaque() -> None:
    """RFC 4301 4.4.1: ANY includes OPAQUE; OPAQUE is for what a later fragment hides, or for what there is not."""
    for ports, hidden, seen in ((ANY_PORT, True, True), (OPAQUE_PORT, True, False), ((53, 53), False, True)):
        selector = (TrafficSelector(UDP, *ports, PEER, PEER),)
        assert selects(selector, 6, int(PEER), UDP, None) is hidden
        assert selects(selector, 6, int(PEER), UDP, 53) is seen
        assert selects(selector, 6, int(PEER), UDP, OF_THE_OTHER_END)
    backwards = (TrafficSelector(UDP, 60, 50, PEER, PEER),)
    assert not any(selects(backwards, 6, int(PEER), UDP, port) for port in (None, 50, 55, 60))


def database(local: tuple[int, int], remote: tuple[int, int], at_agent: bool = False) -> EspDatabase:
    """One SA for the Mobility Header, with those ports; keys and SPIs are the same both ways."""
    ends = (HOME, OWN)[:: -1 if at_agent else 1]
    own, theirs = (
        (TrafficSelector(MOBILITY_HEADER, *ports, address, address),)
        for ports, address in zip((local, remote), ends, strict=True)
    )
    protection = Protection(PROFILES["modern"].esp[0].encryption[0], None)
    keys = ChildKeys(bytes(36), b"")
    found = EspDatabase(seeded("esp"))
    found.add(b"session", ChildSa(SPI, SPI, protection, keys, keys, own, theirs, transport=True))
    return found


@pytest.mark.parametrize(
    ("local", "remote", "sendable"),
    [
        (ANY_PORT, ANY_PORT, {UPDATE, ACKNOWLEDGEMENT}),
        ((0x500, 0x500), (0x600, 0x600), {UPDATE}),
        ((0x600, 0x600), (0x500, 0x500), {ACKNOWLEDGEMENT}),
        ((0x500, 0x500), (0x500, 0x500), {UPDATE}),
        ((0x500, 0x500), OPAQUE_PORT, {UPDATE}),
        (OPAQUE_PORT, (0x500, 0x500), set()),
    ],
)
def test_a_type_belongs_to_the_end_that_sends_it(
    local: tuple[int, int], remote: tuple[int, int], sendable: set[int]
) -> None:
    """RFC 4301 4.4.1.3 B: the local selector says what may be sent, the remote one what may be received."""
    esp = database(local, remote)
    types = (UPDATE, ACKNOWLEDGEMENT)
    assert {kind for kind in types if esp.outbound(b"session", HOME, OWN, kind)} == sendable


def test_updates_one_way_and_acknowledgements_the_other() -> None:
    node = database((UPDATE << 8,) * 2, (ACKNOWLEDGEMENT << 8,) * 2)
    agent = database((ACKNOWLEDGEMENT << 8,) * 2, (UPDATE << 8,) * 2, at_agent=True)
    update, answer = (
        MobilityPacket(message, HOME, OWN, PEER)
        for message in (BindingUpdate(1, home=True), BindingAcknowledgement(Status.ACCEPTED))
    )
    pair, counters = node.inbound(SPI), Counter[str]()
    assert pair
    opened = open_mobility(agent, parse_ipv6(seal_mobility(pair, update, True)), False, counters)
    assert opened is not None and opened[1] == update
    assert open_mobility(agent, parse_ipv6(seal_mobility(pair, answer, True)), False, counters) is None
    assert counters == {"esp-selector": 1}
