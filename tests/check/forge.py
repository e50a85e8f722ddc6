# SPDX-License-Identifier: GPL-2.0-or-later
"""Forge a whole trace of TS 24.303: attach (F1), refresh (F7) and detach (F8), byte by byte and without the agents.

With the parameters of `PUBLISHED` the IKE messages, the first Binding Update and its answer come out as the
published vectors have them; a test compares. Other parameters give other UEs, for traces with several of them.

    UE (care-of address) --- access link --- HA = PDN GW      every frame has a name: "ike-auth-1-request", "bu-1"
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import dns.message
import dns.rrset

from tests.check.packets import (
    DESTINATION_OPTIONS,
    ESP,
    ICMP,
    IPV4,
    IPV6,
    MOBILITY,
    ROUTING,
    chain,
    checksum,
    esp_proposal,
    home_address_option,
    icmpv6,
    ike_proposal,
    ipv4,
    ipv6,
    mobility,
    notify,
    selectors,
    type2_routing,
    udp,
)
from tests.check.seal import seal_esp
from tests.check.subscriber import PUBLISHED, Subscriber

INITIATOR, RESPONSE = 0x08, 0x20
ROUTER, ALL_NODES = IPv6Address("fe80::1"), IPv6Address("ff02::1")
AUTH_HA_SIGNATURE = bytes.fromhex(
    "0e00000007300506032b6570b4012eed4c93db45c60bb9fae24f91ae5b311522ee54ffcbbe13b759743f8933a1d74a06d224007d5e"
    "67839dd1ecafe020ef628c5e2f63604c27a88b871c990e"
)
AUTH_UE = bytes.fromhex("02000000cd2626e4569d5b3d01bbc224ccfa9e44b6d789ad795614a0dfe8e0070120f5ff")
AUTH_HA = bytes.fromhex("020000001190408f1c798328cc7e4eb495faa219f08ba43ae7985bde7e1b0d9a44674ef0")
EAP_CHALLENGE = bytes.fromhex(
    "01010044170100000105000023553cbe9637a89d218ae64dae47bf350205000055f328b43577b9b94a9ffac354dfafb3"
    "0b050000038747cae5d4e8e0a14fe3ad56f287cf"
)
EAP_RESPONSE = bytes.fromhex("020100281701000003030040a54211d5e3ba50bf0b0500005ddcfdce9fc794ec5780fbc633a6cc6b")
EAP_SUCCESS = bytes.fromhex("03010004")
PUBLIC_UE = bytes.fromhex("07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c")
PUBLIC_HA = bytes.fromhex("64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466")


@dataclass
class Frame:
    """One captured packet from its network header on."""

    time: float
    name: str
    packet: bytes


@dataclass
class Forger:
    """Writes one UE's packets down, in the order in which its methods are called."""

    subscriber: Subscriber = PUBLISHED
    start: float = 1_800_000_000.0
    frames: list[Frame] = field(default_factory=list)
    more_attributes: bytes = b""  # of the first request's configuration payload
    _clock: float = 0.0
    _ike_iv: int = 0
    _esp_sequence: dict[int, int] = field(default_factory=dict)
    _message_id: int = 0

    def add(self, name: str, packet: bytes, after: float = 0.01) -> None:
        self._clock += after
        self.frames.append(Frame(self.start + self._clock, name, packet))

    # -- access and discovery

    def router_advertisement(self) -> None:
        """A link-wide prefix for autoconfiguration and a DNS server (RFC 4861 4.2, RFC 8106 5.1)."""
        prefix = IPv6Network((self.subscriber.care_of, 64), strict=False)
        option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + prefix.network_address.packed
        option += struct.pack("!BBHI", 25, 3, 0, 1800) + self.subscriber.dns_server.packed
        self.add("ra", icmpv6(ROUTER, ALL_NODES, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option, 255))

    def discovery(self) -> None:
        """AAAA and A in parallel for the HA-APN (TS 23.003 21)."""
        subscriber = self.subscriber
        name = f"{subscriber.apn}.ha-apn.mnc001.mcc001.pub.3gppnetwork.org."
        queries = []
        for kind, ident in (("AAAA", 0x1001), ("A", 0x1002)):
            query = dns.message.make_query(name, kind, id=ident)
            queries.append((kind, query))
            self._dns(f"dns-{kind.lower()}-query", query, True)
        for kind, query in queries:
            answer = dns.message.make_response(query)
            value = str(subscriber.home_agent) if kind == "AAAA" else "192.0.2.1"
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, value))
            self._dns(f"dns-{kind.lower()}-response", answer, False)

    def _dns(self, name: str, message: dns.message.Message, query: bool) -> None:
        ends = (self.subscriber.care_of, self.subscriber.dns_server)
        ports = (40000 + message.id % 100, 53)
        if not query:
            ends, ports = ends[::-1], ports[::-1]
        self.add(name, udp(*ends, ports, message.to_wire()))

    # -- IKE

    def ike(self, name: str, message: bytes, from_ue: bool, port: int = 500) -> None:
        ends = (self.subscriber.care_of, self.subscriber.home_agent)
        self.add(name, udp(*(ends if from_ue else ends[::-1]), (port, port), message))

    def ike_sa_init(self, cookie: bytes | None = None) -> None:
        """SA, KE, Ni, NAT detection, REDIRECT_SUPPORTED, SIGNATURE_HASH_ALGORITHMS; first refused with a COOKIE."""
        subscriber = self.subscriber
        if cookie:
            self.ike("ike-sa-init-cookie-request", self._sa_init(False), True)
            refusal = chain(notify(16390, cookie))
            header = subscriber.spi_i + bytes(8) + struct.pack("!BBBBII", refusal[0], 0x20, 34, RESPONSE, 0, 0)
            self.ike("ike-sa-init-cookie", _with_length(header + refusal[1]), False)
        self.ike("ike-sa-init-request", self._sa_init(False, cookie), True)
        self.ike("ike-sa-init-response", self._sa_init(True), False)

    def _sa_init(self, response: bool, cookie: bytes | None = None) -> bytes:
        subscriber = self.subscriber
        spi_r = subscriber.spi_r if response else bytes(8)
        ends = [subscriber.care_of, subscriber.home_agent]
        source, destination = ends[::-1] if response else ends
        nonce = bytes(range(0x80, 0xA0)) if response else bytes(range(0x20))
        payloads = [notify(16390, cookie)] if cookie else []
        payloads += [
            ike_proposal(),
            (34, struct.pack("!HH", 31, 0) + (PUBLIC_HA if response else PUBLIC_UE)),
            (40, nonce),
            notify(16388, _nat_detection(subscriber.spi_i + spi_r, source)),
            notify(16389, _nat_detection(subscriber.spi_i + spi_r, destination)),
        ]
        payloads += [] if response else [notify(16406)]
        payloads += [notify(16431, bytes.fromhex("00020005"))]
        first, data = chain(*payloads)
        flags = RESPONSE if response else INITIATOR
        return _with_length(subscriber.spi_i + spi_r + struct.pack("!BBBBII", first, 0x20, 34, flags, 0, 0) + data)

    def sealed(self, name: str, exchange: int, from_ue: bool, response: bool, *payloads: tuple[int, bytes]) -> None:
        """One encrypted IKE message; requests of the UE count the message id up."""
        if from_ue and not response:
            self._message_id += 1
        self._ike_iv += 1
        flags = (INITIATOR if from_ue else 0) | (RESPONSE if response else 0)
        header = self.subscriber.spi_i + self.subscriber.spi_r
        header += struct.pack("!BBBBI", 0, 0x20, exchange, flags, self._message_id)
        first, data = chain(*payloads)
        message = self.subscriber.ike_keys.seal(header, first, self._ike_iv.to_bytes(8, "big"), data)
        self.ike(name, message, from_ue)

    def ike_auth(self) -> None:
        """IDi without AUTH, EAP-AKA, AUTH by MSK; the answer carries one home prefix."""
        subscriber = self.subscriber
        grant = b"\x02\0\0\0" + struct.pack("!HHI", 16, 21, 86400) + subscriber.prefix.network_address.packed + b"\x40"
        grant += struct.pack("!HH", 10, 16) + IPv6Address("2001:db8:aaaa::53").packed
        narrowed = selectors(44, subscriber.prefix.network_address, subscriber.prefix.broadcast_address)
        child = (notify(16391), esp_proposal(subscriber.first_spis[1]), narrowed, self._home_agent_selectors())
        self.ike_auth_rounds(self.first_request(), ((47, grant), *child))

    def first_request(self) -> tuple[tuple[int, bytes], ...]:
        """What the first IKE_AUTH asks for: a home prefix, a name server, and an SA for the Mobility Header."""
        ask = (47, bytes.fromhex("0100000000100000000a0000") + self.more_attributes)
        anything = selectors(44, IPv6Address(0), IPv6Address(2**128 - 1))
        return ask, notify(16391), esp_proposal(self.subscriber.first_spis[0]), anything, self._home_agent_selectors()

    def _home_agent_selectors(self) -> tuple[int, bytes]:
        return selectors(45, self.subscriber.home_agent, self.subscriber.home_agent)

    def ike_auth_rounds(self, asked: tuple[tuple[int, bytes], ...], given: tuple[tuple[int, bytes], ...]) -> None:
        """The three rounds; `asked` follows the identities of the first, `given` the AUTH of the last."""
        subscriber = self.subscriber
        nai = f"0{subscriber.imsi}@nai.epc.mnc001.mcc001.3gppnetwork.org".encode()
        id_r = (36, b"\x02\0\0\0" + subscriber.apn.encode())
        self.sealed("ike-auth-1-request", 35, True, False, (35, b"\x03\0\0\0" + nai), id_r, *asked)
        self.sealed("ike-auth-1-response", 35, False, True, id_r, (39, AUTH_HA_SIGNATURE), (48, EAP_CHALLENGE))
        self.sealed("ike-auth-2-request", 35, True, False, (48, EAP_RESPONSE))
        self.sealed("ike-auth-2-response", 35, False, True, (48, EAP_SUCCESS))
        self.sealed("ike-auth-3-request", 35, True, False, (39, AUTH_UE))
        self.sealed("ike-auth-3-response", 35, False, True, (39, AUTH_HA), *given)

    def create_child_sa(self) -> None:
        """A transport-mode SA between home address and home agent for the Mobility Header (RFC 4877 7.3)."""
        subscriber = self.subscriber
        both = [
            selectors(44, subscriber.home_address, subscriber.home_address),
            selectors(45, subscriber.home_agent, subscriber.home_agent),
        ]
        nonces = [(40, bytes(range(0x20, 0x40))), (40, bytes(range(0xA0, 0xC0)))]
        for side, response in enumerate((False, True)):
            name = f"create-child-sa-{'response' if response else 'request'}"
            payloads = [notify(16391), esp_proposal(subscriber.spis[side]), nonces[side], *both]
            self.sealed(name, 36, not response, response, *payloads)

    def delete(self) -> None:
        self.sealed("delete-request", 37, True, False, (42, bytes.fromhex("01000000")))
        self.sealed("delete-response", 37, False, True)

    # -- mobility

    def protected(self, name: str, from_ue: bool, message: bytes, spis: tuple[int, int] | None = None) -> None:
        """A Mobility Header in transport-mode ESP, with Home Address option or type 2 routing header."""
        subscriber = self.subscriber
        spis = spis or subscriber.spis
        spi = spis[1] if from_ue else spis[0]
        self._esp_sequence[spi] = sequence = self._esp_sequence.get(spi, 0) + 1
        key = subscriber.esp_keys(spis)[0 if from_ue else 1]
        sealed = seal_esp(key, spi, sequence, sequence.to_bytes(8, "big"), message, MOBILITY)
        self.add(name, self.outer(from_ue, sealed, ESP))

    def outer(self, from_ue: bool, payload: bytes, protocol: int) -> bytes:
        subscriber = self.subscriber
        if from_ue:
            header = home_address_option(subscriber.home_address, protocol)
            return ipv6(subscriber.care_of, subscriber.home_agent, DESTINATION_OPTIONS, header + payload)
        header = type2_routing(subscriber.home_address, protocol)
        return ipv6(subscriber.home_agent, subscriber.care_of, ROUTING, header + payload)

    def binding_update(self, sequence: int, flags: int, lifetime: int, home_address4: IPv4Address | None) -> bytes:
        """Options 29 (when given) and 3, aligned as RFC 6275 6.2.1 and RFC 5555 3.1.1 want them."""
        subscriber = self.subscriber
        body = struct.pack("!HHH", sequence, flags, lifetime)
        if home_address4 is not None:
            body += bytes.fromhex("1d068000") + home_address4.packed + b"\x01\0"
        else:
            body += b"\x01\0"
        body += b"\x03\x10" + subscriber.care_of.packed
        return mobility(subscriber.home_address, subscriber.home_agent, 5, body)

    def binding_acknowledgement(self, sequence: int, flags: int, lifetime: int, options: bytes = b"") -> bytes:
        body = struct.pack("!BBHH", 0, flags, sequence, lifetime) + options
        return mobility(self.subscriber.home_agent, self.subscriber.home_address, 6, body)

    def registration(self, sequence: int = 1, first: bool = True) -> None:
        subscriber = self.subscriber
        flags = 0xD400 | (0x0040 if subscriber.overwrite and first else 0)
        asked = IPv4Address(0) if first else subscriber.home_address4
        self.protected(f"bu-{sequence}", True, self.binding_update(sequence, flags, subscriber.lifetime, asked))
        options = bytes.fromhex("1e060080") + subscriber.home_address4.packed + bytes.fromhex("020201c2")
        acknowledgement = self.binding_acknowledgement(sequence, 0xC0, subscriber.granted, options)
        self.protected(f"ba-{sequence}", False, acknowledgement)

    def deregistration(self, sequence: int = 3) -> None:
        self.protected(f"bu-{sequence}", True, self.binding_update(sequence, 0xD000, 0, None))
        self.protected(f"ba-{sequence}", False, self.binding_acknowledgement(sequence, 0x80, 0))

    # -- user traffic

    def tunnelled(self, name: str, from_ue: bool, inner: bytes, protocol: int) -> None:
        ends = (self.subscriber.care_of, self.subscriber.home_agent)
        self.add(name, ipv6(*(ends if from_ue else ends[::-1]), protocol, inner))

    def ping6(self, number: int = 1) -> bytes:
        return self._echo6(128, number)

    def pong6(self, number: int = 1) -> bytes:
        return self._echo6(129, number)

    def _echo6(self, kind: int, number: int) -> bytes:
        ends = (self.subscriber.home_address, self.subscriber.correspondent)
        return icmpv6(*(ends if kind == 128 else ends[::-1]), struct.pack("!BBHHH", kind, 0, 0, 1, number) + b"dsmip")

    def _echo4(self, kind: int, number: int) -> bytes:
        ends = (self.subscriber.home_address4, self.subscriber.correspondent4)
        message = struct.pack("!BBHHH", kind, 0, 0, 1, number) + b"dsmip"
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        return ipv4(*(ends if kind == 8 else ends[::-1]), ICMP, message)

    def pings(self, number: int = 1) -> None:
        """Request and reply over the IPv6 and over the IPv4 home address, inside the tunnel."""
        self.tunnelled(f"ping6-{number}-request", True, self._echo6(128, number), IPV6)
        self.tunnelled(f"ping6-{number}-reply", False, self._echo6(129, number), IPV6)
        self.tunnelled(f"ping4-{number}-request", True, self._echo4(8, number), IPV4)
        self.tunnelled(f"ping4-{number}-reply", False, self._echo4(0, number), IPV4)

    def whole(self) -> Forger:
        """F1, F7 and F8 with pings in between."""
        self.router_advertisement()
        self.discovery()
        self.ike_sa_init()
        self.ike_auth()
        self.create_child_sa()
        self.registration(1)
        self.pings(1)
        self.registration(2, first=False)
        self.pings(2)
        self.deregistration(3)
        self.delete()
        return self


def _nat_detection(spis: bytes, address: IPv6Address, port: int = 500) -> bytes:
    return hashlib.sha1(spis + address.packed + struct.pack("!H", port)).digest()


def _with_length(message: bytes) -> bytes:
    return message[:24] + struct.pack("!I", len(message)) + message[28:]


# --- files ---------------------------------------------------------------------------------------------------------


def write_capture(file: Path, frames: list[Frame], interface: str = "ar-eth0") -> None:
    """A pcapng file of Ethernet frames with microsecond times; `Frame.packet` starts at the IPv6 or IPv4 header."""
    name = interface.encode()
    options = struct.pack("!HH", 2, len(name)) + name + bytes(-len(name) % 4) + struct.pack("!HH", 0, 0)
    data = _block(0x0A0D0D0A, struct.pack("!IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += _block(1, struct.pack("!HHI", 1, 0, 0x40000) + options)
    for frame in sorted(frames, key=lambda frame: frame.time):
        ether = bytes.fromhex("020000000002020000000001") + (b"\x86\xdd" if frame.packet[0] >> 4 == 6 else b"\x08\0")
        ether += frame.packet
        micros = round(frame.time * 1_000_000)
        head = struct.pack("!IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(ether), len(ether))
        data += _block(6, head + ether + bytes(-len(ether) % 4))
    file.write_bytes(data)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("!I", 12 + len(body))
    return struct.pack("!I", kind) + size + body + size


def write_keys(folder: Path, *subscribers: Subscriber) -> Path:
    """The two tables in Wireshark's formats."""
    folder.mkdir(parents=True, exist_ok=True)
    ike, esp = [], []
    for subscriber in subscribers:
        keys = subscriber.ike_keys
        ike.append(
            f"{subscriber.spi_i.hex()},{subscriber.spi_r.hex()},{keys.initiator.encryption.hex()},"
            f'{keys.responder.encryption.hex()},"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"'
        )
        for spis in (subscriber.first_spis, subscriber.spis):
            uplink, downlink = subscriber.esp_keys(spis)
            for spi, key in ((spis[1], uplink), (spis[0], downlink)):
                esp.append(
                    f'"IPv6","*","*","0x{spi:08x}","AES-GCM with 16 octet ICV [RFC4106]",'
                    f'"0x{key.encryption.hex()}","NULL",""'
                )
    (folder / "ikev2_decryption_table").write_text("\n".join(ike) + "\n")
    (folder / "esp_sa").write_text("\n".join(esp) + "\n")
    return folder
