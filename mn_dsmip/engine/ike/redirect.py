# SPDX-License-Identifier: GPL-2.0-or-later
"""REDIRECT: another gateway is to serve the UE (RFC 5685 9.2, 9.3).

::

    0 GW Ident Type   1 GW Ident Len   2.. identity   .. nonce data (in an IKE_SA_INIT response only)
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ...wire.codec import WireError
from ...wire.ikev2_numbers import NotifyType
from ...wire.ikev2_payloads import Notify
from ..base import IPAddress

IPV4, IPV6, FQDN = 1, 2, 3


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


def redirected_from(gateway: IPAddress) -> Notify:
    """Tell the new gateway who sent us (RFC 5685 9.3); it also says that we may be sent on."""
    return Notify(NotifyType.REDIRECTED_FROM, _identity(gateway))


def _identity(gateway: IPAddress | str) -> bytes:
    value = gateway.encode() if isinstance(gateway, str) else gateway.packed
    kind = FQDN if isinstance(gateway, str) else IPV4 if gateway.version == 4 else IPV6
    return bytes((kind, len(value))) + value
