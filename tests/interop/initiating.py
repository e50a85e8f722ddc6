# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan as the peer that our PDN GW serves: its connections, and our side's policy for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from mn_dsmip.crypto.aka import AuthenticationCentre
from mn_dsmip.engine.gateway_policy import ApnPools, GatewayPolicy, PolicyConfig
from mn_dsmip.engine.ike.events import ChildSaEstablished, IkeSaEstablished, ResponderConfig
from tests.interop.peers.charon import Charon, Settings
from tests.interop.peers.network import HA, UE, Field
from tests.interop.peers.ours import Responder
from tests.interop.responding import suites
from tests.interop.rows import rows

APN, NAME, PEER = "internet", "pgw.example.net", "ue@example.net"
PSK = b"a secret of ours and theirs"
POOL = IPv6Network("2001:db8:200::/48")
HOME = IPv6Address("2001:db8:200::10")
"""In the first prefix of the pool."""


row = rows("PDN GW", "1.2")


@contextmanager
def initiator(field: Field, folder: Path, settings: Settings | None = None, **changes: Any) -> Iterator[Charon]:
    """strongSwan in the UE's place, with the PSK and the connection of ``remote_access``."""
    with closing(Charon(field.ue, folder, shim=True, settings=settings)) as peer:
        peer.load_psk(PSK)
        remote_access(peer, **changes)
        yield peer


def policy(**changes: Any) -> GatewayPolicy:
    """One APN, everybody with the PSK may use it."""
    usual = PolicyConfig(HA, {}, {APN: ApnPools(POOL, IPv4Network("10.45.0.0/24"))}, psk=PSK)
    return GatewayPolicy(replace(usual, **changes), AuthenticationCentre(os.urandom, {}), os.urandom)


def gateway(field: Field, changed: GatewayPolicy | None = None, **changes: Any) -> Responder:
    """Our IKE at the home agent's address."""
    usual = ResponderConfig(NAME, suites(), None)
    return Responder(field.ha, replace(usual, **changes), changed or policy(), [HA])


def mobility(home: IPv6Address = HOME) -> dict[str, Any]:
    """A child SA for the Mobility Header, as a UE wants it."""
    return {
        "local_ts": [f"{home}/128[135]"], "remote_ts": [f"{HA}/128[135]"], "mode": "transport_proxy",
        "esp_proposals": ["aes256gcm16"], "policies": "no",
    }  # fmt: skip


def remote_access(charon: Charon, name: str = "s2c", peer: str = PEER, **changes: Any) -> None:
    """Load a connection: virtual addresses of both versions, user traffic in `NAME-user`, signalling in `NAME-mh`."""
    user = {"remote_ts": ["::/0", "0.0.0.0/0"], "esp_proposals": ["aes256gcm16"], "policies": "no"}
    connection: dict[str, Any] = {
        "local_addrs": [str(UE)],
        "remote_addrs": [str(HA)],
        "proposals": ["aes256gcm16-prfsha256-curve25519"],
        "vips": ["::", "0.0.0.0"],
        "local": {"auth": "psk", "id": peer},
        "remote": {"auth": "psk", "id": NAME},
        "children": {f"{name}-user": user, f"{name}-mh": mobility()},
    }
    charon.load_conn(name, **(connection | changes))


def served(ours: Responder, charon: Charon, child: str = "s2c-user") -> None:
    """Have strongSwan set up that child SA, and all before it."""
    ours.finish(charon.initiate(child))
    ours.run(lambda: ours.of(IkeSaEstablished) and ours.of(ChildSaEstablished))


def same_keys(ours: Responder, charon: Charon, ikes: int, children: int) -> None:
    """Both ends hold the same keys, for that many SAs so far."""
    ours.run(lambda: len(charon.child_keys()) >= children and len(charon.ike_keys()) >= ikes, 5)
    assert sorted(ours.ike_keys()) == sorted(charon.ike_keys())
    assert set(ours.child_keys()) == set(charon.child_keys())
    assert (len(ours.ike_keys()), len(ours.child_keys())) == (ikes, children)
