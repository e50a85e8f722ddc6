# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows of TS 24.303 octet by octet: what `Forger` writes for IPv6, also in IPv4, behind a NAT and nested.

    scene = Scene(UE, access=IPV4_ACCESS)   # times, keys and numbers are fixed: the same octets every time
    scene.ike_sa_init(); scene.ike_auth(); scene.create_child_sa(); scene.register()

Nothing of the agents is used. EAP and AUTH payloads are those of the published vectors, which hold for one exchange
only: they have the right form, not the right value.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from tests.check.forge import INITIATOR, RESPONSE, Forger
from tests.check.packets import (
    DESTINATION_OPTIONS,
    ESP,
    MOBILITY,
    ROUTING,
    UDP,
    chain,
    checksum,
    home_address_option,
    ipv4,
    ipv6,
    mobility,
    notify,
    pseudo,
    type2_routing,
)
from tests.check.seal import seal_esp
from tests.check.subscriber import Subscriber

Address = IPv4Address | IPv6Address
DSMIP, IKE, IKE_NAT = 4191, 500, 4500
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
NO_KEEPALIVE = 0xFFFFFFFF  # RFC 5555 3.2.2: there is no NAT
MH_BINDING_UPDATE, MH_BINDING_ACKNOWLEDGEMENT, MH_REVOCATION = 5, 6, 16
A_H_K, R_FLAG, A_H_R = 0xD000, 0x0400, 0xC400


@dataclass(frozen=True)
class Access:
    """One access network: the UE's care-of address there, the home agent's address, and how a NAT changes packets."""

    care_of: Address
    home_agent: Address
    nat: IPv4Address | None = None  # what the home agent sees instead of `care_of`; the capture is made there

    @property
    def version(self) -> int:
        return self.care_of.version

    def seen(self, port: int) -> tuple[Address, int]:
        """Source address and port of the UE at the point of capture: a NAT takes ports of its own."""
        return (self.nat, 40000 + port % 1000) if self.nat else (self.care_of, port)


def ip(source: Address, destination: Address, protocol: int, payload: bytes) -> bytes:
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        return ipv4(source, destination, protocol, payload)
    assert isinstance(source, IPv6Address) and isinstance(destination, IPv6Address)
    return ipv6(source, destination, protocol, payload)


def datagram(source: Address, destination: Address, ports: tuple[int, int], payload: bytes) -> bytes:
    """UDP over either version, with its checksum."""
    head = struct.pack("!HHHH", *ports, 8 + len(payload), 0)
    if isinstance(source, IPv6Address) and isinstance(destination, IPv6Address):
        around = pseudo(source, destination, 8 + len(payload), UDP)
    else:
        around = source.packed + destination.packed + struct.pack("!HH", UDP, 8 + len(payload))
    total = checksum(around + head + payload) or 0xFFFF
    return ip(source, destination, UDP, head[:6] + struct.pack("!H", total) + payload)


@dataclass
class Scene(Forger):
    """One UE's packets over its present access; `kept` are the subscribers whose keys the capture needs."""

    access: Access = field(default=None)  # type: ignore[assignment]  # from the subscriber, when not given
    kept: list[Subscriber] = field(default_factory=list)
    sequence: int = 0
    shared_key: bytes = b""  # of RFC 4285
    extra_notifies: list[tuple[int, bytes]] = field(default_factory=list)
    _ha_message_id: int = 0
    _port_4500: bool = False

    def __post_init__(self) -> None:
        if self.access is None:
            self.access = Access(self.subscriber.care_of, self.subscriber.home_agent)
        self.kept.append(self.subscriber)

    # -- where packets go

    def become(self, subscriber: Subscriber) -> None:
        """Another IKE SA of the same UE: its SPIs, keys and home agent."""
        self.subscriber = subscriber
        self.kept.append(subscriber)
        self._message_id, self._ha_message_id, self._port_4500 = 0, 0, False
        if self.access.version == 6:
            self.access = replace(self.access, home_agent=subscriber.home_agent)

    def move(self, access: Access) -> None:
        """Another access network; the care-of address of the subscriber follows where it is one of IPv6."""
        self.access = access
        if isinstance(access.care_of, IPv6Address):
            self.subscriber = replace(self.subscriber, care_of=access.care_of)

    def between(self, from_ue: bool, ports: tuple[int, int], payload: bytes) -> bytes:
        """A datagram between UE (port first) and home agent, as the point of capture sees it."""
        address, port = self.access.seen(ports[0])
        ends = ((address, port), (self.access.home_agent, ports[1]))
        (source, source_port), (destination, destination_port) = ends if from_ue else ends[::-1]
        return datagram(source, destination, (source_port, destination_port), payload)

    def ike(self, name: str, message: bytes, from_ue: bool, port: int = IKE) -> None:
        """On IPv4 everything after IKE_SA_INIT goes over port 4500, with or without a NAT (RFC 5555 5)."""
        if self.access.version == 4 and message[18] != 34:
            message, port = bytes(4) + message, IKE_NAT
        self.add(name, self.between(from_ue, (port, port), message))

    def outer(self, from_ue: bool, payload: bytes, protocol: int) -> bytes:
        """Around a Mobility Header: over IPv6 with home address option or type 2 routing header, in IPv4 with UDP."""
        subscriber = self.subscriber
        ends = (subscriber.home_address, subscriber.home_agent)
        if self.access.version == 4:
            inner = ipv6(*(ends if from_ue else ends[::-1]), protocol, payload)
            return self.between(from_ue, (DSMIP, DSMIP), inner)
        care_of, home_agent = self.access.care_of, self.access.home_agent
        if care_of == subscriber.home_address:  # at home: no option, no routing header
            return ip(*((care_of, home_agent) if from_ue else (home_agent, care_of)), protocol, payload)
        if from_ue:
            header = home_address_option(subscriber.home_address, protocol)
            return ip(care_of, home_agent, DESTINATION_OPTIONS, header + payload)
        return ip(home_agent, care_of, ROUTING, type2_routing(subscriber.home_address, protocol) + payload)

    def tunnelled(self, name: str, from_ue: bool, inner: bytes, protocol: int) -> None:
        """User data: in IPv4 behind a NAT inside UDP 4191, else directly (RFC 5555 4.2)."""
        if self.access.nat:
            self.add(name, self.between(from_ue, (DSMIP, DSMIP), inner))
            return
        ends = (self.access.care_of, self.access.home_agent)
        self.add(name, ip(*(ends if from_ue else ends[::-1]), protocol, inner))

    # -- IKE

    def sealed(self, name: str, exchange: int, from_ue: bool, response: bool, *payloads: tuple[int, bytes]) -> None:
        """As in `Forger`, and requests of the home agent, which count for themselves (RFC 7296 2.2)."""
        asked_by_ue = from_ue != response
        if not response:
            self._message_id += asked_by_ue
            self._ha_message_id += not asked_by_ue
        number = self._message_id if asked_by_ue else self._ha_message_id - 1
        self._ike_iv += 1
        flags = (INITIATOR if from_ue else 0) | (RESPONSE if response else 0)
        header = self.subscriber.spi_i + self.subscriber.spi_r
        header += struct.pack("!BBBBI", 0, 0x20, exchange, flags, number)
        first, data = chain(*payloads)
        message = self.subscriber.ike_keys.seal(header, first, self._ike_iv.to_bytes(8, "big"), data)
        self.ike(name, message, from_ue)

    def _sa_init(self, response: bool, cookie: bytes | None = None) -> bytes:
        """With NAT detection as each side sees its own address and port."""
        message = super()._sa_init(response, cookie)
        spis = self.subscriber.spi_i + (self.subscriber.spi_r if response else bytes(8))
        care_of, home_agent = self.access.care_of, self.access.home_agent
        if self.access.nat and response:
            seen, port = self.access.seen(IKE)
            ends = [(home_agent, IKE), (seen, port)]
        else:
            ends = [(care_of, IKE), (home_agent, IKE)]
            ends = ends[::-1] if response else ends
        for kind, (address, port) in zip((16388, 16389), ends, strict=True):
            at = message.index(struct.pack("!BBH", 0, 0, kind)) + 4
            message = message[:at] + _nat_hash(spis, address, port) + message[at + 20 :]
        if response or not self.extra_notifies:
            return message
        return _with_more(message, self.extra_notifies)

    def ike_auth_redirected(self, target: IPv6Address) -> None:
        """The last answer names another home agent, without a nonce, and gives nothing (RFC 5685 6, TS 23.402 6.10)."""
        self.ike_auth_rounds(self.first_request(), (notify(16407, b"\x02\x10" + target.packed),))

    def address_update(self, number: int = 1) -> None:
        """The empty INFORMATIONAL that makes the home agent notice the new address (RFC 5555 5.1)."""
        self.sealed(f"address-update-{number}-request", 37, True, False)
        self.sealed(f"address-update-{number}-response", 37, False, True)

    def delete_by_home_agent(self) -> None:
        self.sealed("delete-request", 37, False, False, (42, bytes.fromhex("01000000")))
        self.sealed("delete-response", 37, True, True)

    # -- mobility

    def update_body(self, flags: int, lifetime: int, asked: IPv4Address | None) -> bytes:
        """Option 29, then the care-of address in option 3 or, over IPv4, in option 32; none at home."""
        body = struct.pack("!HHH", self.sequence, flags, lifetime)
        if asked is not None:
            body += bytes.fromhex("1d068000") + asked.packed
        care_of = self.access.care_of
        if isinstance(care_of, IPv4Address):
            return body + bytes.fromhex("20060000") + care_of.packed
        if care_of == self.subscriber.home_address:
            return body
        return body + b"\x01\0\x03\x10" + care_of.packed  # PadN brings option 3 to 8n+6

    def signal(self, name: str, from_ue: bool, kind: int, body: bytes) -> None:
        """A Mobility Header in ESP under the SA of the home address."""
        subscriber = self.subscriber
        ends = (subscriber.home_address, subscriber.home_agent)
        message = mobility(*(ends if from_ue else ends[::-1]), kind, body)
        spi = subscriber.spis[1] if from_ue else subscriber.spis[0]
        self._esp_sequence[spi] = number = self._esp_sequence.get(spi, 0) + 1
        key = subscriber.esp_keys(subscriber.spis)[0 if from_ue else 1]
        sealed = seal_esp(key, spi, number, number.to_bytes(8, "big"), message, MOBILITY)
        self.add(name, self.outer(from_ue, sealed, ESP))

    def acknowledgement_body(self, flags: int, lifetime: int, granted: bool) -> bytes:
        """Option 30 with the IPv4 home address when `granted`; over IPv4 option 31, else Binding Refresh Advice."""
        body = struct.pack("!BBHH", 0, flags, self.sequence, lifetime)
        if granted:
            body += bytes.fromhex("1e060080") + self.subscriber.home_address4.packed
        if self.access.version == 4:
            return body + bytes.fromhex("1f060000") + struct.pack("!I", 110 if self.access.nat else NO_KEEPALIVE)
        return body + (bytes.fromhex("020201c2") if lifetime else b"")

    def register(self, first: bool = False) -> None:
        """Binding Update and Acknowledgement: first registration, refresh and handover."""
        self.sequence += 1
        subscriber = self.subscriber
        flags = A_H_K | R_FLAG | (0x0040 if subscriber.overwrite and first else 0)
        asked = IPv4Address(0) if first else subscriber.home_address4
        update = self.update_body(flags, subscriber.lifetime, asked)
        self.signal(f"bu-{self.sequence}", True, MH_BINDING_UPDATE, update)
        answer = self.acknowledgement_body(0xC0, subscriber.granted, True)
        self.signal(f"ba-{self.sequence}", False, MH_BINDING_ACKNOWLEDGEMENT, answer)

    def deregister(self) -> None:
        """Lifetime 0; from home with R set (TS 23.402 8.4.1), elsewhere without it (TS 24.303 A.5)."""
        self.sequence += 1
        home = self.access.care_of == self.subscriber.home_address
        update = self.update_body(A_H_K | (R_FLAG if home else 0), 0, None)
        self.signal(f"bu-{self.sequence}", True, MH_BINDING_UPDATE, update)
        answer = self.acknowledgement_body(0xC0 if home else 0x80, 0, False)
        self.signal(f"ba-{self.sequence}", False, MH_BINDING_ACKNOWLEDGEMENT, answer)

    def revoke(self, sequence: int = 0x1234) -> None:
        """Indication with trigger 1, acknowledgement with status 0 (RFC 5846 5, TS 24.303 A.6)."""
        self.signal("bri", False, MH_REVOCATION, struct.pack("!BBHH", 1, 1, sequence, 0))
        self.signal("bra", True, MH_REVOCATION, struct.pack("!BBHH", 2, 0, sequence, 0))

    # -- RFC 4285

    def authenticated(self, name: str, from_ue: bool, kind: int, body: bytes) -> None:
        """A Mobility Header in the clear whose last option, MN-HA, is computed over addresses and header."""
        subscriber = self.subscriber
        ends = (subscriber.home_address, subscriber.home_agent)
        source, destination = ends if from_ue else ends[::-1]
        pad = (5 - (6 + len(body))) % 8  # the option at 8n+5 ends on a multiple of 8: it is the last one
        body += b"\0" if pad == 1 else bytes([1, pad - 2]) + bytes(pad - 2) if pad else b""
        body += bytes.fromhex("09110100000100")  # MN-HA, SPI 256
        size = 6 + len(body) + 12
        data = bytes([59, size // 8 - 1, kind, 0, 0, 0]) + body
        care_of = self.access.care_of.packed
        octets = data + hmac.digest(self.shared_key, care_of + subscriber.home_address.packed + data, hashlib.sha1)[:12]
        assert len(octets) % 8 == 0
        total = checksum(pseudo(source, destination, len(octets), MOBILITY) + octets)
        self.add(name, self.outer(from_ue, octets[:4] + struct.pack("!H", total) + octets[6:], MOBILITY))

    def register_authenticated(self, first: bool = False, lifetime: int | None = None) -> None:
        """With MN-ID and timestamp; K is 0, there is no IKE to move (RFC 4285 5, 6)."""
        self.sequence += 1
        subscriber = self.subscriber
        lifetime = subscriber.lifetime if lifetime is None else lifetime
        nai = f"0{subscriber.imsi}@nai.epc.mnc001.mcc001.3gppnetwork.org".encode()
        seconds = int(self.start + self._clock) + NTP_EPOCH
        stamp = struct.pack("!II", seconds, self.sequence << 24)
        identity = bytes([8, 1 + len(nai), 1]) + nai
        update = struct.pack("!HHH", self.sequence, A_H_R, lifetime) + identity
        update = _aligned(update, 8, 2) + b"\x0a\x08" + stamp
        if lifetime:
            asked = IPv4Address(0) if first else subscriber.home_address4
            update = _aligned(update, 4, 0) + bytes.fromhex("1d068000") + asked.packed
        update = _aligned(update, 8, 6) + b"\x03\x10" + self.access.care_of.packed
        self.authenticated(f"bu-{self.sequence}", True, MH_BINDING_UPDATE, update)
        answer = struct.pack("!BBHH", 0, 0x40, self.sequence, lifetime) + identity
        answer = _aligned(answer, 8, 2) + b"\x0a\x08" + stamp
        if lifetime:
            answer = _aligned(answer, 4, 0) + bytes.fromhex("1e060080") + subscriber.home_address4.packed
        self.authenticated(f"ba-{self.sequence}", False, MH_BINDING_ACKNOWLEDGEMENT, answer)


def _aligned(body: bytes, multiple: int, offset: int) -> bytes:
    """Padding so that an option begins at xn+y of the Mobility Header, whose octet 6 is the body's first."""
    pad = (offset - (6 + len(body))) % multiple
    return body + (b"\0" if pad == 1 else bytes([1, pad - 2]) + bytes(pad - 2) if pad else b"")


def _nat_hash(spis: bytes, address: Address, port: int) -> bytes:
    return hashlib.sha1(spis + address.packed + struct.pack("!H", port)).digest()


def _with_more(message: bytes, notifies: list[tuple[int, bytes]]) -> bytes:
    """More notifies at the end of a message in the clear: the last payload of it has to name them."""
    at, following = 28, message[16]
    while following:
        last, following = at, message[at]
        at += struct.unpack_from("!H", message, at + 2)[0]
    first, data = chain(*(notify(kind, value) for kind, value in notifies))
    message = message[:last] + bytes([first]) + message[last + 1 :] + data
    return message[:24] + struct.pack("!I", len(message)) + message[28:]
