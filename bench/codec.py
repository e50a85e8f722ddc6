# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages a second: our codec against scapy on the same bytes.

Building starts from plain values, so it counts making the message object as well as writing it; parsing ends with
every field read, and ours verifies the checksum as well, which scapy does not. Each figure is the best of several
rounds, and the bytes are compared before anything is timed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import reduce
from ipaddress import IPv6Address
from operator import truediv

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.contrib import ikev2 as scapy_ike  # noqa: E402  # after scapy's own chatter is off
from scapy.layers import inet6 as scapy_mip  # noqa: E402

from mn_dsmip.wire import ikev2_payloads as payloads  # noqa: E402
from mn_dsmip.wire.ikev2 import Message  # noqa: E402
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform  # noqa: E402
from mn_dsmip.wire.ip import MOBILITY_HEADER, ipv6_packet, parse_ipv6  # noqa: E402
from mn_dsmip.wire.mobility import BindingUpdate, MobilityMessage, build_mobility, parse_mobility  # noqa: E402
from mn_dsmip.wire.mobility_options import AlternateCareOfAddress  # noqa: E402

ROUNDS, ROUND_SECONDS = 5, 0.2
HOME, CARE_OF, AGENT = IPv6Address("2001:db8:100::1"), IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:aaaa::1")
PUBLIC, NONCE = bytes(range(32)), bytes(range(32))
# (type, id, key bits): AES-GCM-16-256, PRF-HMAC-SHA2-256, Curve25519; then AES-CBC-256, HMAC-SHA2-256-128, group 19
OFFERS = (
    ((1, 20, 256), (2, 5, None), (4, 31, None)),
    ((1, 12, 256), (3, 12, None), (2, 5, None), (4, 19, None)),
)
NOTIFIES = ((16388, bytes(20)), (16389, bytes(20)), (16406, b""))  # NAT detection of both ends, REDIRECT_SUPPORTED


def our_binding_update() -> bytes:
    update = BindingUpdate(
        sequence=7,
        acknowledge=True,
        home=True,
        key_management=True,
        lifetime=900,
        options=(AlternateCareOfAddress(CARE_OF),),
    )
    return ipv6_packet(HOME.packed, AGENT.packed, MOBILITY_HEADER, build_mobility(update, HOME, AGENT))


def parse_binding_update(packet: bytes) -> MobilityMessage:
    found = parse_ipv6(packet)
    return parse_mobility(found.payload, IPv6Address(found.source), IPv6Address(found.destination))


def scapy_binding_update() -> bytes:
    option = scapy_mip.MIP6OptAltCoA(acoa=str(CARE_OF))
    update = scapy_mip.MIP6MH_BU(nh=59, seq=7, flags="AHK", mhtime=900, options=[option])
    return bytes(scapy_mip.IPv6(src=str(HOME), dst=str(AGENT), hlim=64) / update)


def our_sa_init() -> bytes:
    proposals = tuple(
        Proposal(number, 1, b"", tuple(Transform(*transform) for transform in transforms))
        for number, transforms in enumerate(OFFERS, 1)
    )
    content: list[payloads.Payload] = [
        payloads.SecurityAssociation(proposals),
        payloads.KeyExchange(31, PUBLIC),
        payloads.Nonce(NONCE),
        *(payloads.Notify(kind, data) for kind, data in NOTIFIES),
    ]
    return Message(bytes(range(8)), bytes(8), 34, 0, tuple(content), True, False).build()


def scapy_sa_init() -> bytes:
    message = scapy_ike.IKEv2(init_SPI=bytes(range(8)), resp_SPI=bytes(8), exch_type=34, flags="Initiator", id=0)
    message /= scapy_ike.IKEv2_SA(
        prop=reduce(
            truediv,
            (
                scapy_ike.IKEv2_Proposal(
                    next_payload=2 * (number < len(OFFERS)),
                    proposal=number,
                    trans_nb=len(offer),
                    trans=reduce(truediv, (_scapy_transform(*each, more=each is not offer[-1]) for each in offer)),
                )
                for number, offer in enumerate(OFFERS, 1)
            ),
        )
    )
    message /= scapy_ike.IKEv2_KE(group=31, ke=PUBLIC)
    message /= scapy_ike.IKEv2_Nonce(nonce=NONCE)
    for kind, data in NOTIFIES:
        message /= scapy_ike.IKEv2_Notify(proto=0, type=kind, notify=data)
    return bytes(message)


def _scapy_transform(kind: int, number: int, bits: int | None, more: bool) -> scapy_ike.IKEv2_Transform:
    following = 3 if more else 0
    if bits is None:
        return scapy_ike.IKEv2_Transform(next_payload=following, transform_type=kind, transform_id=number)
    return scapy_ike.IKEv2_Transform(
        next_payload=following, transform_type=kind, transform_id=number, length=12, key_length=bits
    )


def rate(work: Callable[[], object]) -> float:
    """Calls a second, best of several rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        count, begun = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < ROUND_SECONDS:
            for _ in range(20):
                work()
            count += 20
        best = max(best, count / elapsed)
    return best


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    mine, other = rate(ours), rate(theirs)
    print(f"{name:<26}{mine:>12,.0f}/s   scapy {other:>9,.0f}/s   {mine / other:>6.1f} times as fast")


def main() -> None:
    update, init = our_binding_update(), our_sa_init()
    assert scapy_binding_update() == update, (scapy_binding_update().hex(), update.hex())
    assert scapy_sa_init() == init, (scapy_sa_init().hex(), init.hex())
    print(f"codec: a Binding Update packet of {len(update)} octets, an IKE_SA_INIT message of {len(init)} octets")
    compare("Binding Update, build", our_binding_update, scapy_binding_update)
    compare("Binding Update, parse", lambda: parse_binding_update(update), lambda: scapy_mip.IPv6(update))
    compare("IKE_SA_INIT, build", our_sa_init, scapy_sa_init)
    compare("IKE_SA_INIT, parse", lambda: Message.parse(init), lambda: scapy_ike.IKEv2(init))


if __name__ == "__main__":
    main()
