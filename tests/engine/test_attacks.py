# SPDX-License-Identifier: GPL-2.0-or-later
"""Attacks on a UE and a PDN GW: each is refused, counted, and changes nothing for those who behave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mn_dsmip.crypto.aka import Subscriber, Usim
from mn_dsmip.crypto.certs import create_authority, issue
from mn_dsmip.engine.base import Datagram, Side, UdpDatagram
from mn_dsmip.engine.effects import AttachFailed
from mn_dsmip.engine.gateway_policy import Subscription
from mn_dsmip.engine.ike.child import mobility_selector
from mn_dsmip.engine.ike.events import ChildSaFailed, Selectors
from mn_dsmip.engine.ike.initiator import IkeInitiator
from mn_dsmip.engine.mip.packet import MobilityPacket
from mn_dsmip.engine.protection import seal_mobility
from mn_dsmip.engine.ue import UserEquipment
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2 import Message
from mn_dsmip.wire.ikev2_numbers import NotifyType
from mn_dsmip.wire.ip import (
    DESTINATION_OPTIONS,
    ESP,
    IPV6_IN,
    MOBILITY_HEADER,
    home_address_header,
    ipv6_packet,
    parse_ipv6,
    udp_payload,
)
from mn_dsmip.wire.mobility import BindingUpdate, build_mobility
from mn_dsmip.wire.mobility_options import AlternateCareOfAddress
from tests.engine.hosts import echo_request
from tests.engine.operator_network import APN, CORRESPONDENT, FQDN, HOME_AGENT, MCC, MNC, NOW, Operator

GATEWAY = IPv6Address(HOME_AGENT)
ATTACKER = "2001:db8:bad::1"


def attached_pair() -> tuple[Operator, UserEquipment, UserEquipment]:
    """Two UEs that are attached: the first will misbehave, the second is the victim."""
    operator = Operator().start()
    ues = operator.add_ue(), operator.add_ue()
    assert operator.simulation.run(lambda: all(ue.state is UeState.ATTACHED for ue in ues), 30)
    return operator, *ues


def deliver(operator: Operator, packet: bytes) -> None:
    """Hand ``packet`` to the gateway as the network would."""
    operator.simulation.deliver(packet)
    operator.simulation.run(lambda: False, 1)


def binding_update(ue: UserEquipment, **changes: object) -> BindingUpdate:
    care_of = AlternateCareOfAddress(IPv6Address(str(ue.status(0)["care_of_address"])))
    update = BindingUpdate(
        sequence=5,
        acknowledge=True,
        home=True,
        key_management=True,
        mobile_router=True,
        lifetime=900,
        options=(care_of,),
    )
    return replace(update, **changes)  # type: ignore[arg-type]


def mobility_packet(ue: UserEquipment, message: BindingUpdate, home_address: str | None = None) -> MobilityPacket:
    status = ue.status(0)
    home = IPv6Address(home_address or str(status["home_address"]))
    return MobilityPacket(message, home, GATEWAY, IPv6Address(str(status["care_of_address"])))


def own_pair(ue: UserEquipment):
    home = IPv6Address(str(ue.status(0)["home_address"]))
    pair = ue.network.database.outbound(ue.connection._session, home, GATEWAY, BindingUpdate.number)
    assert pair
    return pair


def test_a_binding_update_for_another_ues_home_address() -> None:
    operator, attacker, victim = attached_pair()
    before = operator.gateway.home_agent.bindings()
    packet = mobility_packet(attacker, binding_update(attacker), str(victim.status(0)["home_address"]))
    deliver(operator, seal_mobility(own_pair(attacker), packet, from_mobile_node=True))
    assert operator.gateway.counters["esp-selector"] == 1
    assert operator.gateway.home_agent.bindings() == before


def test_a_binding_update_in_the_clear() -> None:
    operator, _, victim = attached_pair()
    before = operator.gateway.home_agent.bindings()
    home = IPv6Address(str(victim.status(0)["home_address"]))
    header = build_mobility(binding_update(victim, lifetime=0, sequence=60000), home, GATEWAY)
    body = home_address_header(MOBILITY_HEADER, home.packed) + header
    deliver(operator, ipv6_packet(IPv6Address(ATTACKER).packed, GATEWAY.packed, DESTINATION_OPTIONS, body))
    assert operator.gateway.counters["mh-unprotected"] == 1
    assert operator.gateway.home_agent.bindings() == before


def test_a_replayed_binding_update() -> None:
    operator, _, _ = attached_pair()
    recorded = [packet for _, packet in operator.simulation.wire if packet[6] == DESTINATION_OPTIONS]
    before = operator.gateway.home_agent.bindings()
    for packet in recorded:
        deliver(operator, packet)
    assert operator.gateway.counters["esp-replay"] == len(recorded) == 2
    assert operator.gateway.home_agent.bindings() == before


def test_a_wrong_mobility_header_checksum_inside_a_good_esp_packet() -> None:
    operator, attacker, _ = attached_pair()
    home = IPv6Address(str(attacker.status(0)["home_address"]))
    care_of = IPv6Address(str(attacker.status(0)["care_of_address"]))
    header = bytearray(build_mobility(binding_update(attacker), home, GATEWAY))
    header[4] ^= 0x55
    sealed = own_pair(attacker).outbound.seal(bytes(header), MOBILITY_HEADER)
    packet = home_address_header(ESP, home.packed) + sealed
    deliver(operator, ipv6_packet(care_of.packed, GATEWAY.packed, DESTINATION_OPTIONS, packet))
    assert operator.gateway.counters["mh-checksum"] == 1


def test_changed_and_unknown_esp_packets() -> None:
    operator, attacker, _ = attached_pair()
    sealed = seal_mobility(
        own_pair(attacker), mobility_packet(attacker, binding_update(attacker)), from_mobile_node=True
    )
    changed = bytearray(sealed)
    changed[-20] ^= 1
    deliver(operator, bytes(changed))
    assert operator.gateway.counters["esp-integrity"] == 1
    unknown = bytearray(sealed)
    unknown[64:68] = b"\xde\xad\xbe\xef"
    deliver(operator, bytes(unknown))
    assert operator.gateway.counters["esp-unknown-spi"] == 1


def test_spoofed_inner_sources() -> None:
    operator, attacker, victim = attached_pair()
    care_of = IPv6Address(str(attacker.status(0)["care_of_address"])).packed
    operator.correspondent.received.clear()
    # somebody else's home address out of one's own tunnel
    inner = echo_request(str(victim.status(0)["home_address"]), CORRESPONDENT)
    deliver(operator, ipv6_packet(care_of, GATEWAY.packed, IPV6_IN, inner))
    assert operator.gateway.counters["tunnel-source"] == 1
    # an address that is nobody's
    deliver(operator, ipv6_packet(care_of, GATEWAY.packed, IPV6_IN, echo_request("2001:db8:dead::1", CORRESPONDENT)))
    assert operator.gateway.counters["tunnel-inner-source"] == 1
    # one's own home address from an unregistered care-of address
    inner = echo_request(str(attacker.status(0)["home_address"]), CORRESPONDENT)
    deliver(operator, ipv6_packet(IPv6Address(ATTACKER).packed, GATEWAY.packed, IPV6_IN, inner))
    assert operator.gateway.counters["tunnel-source"] == 2
    assert not operator.correspondent.received
    # and towards a UE: only its home agent may tunnel
    inner = echo_request(CORRESPONDENT, str(victim.status(0)["home_address"]))
    outer = ipv6_packet(
        IPv6Address(ATTACKER).packed, IPv6Address(str(victim.status(0)["care_of_address"])).packed, IPV6_IN, inner
    )
    deliver(operator, outer)
    assert victim.counters["tunnel-source"] == 1 and not operator.nodes[1].home


def test_selectors_outside_the_prefix() -> None:
    operator, attacker, victim = attached_pair()
    stolen = IPv6Address(str(victim.status(0)["home_address"]))
    assert isinstance(attacker.connection._ike, IkeInitiator)
    ike = attacker.connection._ike
    operator.simulation.do(
        operator.nodes[0],
        lambda now: (
            ike.create_child(Selectors((mobility_selector(stolen),), (mobility_selector(GATEWAY),)), now)
            or attacker._settle(now)
        ),
    )
    operator.simulation.run(lambda: bool(operator.nodes[0].seen(ChildSaFailed)), 5)
    (failed,) = operator.nodes[0].seen(ChildSaFailed)
    assert isinstance(failed, ChildSaFailed) and failed.notify == NotifyType.TS_UNACCEPTABLE
    assert operator.gateway.counters["ike-child-refused"] == 1


def failure(operator: Operator, **changes: object) -> AttachFailed:
    """How the attach of a UE ends that must not succeed."""
    ue = operator.add_ue(**changes)
    operator.simulation.run(lambda: ue.state in (UeState.ATTACHED, UeState.FAILED), 120)
    assert ue.state is UeState.FAILED
    failed = operator.nodes[-1].seen(AttachFailed)[0]
    assert isinstance(failed, AttachFailed)
    return failed


def test_certificates_that_prove_nothing() -> None:
    authority_key = ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    authority = create_authority("Test CA", NOW, authority_key)
    cases = {
        f"is for other.example, not for {FQDN}": issue(authority, ["other.example"], NOW),
        "expired on": issue(authority, [FQDN], NOW - timedelta(days=30), lifetime=timedelta(days=10)),
        "which no configured authority vouches for": issue(create_authority("Evil CA", NOW), [FQDN], NOW),
    }
    for expected, identity in cases.items():
        operator = Operator()
        operator.ike = replace(operator.ike, identity=identity)
        operator.start()
        failed = failure(operator)
        assert expected in failed.reason and failed.retry_after is None
        assert operator.ues[0].counters["ike-authentication"] == 1
        assert operator.gateway.policy.leases.prefixes[APN].__len__() == 0


def test_a_key_that_is_not_the_certificates() -> None:
    operator = Operator()
    assert operator.ike.identity
    wrong = replace(operator.ike.identity, key=ed25519.Ed25519PrivateKey.from_private_bytes(b"x" * 32))
    operator.ike = replace(operator.ike, identity=wrong)
    assert "the signature in AUTH is wrong" in failure(operator.start()).reason


def test_a_wrong_pre_shared_key() -> None:
    operator = Operator(psk=b"right").start()
    assert "authentication" in failure(operator, psk=b"wrong").reason
    assert operator.gateway.counters["ike-authentication"] == 1


def test_a_usim_with_another_key_and_a_network_with_another_key() -> None:
    operator = Operator().start()
    imsi = f"{MCC}{MNC}{1:010d}"
    operator.subscriptions[imsi] = Subscription(Subscriber(imsi, b"k" * 16, b"o" * 16), (APN,))
    failed = failure(operator)
    assert "did not prove that it knows our subscription" in failed.reason
    assert operator.ues[0].counters["eap-authentication-reject"] == 1
    assert operator.gateway.counters["eap-authentication-reject"] == 1


def test_the_identity_of_somebody_else() -> None:
    """IDi names the victim; EAP-AKA asks for the victim's key, which the attacker has not."""
    operator, _, victim = attached_pair()
    operator.subscriptions.pop(f"{MCC}{MNC}{3:010d}", None)
    failed = failure(operator, imsi=victim.config.imsi, usim=Usim(b"k" * 16, b"o" * 16))
    assert "did not prove" in failed.reason
    assert victim.state is UeState.ATTACHED and len(operator.gateway.home_agent.bindings()) == 2


def test_an_unknown_subscriber() -> None:
    assert "could not authenticate" in failure(Operator().start(), imsi="001019999999999").reason


@pytest.mark.parametrize("change", [{"apns": ("ims",)}, {"barred": True}])
def test_a_genuine_subscriber_where_it_must_not(change: dict[str, object]) -> None:
    operator = Operator().start()
    ue = operator.add_ue(attach=False)
    operator.subscriptions[ue.config.imsi] = replace(operator.subscriptions[ue.config.imsi], **change)
    operator.simulation.do(operator.nodes[0], ue.attach)
    assert operator.simulation.run(lambda: ue.state is UeState.FAILED, 30)
    (failed,) = operator.nodes[0].seen(AttachFailed)
    assert isinstance(failed, AttachFailed) and "AUTHENTICATION_FAILED" in failed.reason
    assert operator.gateway.finished and len(operator.gateway.policy.leases.prefixes[APN]) == 0


def test_a_flood_of_ike_sa_init_meets_cookies_and_the_honest_ue_gets_in() -> None:
    operator = Operator()
    operator.ike = replace(operator.ike, cookie_threshold=20, maximum_half_open=40)
    operator.start()
    honest = operator.add_ue(attach=False)
    assert isinstance(honest, UserEquipment)
    template = recorded_init(operator)
    source = random.Random(1)
    for number in range(1000):
        spoofed = IPv6Address(source.getrandbits(125) | 1 << 125).packed
        message = source.randbytes(8) + template[8:]
        body = udp_payload(spoofed, 500, GATEWAY.packed, 500, message)
        operator.gateway.receive_datagram(Datagram(Side.ACCESS, ipv6_packet(spoofed, GATEWAY.packed, 17, body)), 0.0)
        assert number < 20 or len(operator.gateway.ike.sessions) == 20
    assert operator.gateway.counters["ike-cookie-demanded"] == 980
    operator.gateway.datagrams_to_send()
    operator.simulation.do(operator.nodes[0], honest.attach)
    assert operator.simulation.run(lambda: honest.state is UeState.ATTACHED, 30)
    operator.simulation.run(lambda: False, 200)
    assert len(operator.gateway.ike.sessions) == 1, "the half-open ones are forgotten"


def recorded_init(operator: Operator) -> bytes:
    """An IKE_SA_INIT request as a UE of ours sends it."""
    other = Operator(99).start()
    ue = other.add_ue()
    other.simulation.run(lambda: ue.state is UeState.ATTACHED, 30)
    for _, packet in other.simulation.wire:
        if packet[6] == 17 and packet[42:44] == b"\x01\xf4" and packet[48 + 18] == 34:
            return packet[48:]
    raise AssertionError("no IKE_SA_INIT seen")


def packets_of_an_attach() -> Iterator[tuple[str, bytes]]:
    operator, *_ = attached_pair()
    for _, packet in operator.simulation.wire:
        target = "gateway" if packet[24:40] == GATEWAY.packed else "ue"
        yield target, packet


def test_truncated_and_damaged_everything() -> None:
    """Every packet of an attach, cut at every length and with octets changed: nothing raises, nobody is detached."""
    operator, first, second = attached_pair()
    recorded = list(packets_of_an_attach())
    source = random.Random(2)
    for target, packet in recorded:
        engine = operator.gateway if target == "gateway" else first
        for length in range(0, len(packet), 3):
            cut = bytearray(packet[:length])
            if length >= 40:
                cut[4:6] = (length - 40).to_bytes(2, "big")
            engine.receive_datagram(Datagram(Side.ACCESS, bytes(cut)), operator.simulation.now)
        for _ in range(40):
            damaged = bytearray(packet)
            for _ in range(source.randint(1, 4)):
                damaged[source.randrange(40, len(damaged))] = source.randrange(256)
            engine.receive_datagram(Datagram(Side.ACCESS, bytes(damaged)), operator.simulation.now)
    assert first.state is second.state is UeState.ATTACHED
    assert len(operator.gateway.home_agent.bindings()) == 2
    assert operator.gateway.counters["packet-malformed"] > 100


@pytest.mark.parametrize("seed", range(20))
def test_random_packets(seed: int) -> None:
    operator, first, _ = attached_pair()
    source = random.Random(seed)
    own = IPv6Address(str(first.status(0)["care_of_address"])).packed
    for _ in range(300):
        protocol = source.choice((0, 4, 17, 41, 43, 44, 50, 58, 60, 135, source.randrange(256)))
        body = source.randbytes(source.choice((0, 1, 8, 20, 40, 60, 200)))
        for engine, address in ((operator.gateway, GATEWAY.packed), (first, own)):
            engine.receive_datagram(Datagram(Side.ACCESS, ipv6_packet(own, address, protocol, body)), 1.0)
            engine.receive_datagram(Datagram(Side.HOME, source.randbytes(source.choice((0, 1, 40, 60)))), 1.0)
    assert len(operator.gateway.home_agent.bindings()) == 2


def test_replayed_and_reflected_ike_messages() -> None:
    operator, first, _ = attached_pair()
    datagrams = [packet for _, packet in operator.simulation.wire if packet[6] == 17 and packet[42:44] == b"\x01\xf4"]
    sessions = dict(operator.gateway.ike.sessions)
    for packet in datagrams:
        if parse_ipv6(packet).destination == GATEWAY.packed:
            operator.simulation.deliver(packet)
    operator.simulation.run(lambda: False, 2)
    assert operator.gateway.ike.sessions.keys() == sessions.keys()
    assert operator.gateway.counters["ike-message-id"] + operator.gateway.counters["ike-repeated-request"] > 4
    # the UE's own request comes back to it
    message = next(packet[48:] for packet in datagrams if packet[24:40] == GATEWAY.packed and packet[48 + 18] == 35)
    assert Message.parse(message).from_original_initiator
    assert isinstance(first.connection._ike, IkeInitiator)
    if Message.parse(message).initiator_spi == first.connection._ike.current.spi_i:
        care_of = IPv6Address(str(first.status(0)["care_of_address"]))
        first.connection._ike.receive_datagram(
            UdpDatagram(GATEWAY, 500, care_of, 500, message), operator.simulation.now
        )
        assert first.connection._ike.counters["ike-reflected"] == 1
