# SPDX-License-Identifier: GPL-2.0-or-later
"""How an EAP-AKA peer takes the end: success, failure, notifications, result indications, each at its moment."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.ike.eap_method import EapFailure, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import Code, Packet, Subtype
from tests.engine.eap_pair import ANSWER, CLIENT_ERROR, FLAVOURS, IDENTITY_ANSWER, HandWritten

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)


@each_flavour
def test_success_before_the_challenge_is_ignored(flavour):
    """RFC 4187 6.2."""
    server = HandWritten(flavour)
    assert server.end() is None
    assert server.ask(server.request(Subtype.IDENTITY, eap.AnyIdReq())) == IDENTITY_ANSWER
    assert server.end() is None
    assert server.peer.counters == {"eap-early-success": 2}
    assert server.ask(server.good()) == ANSWER
    assert isinstance(server.end(), EapSuccess)


@each_flavour
def test_success_after_a_synchronization_failure_is_ignored(flavour):
    server = HandWritten(flavour, card_sqn=50)
    server.sqn = 10
    assert "Auts" in server.ask(server.good())
    assert server.end() is None


@each_flavour
def test_result_indications(flavour):
    """Once both want them, only notification 32768 allows success (RFC 4187 6.2)."""
    server = HandWritten(flavour)
    assert server.ask(server.good(eap.ResultInd())) == ANSWER.replace("Mac", "ResultInd Mac")
    assert server.end() is None
    protected = server.request(Subtype.NOTIFICATION, eap.Notification(32768), eap.Mac())
    assert server.ask(protected) == "RESPONSE NOTIFICATION Mac"
    assert isinstance(server.end(), EapSuccess)


@each_flavour
@pytest.mark.parametrize("code", [0, 1026, 1031, 12345])
def test_failure_after_authentication(flavour, code):
    """Acknowledged with AT_MAC, unknown codes too; success is then no longer accepted (RFC 4187 6.1, 6.2)."""
    server = HandWritten(flavour)
    assert server.ask(server.good()) == ANSWER
    notification = server.request(Subtype.NOTIFICATION, eap.Notification(code), eap.Mac())
    assert server.ask(notification) == "RESPONSE NOTIFICATION Mac"
    assert server.end() is None
    result = server.end(Code.FAILURE)
    assert isinstance(result, EapFailure)
    assert result.reason.endswith(f"(code {code})")


@each_flavour
@pytest.mark.parametrize(
    ("code", "reason"),
    [(16384, "the network could not authenticate us (code 16384)"), (16999, "the network refused us (code 16999)")],
)
def test_failure_before_authentication(flavour, code, reason):
    server = HandWritten(flavour)
    assert server.ask(server.request(Subtype.NOTIFICATION, eap.Notification(code))) == "RESPONSE NOTIFICATION"
    assert server.end(Code.FAILURE) == EapFailure(reason, "RFC 4187 6.3.3")


@each_flavour
@pytest.mark.parametrize(
    ("authenticated", "attributes"),
    [
        (False, (eap.Notification(0),)),  # P says after authentication
        (False, (eap.Notification(32768),)),
        (False, (eap.Notification(32768 + 16384),)),
        (False, (eap.Notification(16384), eap.Mac())),
        (False, (eap.Notification(16384), eap.Notification(16384))),
        (False, ()),
        (False, (eap.Notification(16384), eap.Rand(bytes(16)))),
        (True, (eap.Notification(16384), eap.Mac())),  # P says before
        (True, (eap.Notification(0),)),  # no AT_MAC
        (True, (eap.Notification(32768), eap.Mac())),  # nobody asked for a result indication
        (True, (eap.Mac(),)),
        (True, (eap.Notification(0), eap.Mac(), eap.Mac())),
    ],
)
def test_notifications_at_the_wrong_moment(flavour, authenticated, attributes):
    server = HandWritten(flavour)
    if authenticated:
        assert server.ask(server.good()) == ANSWER
    assert server.ask(server.request(Subtype.NOTIFICATION, *attributes)) == CLIENT_ERROR
    assert server.end() is None


@each_flavour
def test_a_notification_with_a_wrong_mac(flavour):
    server = HandWritten(flavour)
    assert server.ask(server.good(eap.ResultInd())).endswith("ResultInd Mac")
    forged = server.request(Subtype.NOTIFICATION, eap.Notification(32768), eap.Mac())
    assert server.ask(forged[:-1] + bytes((forged[-1] ^ 1,))) == CLIENT_ERROR
    assert server.end() is None


@each_flavour
def test_one_notification_round_only(flavour):
    server = HandWritten(flavour)
    server.ask(server.good(eap.ResultInd()))
    for answer in ("RESPONSE NOTIFICATION Mac", CLIENT_ERROR):
        assert server.ask(server.request(Subtype.NOTIFICATION, eap.Notification(32768), eap.Mac())) == answer
    assert server.end() is None


@each_flavour
@pytest.mark.parametrize("subtype", [0, 2, 3, 4, 13, 14, 255])
def test_subtypes_that_are_not_requests(flavour, subtype):
    """Reauthentication too: we never got an identity for it."""
    server = HandWritten(flavour)
    assert server.ask(server.request(subtype)) == CLIENT_ERROR


@each_flavour
def test_failure_without_a_reason(flavour):
    server = HandWritten(flavour)
    result = server.end(Code.FAILURE)
    assert isinstance(result, EapFailure)
    assert result.reason == "the network refused the authentication without saying why"


@each_flavour
def test_after_the_end_nothing_is_taken(flavour):
    for code in (Code.SUCCESS, Code.FAILURE):
        server = HandWritten(flavour)
        challenge = server.good()
        assert server.ask(challenge) == ANSWER
        assert server.end(code) is not None
        for packet in (challenge, Packet(Code.SUCCESS, 1).build(), Packet(Code.FAILURE, 1).build(), b""):
            assert server.ask(packet) == ""
        assert server.peer.counters == {"eap-unexpected": 4}
