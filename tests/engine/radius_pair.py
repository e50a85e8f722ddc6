# SPDX-License-Identifier: GPL-2.0-or-later
"""A RADIUS server in memory for tests of the client: an EAP server behind pyrad, and ways to misbehave."""

from __future__ import annotations

import struct
from collections.abc import Callable

from pyrad.dictionary import Dictionary
from pyrad.packet import AuthPacket

from mn_dsmip.engine.aaa.packets import RECV_KEY, SEND_KEY, Attribute, Code
from mn_dsmip.engine.ike.eap_method import EapFailure, EapMethod, EapPacket, EapSuccess

NO_NAMES = Dictionary()


class ServerDouble:
    """Answers Access-Requests: ``method`` makes the EAP server of a conversation from a user name."""

    def __init__(self, secret: bytes, method: Callable[[str], EapMethod]) -> None:
        self.secret = secret
        self.method = method
        self.requests: list[AuthPacket] = []
        self.extra: dict[int, list[bytes]] = {}
        """Attributes to add to an Access-Accept."""
        self._conversations: dict[bytes, EapMethod] = {}

    def answer(self, octets: bytes) -> bytes | None:
        """The answer to a request; ``None`` when it does not prove itself."""
        request = AuthPacket(secret=self.secret, packet=octets, dict=NO_NAMES)
        if not request.verify_message_authenticator():
            return None
        self.requests.append(request)
        eap = b"".join(request[int(Attribute.EAP_MESSAGE)])
        state = request.get(int(Attribute.STATE))
        if state is None:
            name = request[int(Attribute.USER_NAME)][0].decode()
            assert eap[4:] == b"\1" + name.encode()
            state = [struct.pack("!I", len(self._conversations))]
            method = self._conversations[state[0]] = self.method(name)
            method.start()
        else:
            method = self._conversations[state[0]]
            method.receive(eap)
        return self._reply(request, method, state[0])

    def _reply(self, request: AuthPacket, method: EapMethod, state: bytes) -> bytes:
        result = method.take()
        reply = request.CreateReply()
        assert result is not None
        reply.code = {
            EapPacket: Code.ACCESS_CHALLENGE, EapSuccess: Code.ACCESS_ACCEPT, EapFailure: Code.ACCESS_REJECT
        }[type(result)]  # fmt: skip
        packet = result.packet
        reply[int(Attribute.EAP_MESSAGE)] = [packet[at : at + 253] for at in range(0, len(packet), 253)]
        if isinstance(result, EapPacket):
            reply[int(Attribute.STATE)] = [state]
        if isinstance(result, EapSuccess):
            for kind, key in ((RECV_KEY, result.msk[:32]), (SEND_KEY, result.msk[32:])):
                reply[kind] = [reply.SaltCrypt(key)]
            for number, values in self.extra.items():
                reply[int(number)] = values
        octets: bytes = reply.ReplyPacket()
        return octets
