# SPDX-License-Identifier: GPL-2.0-or-later
"""Success told under protection (RFC 4187 6.2), after full and fast authentications; which identities are asked for."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.ike.aka_aliases import ReauthContext, ServerAliases
from mn_dsmip.engine.ike.aka_common import Flavour, decrypt, seal
from mn_dsmip.engine.ike.aka_server import AkaServer
from mn_dsmip.engine.ike.eap_method import EapPacket, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Code, Packet
from tests.engine.eap_pair import CLIENT_ERROR, IMSI, WLAN, described, permanent
from tests.engine.test_eap_aka_aliases import FLAVOURS, Memory, both_succeed, octets

LAST = ["REQUEST NOTIFICATION Notification Mac", "RESPONSE NOTIFICATION Mac", "SUCCESS"]
LAST_FAST = [
    "REQUEST NOTIFICATION Notification Iv EncrData Mac",
    "RESPONSE NOTIFICATION Iv EncrData Mac",
    "SUCCESS",
]


class Protected(Memory):
    """Its server offers AT_RESULT_IND."""

    def server(self, identity: str, ask: bool = False) -> AkaServer:
        return AkaServer(
            self.flavour, identity, self.subscribers.get, self.centre, octets(identity), WLAN, ask,
            self.server_aliases, protect_result=True,
        )  # fmt: skip


@FLAVOURS
def test_full_and_fast(flavour: Flavour) -> None:
    memory = Protected(flavour)
    both_succeed(memory)
    assert "ResultInd" in memory.seen[0]
    assert memory.seen[2:] == LAST
    for _ in range(2):
        both_succeed(memory)
        assert memory.seen == [
            "REQUEST REAUTHENTICATION Iv EncrData ResultInd Mac",
            "RESPONSE REAUTHENTICATION Iv EncrData ResultInd Mac",
            *LAST_FAST,
        ]


@FLAVOURS
def test_after_a_counter_too_small_the_notification_has_no_counter(flavour: Flavour) -> None:
    """What follows is a full authentication in everything (RFC 4187 5.5)."""
    memory = Protected(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    memory.peer_aliases.reauth = ReauthContext(context.identity, 7, context.keys, IMSI)
    both_succeed(memory)
    assert memory.seen[1] == "RESPONSE REAUTHENTICATION Iv EncrData Mac", "no AT_RESULT_IND with a refusal"
    assert memory.seen[4:] == LAST
    both_succeed(memory)
    assert memory.seen[0].startswith("REQUEST REAUTHENTICATION"), "the counter began anew at 1"


@FLAVOURS
def test_a_server_without_aliases(flavour: Flavour) -> None:
    memory = Protected(flavour)
    server = AkaServer(
        flavour, permanent(flavour), memory.subscribers.get, memory.centre, octets("s"), WLAN, protect_result=True
    )
    peer = memory.peer()
    server.start()
    seen = []
    while isinstance(result := server.take(), EapPacket):
        seen.append(described(result.packet))
        peer.receive(result.packet)
        answer = peer.take()
        assert isinstance(answer, EapPacket)
        server.receive(answer.packet)
    assert seen[1:] == LAST[:1]
    assert isinstance(result, EapSuccess)


def at_notification(memory: Memory) -> tuple[AkaServer, bytes]:
    """A server that has told the UE of its success, and what it said."""
    peer = memory.peer()
    server = memory.server(peer.identity)
    server.start()
    for _ in range(2):
        request = server.take()
        assert isinstance(request, EapPacket)
        peer.receive(request.packet)
        answer = peer.take()
        assert isinstance(answer, EapPacket)
        if "NOTIFICATION" in described(request.packet):
            break
        server.receive(answer.packet)
    return server, request.packet


@FLAVOURS
@pytest.mark.parametrize(
    "content", [b"", b"\x0c\0\0", b"\x0e\0\0\x16\x01\0\0", b"\x0c\0\0\x64\x01\0\0", b"\x0c\0\0\x0b"]
)
def test_the_answer_is_not_examined(flavour: Flavour, content: bytes) -> None:
    """ "Regardless of the contents ... the server MUST send EAP-Success" (RFC 4187 6.2)."""
    server, request = at_notification(Protected(flavour))
    server.receive(Packet(Code.RESPONSE, (request[1] + 1) % 256, flavour.method, content).build())
    assert server.take() is None, "but it must be an answer to this request"
    server.receive(Packet(Code.RESPONSE, request[1], flavour.method, content).build())
    assert isinstance(server.take(), EapSuccess)
    server.receive(Packet(Code.RESPONSE, request[1], flavour.method, content).build())
    assert server.take() is None


@FLAVOURS
def test_a_fast_notification_carries_its_counter(flavour: Flavour) -> None:
    memory = Protected(flavour)
    both_succeed(memory)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    _, request = at_notification(memory)
    inner = decrypt(context.keys, AkaPacket.parse(Packet.parse(request)))
    assert inner.attributes == (eap.ReauthCounter(2),)


@FLAVOURS
def test_a_replayed_notification_is_not_believed(flavour: Flavour) -> None:
    """That of the last fast authentication has the right AT_MAC key, but another counter."""
    memory = Protected(flavour)
    both_succeed(memory)
    both_succeed(memory)
    seen: list[bytes] = []

    def note(packet: bytes) -> bytes:
        seen.append(packet)
        return packet

    memory.tamper = note
    both_succeed(memory)
    old = seen[1]
    peer = memory.peer()
    server = memory.server(peer.identity)
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    for packet, expected in ((request.packet, "RESPONSE REAUTHENTICATION"), (old, CLIENT_ERROR)):
        peer.receive(packet)
        answer = peer.take()
        assert isinstance(answer, EapPacket)
        assert described(answer.packet).startswith(expected)
    peer.receive(Packet(Code.SUCCESS, old[1]).build())
    assert peer.take() is None


@FLAVOURS
def test_the_ue_indicates_nothing_that_was_not_offered(flavour: Flavour) -> None:
    """A server that did not offer refuses it (RFC 4187 6.2)."""
    memory = Memory(flavour)
    both_succeed(memory)
    context = memory.peer_aliases.reauth
    assert context
    server = memory.server(context.identity)
    server.start()
    request = server.take()
    assert isinstance(request, EapPacket)
    peer = memory.peer()
    peer.receive(request.packet)
    answer = peer.take()
    assert isinstance(answer, EapPacket)
    parsed = AkaPacket.parse(Packet.parse(answer.packet))
    more = AkaPacket(*(parsed.code, parsed.identifier, parsed.method, parsed.subtype),
                     (*parsed.attributes[:-1], eap.ResultInd(), eap.Mac()))  # fmt: skip
    server.receive(seal(flavour, more, context.keys, server._nonce))
    refused = server.take()
    assert isinstance(refused, EapPacket)
    assert described(refused.packet) == "REQUEST NOTIFICATION Notification"


# Which identity is asked for (RFC 4187 4.1.4, 4.1.7)


@FLAVOURS
@pytest.mark.parametrize(
    ("claimed", "requests"),
    [
        ("{permanent}", []),
        ("somebody@realm", ["AnyIdReq"]),
        ("", ["AnyIdReq"]),
        ("{pseudonym}lost@realm", ["PermanentIdReq"]),
        ("{reauth}lost@realm", ["FullauthIdReq"]),
    ],
)
def test_a_claim_that_is_not_known(flavour: Flavour, claimed: str, requests: list[str]) -> None:
    memory = Memory(flavour)
    names = {"permanent": permanent(flavour), "pseudonym": flavour.pseudonym, "reauth": flavour.reauth}
    server, peer = memory.server(claimed.format(**names)), memory.peer()
    server.start()
    asked = []
    while isinstance(result := server.take(), EapPacket):
        if "IDENTITY" in described(result.packet):
            asked.append(described(result.packet).rpartition(" ")[2])
        peer.receive(result.packet)
        answer = peer.take()
        assert isinstance(answer, EapPacket)
        server.receive(answer.packet)
    assert isinstance(result, EapSuccess)
    assert asked == requests


@FLAVOURS
def test_a_lost_pseudonym_is_not_asked_for_twice(flavour: Flavour) -> None:
    """After AT_ANY_ID_REQ brought one, AT_FULLAUTH_ID_REQ would bring the same (RFC 4187 4.1.7)."""
    memory = Memory(flavour, fast=False)
    both_succeed(memory)
    memory.server_aliases = ServerAliases(octets("after"), b"another secret")
    both_succeed(memory, ask=True)
    asked = [each for each in memory.seen if each.startswith("REQUEST IDENTITY")]
    assert asked == ["REQUEST IDENTITY AnyIdReq", "REQUEST IDENTITY PermanentIdReq"]
