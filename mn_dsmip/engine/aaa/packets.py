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
    request[int(Attribute.EAP_MESSAGE)] = [eap[at : at + EAP_PIECE] for at in range(0, len(eap), EAP_PIECE)]
    return request


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
    """Recv-Key is the first half, Send-Key the second (RFC 2548 2.4.3, RFC 5216 2.3); empty when one is missing."""
    halves = []
    for kind in (RECV_KEY, SEND_KEY):
        values = reply.get(kind, [])
        halves.append(reply.SaltDecrypt(values[0])[:KEY] if values else b"")
    return b"".join(halves) if all(len(each) == KEY for each in halves) else b""


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
