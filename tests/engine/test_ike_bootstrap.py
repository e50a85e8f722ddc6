# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole bootstrap, message by message: EAP-AKA, EAP-AKA', PSK; child SAs, deletion, signs of life."""

from __future__ import annotations

import pytest

from mn_dsmip.crypto.kdf import ChildKeys, IkeKeys
from mn_dsmip.engine.effects import SqnAdvanced
from mn_dsmip.engine.ike.aka_common import AKA, AKA_PRIME, Flavour
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import network_access_identifier
from mn_dsmip.engine.ike.events import (
    ChildSaClosed,
    ChildSaEstablished,
    ChildSaFailed,
    EspKeysDerived,
    IkeKeysDerived,
    IkeSaClosed,
    IkeSaEstablished,
    Refusal,
    Selectors,
    Timers,
)
from mn_dsmip.engine.ike.path import Nat
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, IdType, NotifyType
from mn_dsmip.wire.ikev2_payloads import Configuration, HomePrefix, IdInitiator, IdResponder
from tests.engine.ike_pair import (
    ANYWHERE,
    APN,
    DNS,
    FOR_HOME,
    GATEWAY,
    HOME,
    IMSI,
    MCC,
    MNC,
    OWN_NAME,
    PREFIX,
    PSK,
    UE,
    Pair,
    Policy,
    gateway_identity,
    initiator_config,
    responder_config,
    usim,
)

SPLIT = "N(IKEV2_FRAGMENTATION_SUPPORTED)"
NAT = "N(NAT_DETECTION_SOURCE_IP) N(NAT_DETECTION_DESTINATION_IP)"
INIT = [
    f"--> IKE_SA_INIT 0 SA KE N {NAT} N(REDIRECT_SUPPORTED) N(SIGNATURE_HASH_ALGORITHMS) {SPLIT}",
    f"<-- IKE_SA_INIT 0 SA KE N {NAT} N(SIGNATURE_HASH_ALGORITHMS) {SPLIT}",
]
CHILD = "N(USE_TRANSPORT_MODE) SA TSi TSr"


def with_aka(flavour: Flavour) -> Pair:
    return Pair(initiator_config(flavour), policy=Policy(flavour))


@pytest.mark.parametrize("flavour", [AKA, AKA_PRIME], ids=["EAP-AKA", "EAP-AKA'"])
def test_bootstrap_with_eap(flavour: Flavour) -> None:
    pair = with_aka(flavour).established()
    assert pair.chart() == [
        *INIT,
        f"--> IKE_AUTH 1 IDi CERTREQ IDr CP {CHILD}",
        "<-- IKE_AUTH 1 IDr CERT AUTH EAP",
        "--> IKE_AUTH 2 EAP",
        "<-- IKE_AUTH 2 EAP",
        "--> IKE_AUTH 3 AUTH",
        f"<-- IKE_AUTH 3 AUTH CP {CHILD}",
    ]
    both_agree(pair)
    claimed = pair.look(pair.wire[2][1])[1][0]
    assert claimed == IdInitiator(IdType.RFC822, network_access_identifier(IMSI, MCC, MNC, flavour.leading).encode())
    [at_gateway] = pair.gateway(IkeSaEstablished)
    assert (at_gateway.identity, at_gateway.apn, at_gateway.peer) == (IMSI, APN, UE)
    # The sequence number is told before the challenge leaves, at both ends.
    kinds = [type(each) for each in pair.happened["gateway"]]
    assert kinds.index(SqnAdvanced) < kinds.index(IkeSaEstablished)
    assert pair.ue(SqnAdvanced) == [SqnAdvanced(IMSI, 1)]


def test_bootstrap_with_psk() -> None:
    pair = Pair(initiator_config(psk=PSK), policy=Policy(psk=PSK)).established()
    assert pair.chart() == [
        *INIT,
        f"--> IKE_AUTH 1 IDi IDr AUTH CP {CHILD}",
        f"<-- IKE_AUTH 1 IDr AUTH CP {CHILD}",
    ]
    both_agree(pair)


def both_agree(pair: Pair) -> None:
    """Keys, selectors, configuration and identities at both ends."""
    [at_ue], [at_gateway] = pair.ue(IkeSaEstablished), pair.gateway(IkeSaEstablished)
    assert (at_ue.identity, at_ue.apn, at_ue.peer) == (APN, APN, GATEWAY)
    assert at_ue.configuration == at_gateway.configuration
    assert isinstance(at_ue.configuration, Configuration)
    [prefix] = at_ue.configuration.all(CfgAttribute.MIP6_HOME_PREFIX)
    assert HomePrefix.parse(prefix) == HomePrefix(86400, PREFIX.network_address, 64)
    assert at_ue.configuration.all(CfgAttribute.INTERNAL_IP6_DNS) == [DNS.packed]
    assert at_ue.suite == at_gateway.suite == "AES-GCM-16-256/PRF-HMAC-SHA2-256/CURVE25519"
    assert pair.ue(IkeKeysDerived) == pair.gateway(IkeKeysDerived)
    children_agree(pair, first=True)
    assert pair.initiator.counters == pair.responder.counters == {}
    assert pair.initiator.nat == Nat(False, False)
    [session] = pair.responder.sessions.values()
    assert session.nat == Nat(False, False)
    assert not session.own_first and not session.peer_first  # thousands of sessions keep no messages


def children_agree(pair: Pair, first: bool) -> None:
    """The newest child SA is the same at both ends, mirrored."""
    ue, gateway = pair.ue(ChildSaEstablished)[-1], pair.gateway(ChildSaEstablished)[-1]
    assert ue.first is gateway.first is first
    mine, theirs = ue.child, gateway.child
    assert (mine.inbound_spi, mine.outbound_spi) == (theirs.outbound_spi, theirs.inbound_spi)
    assert (mine.inbound_keys, mine.outbound_keys) == (theirs.outbound_keys, theirs.inbound_keys)
    assert mine.inbound_keys != mine.outbound_keys
    assert (mine.local, mine.remote) == (theirs.remote, theirs.local)
    assert mine.protection == theirs.protection and mine.transport and theirs.transport
    assert pair.ue(EspKeysDerived)[-1].child == mine and pair.gateway(EspKeysDerived)[-1].child == theirs


def test_the_first_child_is_narrowed_to_the_home_prefix() -> None:
    """S-15: ::/0 is asked for, the home network prefix is given."""
    child = with_aka(AKA).established().ue(ChildSaEstablished)[0].child
    assert [(each.start, each.end) for each in child.local] == [(PREFIX[0], PREFIX[-1])]
    assert [(each.start, each.end) for each in child.remote] == [(GATEWAY, GATEWAY)]
    assert {(each.protocol, each.start_port, each.end_port) for each in (*child.local, *child.remote)} == {
        (135, 0, 65535)  # every Mobility Header type, Binding Revocation included
    }


def test_child_for_the_home_address_then_delete() -> None:
    pair = with_aka(AKA).established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    children_agree(pair, first=False)
    assert [each.start for each in pair.ue(ChildSaEstablished)[-1].child.local] == [HOME]
    pair.initiator.delete(pair.now, "the user detached")
    pair.settle()
    pair.quiet()
    assert pair.chart()[8:] == [
        "--> CREATE_CHILD_SA 4 N(USE_TRANSPORT_MODE) SA N TSi TSr",
        "<-- CREATE_CHILD_SA 4 N(USE_TRANSPORT_MODE) SA N TSi TSr",
        "--> INFORMATIONAL 5 D",
        "<-- INFORMATIONAL 5",
    ]
    assert pair.ue(IkeSaClosed) == [IkeSaClosed(pair.initiator.name, "the user detached", by_peer=False)]
    [closed] = pair.gateway(IkeSaClosed)
    assert closed.by_peer and closed.reason == "the peer closed the IKE SA"


def test_a_closed_session_is_forgotten_after_its_linger() -> None:
    pair = with_aka(AKA).established()
    pair.initiator.delete(pair.now)
    pair.settle()
    pair.quiet()
    assert len(pair.responder.sessions) == 1
    pair.run()
    assert not pair.responder.sessions and pair.responder.next_timer() is None
    assert pair.now == pytest.approx(0.1 + Timers().linger, abs=0.1)
    assert pair.responder.counters == {}
    kept = (
        pair.responder._by_request,
        pair.responder._requests,
        pair.responder._half_open,
        pair.responder._deadlines._times,
    )
    assert not any(kept)


def test_the_gateway_closes() -> None:
    pair = with_aka(AKA).established()
    [spi] = pair.responder.sessions
    pair.responder.delete(spi, pair.now, "the gateway shuts down")
    pair.settle()
    pair.quiet()
    assert pair.chart()[8:] == ["<-- INFORMATIONAL 0 D", "--> INFORMATIONAL 0"]
    assert [(each.reason, each.by_peer) for each in pair.gateway(IkeSaClosed)] == [("the gateway shuts down", False)]
    assert [each.by_peer for each in pair.ue(IkeSaClosed)] == [True]


def test_both_close_at_once() -> None:
    pair = with_aka(AKA).established()
    [spi] = pair.responder.sessions
    pair.responder.delete(spi, pair.now, "gateway")
    pair.initiator.delete(pair.now, "ue")
    pair.settle()
    pair.run()
    assert len(pair.ue(IkeSaClosed)) == len(pair.gateway(IkeSaClosed)) == 1


def test_either_side_closes_a_child() -> None:
    pair = with_aka(AKA).established()
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    first, second = (each.child for each in pair.ue(ChildSaEstablished))
    pair.initiator.delete_child(second.inbound_spi, pair.now)
    pair.settle()
    pair.quiet()
    assert pair.chart()[-2:] == ["--> INFORMATIONAL 5 D", "<-- INFORMATIONAL 5 D"]
    assert [each.inbound_spi for each in pair.ue(ChildSaClosed)] == [second.inbound_spi]
    assert [each.inbound_spi for each in pair.gateway(ChildSaClosed)] == [second.outbound_spi]
    [session] = pair.responder.sessions.values()
    session.delete_child(first.outbound_spi, pair.now)
    pair.responder.settle(session)
    pair.settle()
    pair.quiet()
    assert pair.chart()[-2:] == ["<-- INFORMATIONAL 0 D", "--> INFORMATIONAL 0 D"]
    assert [each.inbound_spi for each in pair.ue(ChildSaClosed)] == [second.inbound_spi, first.inbound_spi]
    assert pair.initiator.established and not pair.initiator.closed


def test_both_ask_for_signs_of_life() -> None:
    """Whoever hears nothing for its time asks with an empty INFORMATIONAL (RFC 7296 2.4); any answer will do."""
    pair = Pair(
        initiator_config(timers=Timers(liveness=30)), responder_config(timers=Timers(liveness=70))
    ).established()
    begun = pair.now
    pair.run(100)
    assert pair.chart()[8:] == [f"{arrow} INFORMATIONAL {number}" for number in (4, 5, 6) for arrow in ("-->", "<--")]
    assert [round(time - begun) for time, _ in pair.wire[8:]] == [30, 30, 60, 60, 90, 90]
    pair.disturb = lambda _number, datagram: [] if datagram.destination == GATEWAY else [(0.01, datagram)]
    pair.run(400)
    reason = "the peer does not answer any more"
    assert [each.reason for each in pair.ue(IkeSaClosed)] == [reason]
    assert [each.reason for each in pair.gateway(IkeSaClosed)] == [reason]


def test_traffic_is_a_sign_of_life() -> None:
    pair = Pair(responder=responder_config(timers=Timers(liveness=30)), config=initiator_config()).established()
    [spi] = pair.responder.sessions
    for _ in range(5):
        pair.run(20)
        pair.responder.alive(spi, pair.now)
        pair.initiator.heard = pair.now
    assert len(pair.wire) == 8
    pair.run(31)
    assert pair.chart()[8:] == ["<-- INFORMATIONAL 0", "--> INFORMATIONAL 0"]


def test_no_liveness_check_when_it_is_off() -> None:
    timers = Timers(liveness=0, ike_lifetime=0, child_lifetime=0)
    pair = Pair(initiator_config(timers=timers), responder_config(timers=timers)).established()
    assert pair.initiator.next_timer() is None and pair.responder.next_timer() is None


def test_no_apn_gets_the_default_one() -> None:
    """S-12: the gateway names the APN in IDr."""
    policy = Policy()
    policy.default_apn = "ims"
    pair = Pair(initiator_config(apn=None), policy=policy).established()
    assert pair.look(pair.wire[3][1])[1][0] == IdResponder(IdType.FQDN, b"ims")
    assert pair.ue(IkeSaEstablished)[0].identity == "ims" and pair.gateway(IkeSaEstablished)[0].apn == "ims"


@pytest.mark.parametrize("asked", [OWN_NAME, OWN_NAME.upper()])
def test_a_gateway_asked_by_its_own_name_answers_with_it(asked: str) -> None:
    identity = gateway_identity(OWN_NAME)
    config = initiator_config(apn=asked, expected_name=OWN_NAME)
    pair = Pair(config, responder_config(identity=identity)).established()
    assert pair.look(pair.wire[3][1])[1][0] == IdResponder(IdType.FQDN, asked.encode())
    assert pair.policy.peers[0].apn is None


def test_the_address_serves_as_name_when_none_was_looked_up() -> None:
    config = initiator_config(expected_name=str(GATEWAY))
    assert Pair(config).established().ue(IkeSaEstablished)


def test_a_known_home_address_is_asked_for_again() -> None:
    pair = Pair(initiator_config(home_address=HOME)).established()
    [request] = [each for each in pair.look(pair.wire[2][1])[1] if isinstance(each, Configuration)]
    assert request.all(CfgAttribute.MIP6_HOME_PREFIX) == [b""]
    assert request.all(CfgAttribute.INTERNAL_IP6_ADDRESS) == [HOME.packed + b"\x40"]


def test_no_configuration_is_asked_for_or_given() -> None:
    policy = Policy()
    policy.reply = lambda request: None
    pair = Pair(initiator_config(want_home_prefix=False, want_dns=False), policy=policy).established()
    assert pair.chart()[2] == f"--> IKE_AUTH 1 IDi CERTREQ IDr {CHILD}"
    assert pair.ue(IkeSaEstablished)[0].configuration is None


def test_an_answer_without_child_sa_is_accepted() -> None:
    """S-15, RFC 7296 2.21.2: the IKE SA stands, the child for the home address may still come."""
    policy = Policy()
    policy.reply = lambda request: Refusal(NotifyType.INTERNAL_ADDRESS_FAILURE, "the pool is empty")
    pair = Pair(policy=policy).established()
    assert pair.chart()[7] == "<-- IKE_AUTH 3 AUTH N(INTERNAL_ADDRESS_FAILURE)"
    [established] = pair.ue(IkeSaEstablished)
    assert established.child_refused == (
        "the gateway refused: it has no address or prefix to give (INTERNAL_ADDRESS_FAILURE)"
    )
    assert pair.gateway(IkeSaEstablished)[0].child_refused == "the pool is empty"
    assert not pair.ue(ChildSaEstablished) and not pair.gateway(ChildSaEstablished)
    pair.initiator.create_child(FOR_HOME, pair.now)
    pair.settle()
    pair.quiet()
    children_agree(pair, first=False)


def test_resynchronisation_takes_one_more_round() -> None:
    identity = initiator_config().identity
    pair = Pair(initiator_config(eap=lambda: AkaPeer(AKA, identity, IMSI, usim(1000)))).established()
    assert [line.split()[1:3] for line in pair.chart()[2::2]] == [["IKE_AUTH", str(n)] for n in range(1, 5)]
    assert pair.ue(SqnAdvanced) == [SqnAdvanced(IMSI, 1001)]


def test_a_child_outside_the_prefix_is_refused() -> None:
    pair = with_aka(AKA).established()
    pair.initiator.create_child(Selectors(ANYWHERE.remote, ANYWHERE.remote), pair.now)
    pair.settle()
    pair.quiet()
    assert pair.chart()[-1] == "<-- CREATE_CHILD_SA 4 N(TS_UNACCEPTABLE)"
    [failed] = pair.ue(ChildSaFailed)
    assert failed.notify == NotifyType.TS_UNACCEPTABLE
    assert failed.reason == ("the gateway refused: it does not protect the traffic that we asked for (TS_UNACCEPTABLE)")
    assert failed.clause == "RFC 7296 2.9"
    assert pair.gateway(ChildSaFailed)[0].reason == f"the selectors are outside {PREFIX}"
    assert pair.responder.counters == {"ike-child-refused": 1}


def test_a_new_session_of_the_same_user_does_not_end_the_old_one_by_itself() -> None:
    """S-21 is the gateway's decision: it calls ``delete``."""
    policy = Policy()
    old = Pair(policy=policy).established()
    [spi] = old.responder.sessions
    eap = AkaPeer(AKA, initiator_config().identity, IMSI, usim(1))
    new = Pair(initiator_config(eap=lambda: eap), policy=policy, seed="another")
    new.responder = old.responder
    new.established()
    assert len(old.responder.sessions) == 2
    old.responder.delete(spi, old.now, "a newer IKE SA replaces it")
    old.settle()
    old.quiet()
    assert [each.by_peer for each in old.ue(IkeSaClosed)] == [True]
    assert not new.ue(IkeSaClosed)


def test_same_seed_same_octets() -> None:
    runs = []
    for seed in (1, 1, 2):
        pair = Pair(seed=seed).established()
        pair.initiator.create_child(FOR_HOME, pair.now)
        pair.settle()
        pair.quiet()
        runs.append([datagram.payload for _, datagram in pair.wire])
    assert runs[0] == runs[1]
    assert all(one != other for one, other in zip(runs[0], runs[2], strict=True))


def test_secrets_are_not_shown() -> None:
    pair = with_aka(AKA).established()
    shown = repr(pair.happened) + repr(pair.initiator.config) + repr(initiator_config(psk=PSK))
    for derived in pair.ue(IkeKeysDerived):
        for name in IkeKeys.__dataclass_fields__:
            secret = getattr(derived.keys, name)
            assert not secret or (repr(secret) not in shown and secret.hex() not in shown)
    for child in (each.child for each in pair.ue(ChildSaEstablished)):
        for name in ChildKeys.__dataclass_fields__:
            secret = getattr(child.inbound_keys, name)
            assert not secret or repr(secret) not in shown
    assert repr(PSK) not in shown
