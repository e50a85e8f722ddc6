# SPDX-License-Identifier: GPL-2.0-or-later
"""REDIRECT: another gateway is to serve the UE (RFC 5685 5, 9.2, 9.3).

::

    0 GW Ident Type   1 GW Ident Len   2.. identity   .. nonce data (in an IKE_SA_INIT response only)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from ...wire.codec import WireError
from ...wire.ikev2 import Message
from ...wire.ikev2_numbers import NotifyType
from ...wire.ikev2_payloads import Notify, Payload
from ..base import IPAddress, ProtocolError
from .events import UeRedirected
from .informational import LivenessTask
from .sa import Progress

if TYPE_CHECKING:
    from .responder_session import ResponderSession

IPV4, IPV6, FQDN = 1, 2, 3
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+")


@dataclass(frozen=True)
class Redirect:
    """The gateway to turn to, by address or by name, and the nonce that a stranger could not have known."""

    gateway: IPAddress | str
    nonce: bytes = b""

    @classmethod
    def parse(cls, notify: Notify) -> Redirect:
        """Read a REDIRECT notify; ``WireError`` when it names no gateway."""
        data = notify.data
        if len(data) < 2 or len(data) < 2 + data[1]:
            raise WireError(f"a REDIRECT of {len(data)} octets")
        identity, nonce = data[2 : 2 + data[1]], data[2 + data[1] :]
        if data[0] == IPV4 and len(identity) == 4:
            return cls(IPv4Address(identity), nonce)
        if data[0] == IPV6 and len(identity) == 16:
            return cls(IPv6Address(identity), nonce)
        if data[0] == FQDN and identity.isascii() and identity:
            return cls(identity.decode().rstrip(".").lower(), nonce)
        raise WireError(f"a REDIRECT to an identity of type {data[0]} with {len(identity)} octets")

    def build(self) -> Notify:
        """The notify."""
        return Notify(NotifyType.REDIRECT, _identity(self.gateway) + self.nonce)


class RedirectTask(LivenessTask):
    """Send the UE of an active session elsewhere; no nonce, because the IKE SA protects it (RFC 5685 5)."""

    def __init__(self, session: ResponderSession, gateway: IPAddress | str) -> None:
        super().__init__(session)
        self._ue, self._gateway = session, gateway

    def build(self, now: float) -> list[Payload]:
        """The request."""
        return [Redirect(self._gateway).build()]

    def process(self, message: Message, payloads: tuple[Payload, ...], raw: bytes, now: float) -> Progress:
        """The UE knows; it has some time to go by itself."""
        self._ue.emit(UeRedirected(self._ue.name, self._ue.path.remote, self._gateway))
        reason = f"the UE was redirected to {self._gateway}"
        self._ue.later(now + self._ue.timers.redirected, lambda then: self._ue.delete(then, reason))
        return Progress.DONE


def gateway_of(text: str) -> IPAddress | str:
    """An address or a domain name that a person wrote; ``ProtocolError`` when it is neither."""
    try:
        return ip_address(text)
    except ValueError:
        if _NAME.fullmatch(text):
            return text.lower()
    raise ProtocolError(f"{text!r} is neither an address nor a domain name")


def redirected_from(gateway: IPAddress) -> Notify:
    """Tell the new gateway who sent us (RFC 5685 9.3); it also says that we may be sent on."""
    return Notify(NotifyType.REDIRECTED_FROM, _identity(gateway))


def _identity(gateway: IPAddress | str) -> bytes:
    value = gateway.encode() if isinstance(gateway, str) else gateway.packed
    kind = FQDN if isinstance(gateway, str) else IPV4 if gateway.version == 4 else IPV6
    return bytes((kind, len(value))) + value
