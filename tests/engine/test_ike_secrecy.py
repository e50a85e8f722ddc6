# SPDX-License-Identifier: GPL-2.0-or-later
"""Child SAs with a Diffie-Hellman exchange of their own (RFC 7296 1.3.1, 1.3.3, 2.12), asked for by either side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mn_dsmip.crypto.groups import GROUPS
from mn_dsmip.engine.ike.events import ChildSaClosed, ChildSaEstablished, ChildSaFailed, RekeyFailed
from mn_dsmip.engine.ike.forward_secrecy import KeyShare, offers_with
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.wire.ikev2_numbers import Exchange, NotifyType, Protocol
from mn_dsmip.wire.ikev2_payloads import KeyExchange, Notify, Payload
from tests.engine.ike_pair import FOR_HOME, Pair, initiator_config, responder_config, seeded
from tests.engine.test_ike_rekey import agree, rekey_child

IKE = parse_offer("aes256gcm16-prfsha256-curve25519-ecp256", Protocol.IKE)


def profile(*esp: str) -> Profile:
    """One IKE suite, and those ESP suites."""
    return Profile((IKE,), tuple(parse_offer(each, Protocol.ESP) for each in esp))


def pair_with(ue: Profile, gateway: Profile) -> Pair:
    """Both ends with an IKE SA, the child SA of IKE_AUTH, and proof that the UE knows of it."""
    pair = Pair(initiator_config(profile=ue), responder_config(profile=gateway)).established()
    pair.quiet()
    pair.initiator.check_liveness(pair.now)
    pair.settle()
    return pair.quiet()


def exchanged(pair: Pair, since: int) -> list[list[int]]:
    """Group of KE, or notify type of INVALID_KE_PAYLOAD, in each message of CREATE_CHILD_SA."""
    messages = [pair.look(each) for _, each in pair.wire[since:]]
    return [_told(payloads) for message, payloads in messages if message.exchange == Exchange.CREATE_CHILD_SA]


def _told(payloads: list[Payload]) -> list[int]:
    groups = [each.group for each in payloads if isinstance(each, KeyExchange)]
    wrong = NotifyType.INVALID_KE_PAYLOAD
    return groups + [wrong for each in payloads if isinstance(each, Notify) and each.notify_type == wrong]


PLAIN, SECRET = profile("aes256gcm16"), profile("aes256gcm16-ecp256")
EITHER = profile("aes256gcm16-curve25519-ecp256")


def test_no_group_in_the_first_child_sa() -> None:
    pair = pair_with(SECRET, SECRET)
    assert [each.child.group for each in pair.ue(ChildSaEstablished)] == [None]
    assert agree(pair)


def test_a_child_sa_with_an_exchange_of_its_own() -> None:
    pair = pair_with(SECRET, PLAIN)  # the gateway grants what is good enough for IKE
    since = len(pair.wire)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    # UE: SA, Ni, KE(ecp256), TSi, TSr -->  <-- SA, Nr, KE(ecp256), TSi, TSr
    assert exchanged(pair, since) == [[19], [19]]
    made = pair.ue(ChildSaEstablished)[-1].child
    assert made.group and made.group.name == "ECP-256"
    assert agree(pair)


@pytest.mark.parametrize("side", ["ue", "gateway"])
def test_rekeying_keeps_the_group(side: str) -> None:
    pair = pair_with(SECRET, PLAIN)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    pair.initiator.check_liveness(pair.now)
    pair.settle()
    pair.quiet()
    since = len(pair.wire)
    rekey_child(pair, side)
    pair.quiet()
    assert exchanged(pair, since) == [[19], [19]]
    assert len(pair.ue(ChildSaClosed)) == 1 and agree(pair)


def test_another_group_is_asked_for() -> None:
    pair = pair_with(profile("aes256gcm16-modp2048-ecp256"), SECRET)
    since = len(pair.wire)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    # UE: KE(modp2048) -->  <-- INVALID_KE_PAYLOAD(ecp256);  UE: KE(ecp256) -->  <-- KE(ecp256)
    assert exchanged(pair, since) == [[14], [NotifyType.INVALID_KE_PAYLOAD], [19], [19]]
    assert not pair.ue(ChildSaFailed) + pair.gateway(ChildSaFailed)
    assert agree(pair)


def test_the_group_of_the_peers_exchange_comes_first() -> None:
    pair = pair_with(SECRET, EITHER)
    since = len(pair.wire)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    assert exchanged(pair, since) == [[19], [19]]


def test_a_group_that_we_lack_is_refused() -> None:
    pair = pair_with(profile("aes256gcm16-modp4096"), PLAIN)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    [failed] = pair.gateway(ChildSaFailed)
    assert failed.notify == NotifyType.NO_PROPOSAL_CHOSEN
    assert "it offered AES-GCM-16-256/MODP-4096" in failed.reason
    assert [each.notify for each in pair.ue(ChildSaFailed)] == [NotifyType.NO_PROPOSAL_CHOSEN]


def test_a_peer_that_insists_on_a_group_gets_one_when_we_rekey() -> None:
    pair = pair_with(PLAIN, PLAIN)
    since = len(pair.wire)
    pair.initiator.profile = replace(PLAIN, esp=())  # a peer that takes nothing without a group
    rekey_child(pair, "gateway")
    assert pair.run(1, lambda: len(pair.wire) == since + 2)
    pair.initiator.profile = PLAIN
    pair.quiet()
    # gateway: no KE -->  <-- NO_PROPOSAL_CHOSEN;  gateway: KE(group of the IKE SA) -->  <-- KE
    assert exchanged(pair, since) == [[], [], [31], [31]]
    assert not pair.gateway(RekeyFailed)
    assert len(pair.gateway(ChildSaClosed)) == 1 and agree(pair)


def test_a_peer_that_takes_nothing_at_all_is_reported_once() -> None:
    pair = pair_with(PLAIN, PLAIN)
    since = len(pair.wire)
    pair.initiator.profile = replace(PLAIN, esp=())
    rekey_child(pair, "gateway")
    pair.quiet()
    assert exchanged(pair, since) == [[], [], [31], []]
    assert len(pair.gateway(RekeyFailed)) == 1


def test_damaged_public_values_end_the_session() -> None:
    pair = pair_with(profile("aes256gcm16-curve25519"), PLAIN)
    public = b"\0" * 32  # a public value of small order: the shared secret would be zero (RFC 8031 3.2)
    real = KeyExchange.build
    try:
        KeyExchange.build = lambda self: real(replace(self, data=public))  # type: ignore[method-assign]
        pair.initiator.create_child(FOR_HOME, pair.now)
        pair.settle()
    finally:
        KeyExchange.build = real  # type: ignore[method-assign]
    pair.quiet()
    assert pair.responder.counters["ike-malformed"] == 1


def test_each_suite_keeps_its_own_group() -> None:
    """A peer that takes the second suite only must be able to ask for that suite's group (RFC 7296 1.3)."""
    ours = profile("aes256gcm16-ecp256", "aes256gcm16-curve25519", "aes256gcm16")
    offers = offers_with(ours, KeyShare(GROUPS[19], seeded(1)))
    assert [[group.transform for group in each.groups] for each in offers] == [[19], [31, 19], [19]]
    assert [each.groups for each in offers_with(ours, None)] == [(), (), ()]
