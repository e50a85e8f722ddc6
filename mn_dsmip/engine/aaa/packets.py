# SPDX-License-Identifier: GPL-2.0-or-later
"""RADIUS packets that carry EAP (RFC 2865, RFC 3579, RFC 2548), built and read with pyrad, and proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from pyrad.dictionary import Dictionary
from pyrad.packet import AuthPacket, PacketError

from ..base import IPAddress, Random

AUTHENTICATOR = 16
LONGEST_PACKET = 4096
"""Octets (RFC 2865 3)."""
EAP_PIECE = 253
"""Octets of EAP that fit one attribute (RFC 3579 3.1)."""
KEY = 32
"""Octets of each half of the MSK."""
SHORT_KEY = 16
"""The least that a method with keys has (RFC 3079)."""
MICROSOFT = 311
FRAMED, VIRTUAL = 2, 5
"""Service-Type (RFC 2865 5.6) and NAS-Port-Type (5.41)."""
_NO_NAMES = Dictionary()
"""Without one, pyrad leaves vendors' attributes unparsed; ours are known by number."""


class Code(IntEnum):
    """RFC 2865 3."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCESS_CHALLENGE = 11


class Attribute(IntEnum):
    """RFC 2865 5, RFC 2869 5, RFC 3162 2."""

    USER_NAME = 1
    NAS_IP_ADDRESS = 4
    SERVICE_TYPE = 6
    FRAMED_IP_ADDRESS = 8
    FRAMED_MTU = 12
    REPLY_MESSAGE = 18
    STATE = 24
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    NAS_PORT_TYPE = 61
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    NAS_IPV6_ADDRESS = 95
    FRAMED_IPV6_PREFIX = 97


SEND_KEY, RECV_KEY = (MICROSOFT, 16), (MICROSOFT, 17)
"""MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 2.4.2, 2.4.3)."""


class RadiusError(Exception):
    """A packet that does not count; ``reason`` is the word it is counted under."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Caller:
    """What a server is told of the gateway and its peer."""

    user_name: str
    nas_identifier: str
    nas_address: IPAddress
    called_station: str
    """The APN."""
    calling_station: str
    """The peer's address."""


@dataclass(frozen=True)
class Answer:
    """A verified answer; ``msk`` comes with Access-Accept only."""

    code: Code
    eap: bytes
    state: bytes | None
    user_name: str | None = None
    msk: bytes = field(default=b"", repr=False)
    prefix: IPv6Network | None = None
    ipv4: IPv4Address | None = None
    message: str = ""
    """Reply-Message: words for a person."""


def access_request(
    secret: bytes, identifier: int, caller: Caller, eap: bytes, state: bytes | None, random: Random
) -> AuthPacket:
    """An Access-Request with Message-Authenticator; ``RequestPacket()`` of it gives the octets."""
    request = AuthPacket(Code.ACCESS_REQUEST, identifier, secret, random(AUTHENTICATOR), dict=_NO_NAMES)
    request.add_message_authenticator()
    nas = Attribute.NAS_IPV6_ADDRESS if caller.nas_address.version == 6 else Attribute.NAS_IP_ADDRESS
    values: dict[int, bytes | None] = {
        Attribute.USER_NAME: caller.user_name.encode()[:EAP_PIECE],
        nas: caller.nas_address.packed,
        Attribute.NAS_IDENTIFIER: caller.nas_identifier.encode()[:EAP_PIECE],
        Attribute.NAS_PORT_TYPE: VIRTUAL.to_bytes(4, "big"),
        Attribute.SERVICE_TYPE: FRAMED.to_bytes(4, "big"),
        Attribute.CALLED_STATION_ID: caller.called_station.encode()[:EAP_PIECE],
        Attribute.CALLING_STATION_ID: caller.calling_station.encode()[:EAP_PIECE],
        Attribute.STATE: state,
    }
    for kind, value in values.items():
        if value:
            request[int(kind)] = [value]
    request[int(Attribute.EAP_MESSAGE)] = _pieces(eap)
    return request


def _pieces(eap: bytes) -> list[bytes]:
    """An EAP packet as EAP-Message attributes carry it (RFC 3579 3.1)."""
    return [eap[at : at + EAP_PIECE] for at in range(0, len(eap), EAP_PIECE)]


def read_answer(request: AuthPacket, octets: bytes) -> Answer:
    """What the server says to ``request``; ``RadiusError`` unless both authenticators prove it (RFC 3579 3.2)."""
    try:
        reply = request.CreateReply(packet=octets)
        if len(octets) > LONGEST_PACKET or not request.VerifyReply(reply, octets, enforce_ma=True):
            raise RadiusError("radius-authenticator", "the answer's authenticators are wrong: is the secret the same?")
        code = Code(reply.code)
        msk = b""
        if code == Code.ACCESS_ACCEPT:
            reply.request_authenticator = request.authenticator
            msk = _msk(reply)
    except (PacketError, ValueError, IndexError) as problem:
        raise RadiusError("radius-malformed", f"the answer is malformed: {problem}") from None
    return Answer(
        code,
        b"".join(reply.get(int(Attribute.EAP_MESSAGE), [])),
        _first(reply, Attribute.STATE),
        (_first(reply, Attribute.USER_NAME) or b"").decode(errors="replace") or None,
        msk,
        _prefix(_first(reply, Attribute.FRAMED_IPV6_PREFIX)),
        _ipv4(_first(reply, Attribute.FRAMED_IP_ADDRESS)),
        b" ".join(reply.get(int(Attribute.REPLY_MESSAGE), [])).decode(errors="replace"),
    )


def _first(packet: AuthPacket, kind: int) -> bytes | None:
    values: list[bytes] = packet.get(int(kind), [])
    return values[0] if values else None


def _msk(reply: AuthPacket) -> bytes:
    """Recv-Key is the first half, Send-Key the second (RFC 2548 2.4.3, RFC 5216 2.3); empty when one is missing.

    Methods with shorter keys, such as EAP-MSCHAPv2, fill the MSK's 64 octets up with zeros (RFC 3748 7.10).
    """
    halves = []
    for kind in (RECV_KEY, SEND_KEY):
        values = reply.get(kind, [])
        halves.append(reply.SaltDecrypt(values[0])[:KEY] if values else b"")
    return b"".join(halves).ljust(2 * KEY, b"\0") if all(len(each) >= SHORT_KEY for each in halves) else b""


def _prefix(value: bytes | None) -> IPv6Network | None:
    """Framed-IPv6-Prefix: reserved, length, as many octets of the prefix as it takes (RFC 3162 2.3)."""
    if value is None or len(value) < 2 or value[1] > 128 or len(value) > 18:
        return None
    return IPv6Network((IPv6Address(value[2:].ljust(16, b"\0")), value[1]), strict=False)


def _ipv4(value: bytes | None) -> IPv4Address | None:
    """Framed-IP-Address, unless it says that the gateway shall choose (RFC 2865 5.8)."""
    if value is None or len(value) != 4 or value in (b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"):
        return None
    return IPv4Address(value)


@dataclass(frozen=True)
class Request:
    """A verified Access-Request; ``packet`` is what its answer is made from."""

    packet: AuthPacket = field(repr=False)
    authenticator: bytes
    user_name: str
    called_station: str
    state: bytes | None
    eap: bytes


@dataclass(frozen=True)
class Reply:
    """What a server says; keys and grants go with Access-Accept."""

    code: Code
    eap: bytes
    state: bytes | None = None
    user_name: str = ""
    msk: bytes = field(default=b"", repr=False)
    prefix: IPv6Network | None = None
    ipv4: IPv4Address | None = None


def read_request(secret: bytes, octets: bytes) -> Request:
    """An Access-Request with EAP; ``RadiusError`` unless its Message-Authenticator proves the secret (RFC 3579 3.2)."""
    try:
        packet = AuthPacket(secret=secret, packet=octets, dict=_NO_NAMES)
        if len(octets) > LONGEST_PACKET or packet.code != Code.ACCESS_REQUEST:
            raise RadiusError("aaa-malformed", "only Access-Requests of up to 4096 octets are taken")
        proofs = packet.get(int(Attribute.MESSAGE_AUTHENTICATOR), [])
        if len(proofs) != 1 or len(proofs[0]) != AUTHENTICATOR or not packet.verify_message_authenticator():
            raise RadiusError("aaa-authenticator", "its Message-Authenticator is wrong: is the shared secret the same?")
    except (PacketError, ValueError, IndexError) as problem:
        raise RadiusError("aaa-malformed", f"the packet is malformed: {problem}") from None
    pieces = packet.get(int(Attribute.EAP_MESSAGE))
    if pieces is None:
        raise RadiusError("aaa-without-eap", "it asks for something else than EAP, which this server does not know")
    return Request(
        packet,
        packet.authenticator,
        (_first(packet, Attribute.USER_NAME) or b"").decode(errors="replace"),
        (_first(packet, Attribute.CALLED_STATION_ID) or b"").decode(errors="replace"),
        _first(packet, Attribute.STATE),
        b"".join(pieces),
    )


def build_reply(request: Request, reply: Reply) -> bytes:
    """The octets of an answer, both authenticators computed, keys encrypted (RFC 2548 2.4.2)."""
    packet = request.packet.CreateReply()
    packet.code = int(reply.code)
    values: dict[object, list[bytes]] = {
        int(Attribute.EAP_MESSAGE): _pieces(reply.eap),
        int(Attribute.STATE): [reply.state] if reply.state else [],
        int(Attribute.USER_NAME): [reply.user_name.encode()[:EAP_PIECE]] if reply.user_name else [],
    }
    if reply.msk:
        values[RECV_KEY] = [packet.SaltCrypt(reply.msk[:KEY])]
        values[SEND_KEY] = [packet.SaltCrypt(reply.msk[KEY : 2 * KEY])]
    if reply.prefix:
        octets = (reply.prefix.prefixlen + 7) // 8
        value = bytes((0, reply.prefix.prefixlen)) + reply.prefix.network_address.packed[:octets]
        values[int(Attribute.FRAMED_IPV6_PREFIX)] = [value]
    if reply.ipv4:
        values[int(Attribute.FRAMED_IP_ADDRESS)] = [reply.ipv4.packed]
    for kind, each in values.items():
        if each:
            packet[kind] = each
    built: bytes = packet.ReplyPacket()
    return built
