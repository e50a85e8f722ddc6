# SPDX-License-Identifier: GPL-2.0-or-later
"""What EAP-AKA' adds (RFC 9048): network names, key derivation functions, the separation bit; its published keys."""

from __future__ import annotations

import json

import pytest

from mn_dsmip.crypto.aka import Usim
from mn_dsmip.crypto.kdf import aka_prime_keys
from mn_dsmip.engine.ike.aka_common import AKA_PRIME, derive, seal
from mn_dsmip.engine.ike.aka_peer import AkaPeer
from mn_dsmip.engine.ike.eap_method import EapPacket, EapSuccess
from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Code, Method, Packet, Subtype
from tests.engine.eap_pair import ANSWER, CLIENT_ERROR, IMSI, REJECT, VECTORS, HandWritten, make_pair, vectors

CASES = json.loads((VECTORS / "eap_aka_prime.json").read_text())["cases"]
SET_19 = next(each for each in json.loads((VECTORS / "milenage.json").read_text())["sets"] if each["set"] == 19)
SYNC = "RESPONSE SYNCHRONIZATION_FAILURE Auts"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['network_name']} {case['rand'][:4]}")
def test_published_keys(case):
    values = {name: bytes.fromhex(case[name]) for name in ("ck", "ik", "autn", "msk", "emsk", "k_aut", "k_encr")}
    name = case["network_name"].encode()
    keys = derive(AKA_PRIME, case["identity"], values["ck"], values["ik"], values["autn"], name)
    assert (keys.msk, keys.emsk, keys.aut, keys.encr) == tuple(
        values[name] for name in ("msk", "emsk", "k_aut", "k_encr")
    )


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case["network_name"])
def test_a_peer_with_the_published_challenge(case):
    """Cases 1 and 2: Milenage set 19; the response carries the published RES, the end is the published MSK."""
    card = Usim(bytes.fromhex(SET_19["k"]), bytes.fromhex(SET_19["opc"]), int(SET_19["sqn"], 16) - 1)
    peer = AkaPeer(AKA_PRIME, case["identity"], IMSI, card, case["network_name"].encode())
    keys = aka_prime_keys(case["identity"].encode(), bytes.fromhex(case["ik_prime"]), bytes.fromhex(case["ck_prime"]))
    attributes = (
        eap.Rand(bytes.fromhex(case["rand"])),
        eap.Autn(bytes.fromhex(case["autn"])),
        eap.Kdf(1),
        eap.KdfInput(case["network_name"].encode()),
        eap.Mac(),
    )
    request = AkaPacket(Code.REQUEST, 1, Method.AKA_PRIME, Subtype.CHALLENGE, attributes)
    peer.receive(seal(AKA_PRIME, request, keys))
    answer = AkaPacket(
        Code.RESPONSE, 1, Method.AKA_PRIME, Subtype.CHALLENGE, (eap.Res(bytes.fromhex(case["res"])), eap.Mac())
    )
    assert peer.take() == EapPacket(seal(AKA_PRIME, answer, keys))
    peer.receive(bytes.fromhex("03010004"))
    assert peer.take() == EapSuccess(bytes.fromhex(case["msk"]), case["identity"])


def test_the_network_name_is_in_the_keys():
    """The server's string, also where ours is only its beginning (RFC 9048 3.1)."""
    ends = []
    for name in (b"WLAN", b"WLAN:operator"):
        pair = make_pair(AKA_PRIME, names=(b"WLAN", name))
        pair.run()
        assert isinstance(pair.peer_end, EapSuccess)
        assert isinstance(pair.server_end, EapSuccess)
        assert pair.peer_end.msk == pair.server_end.msk
        ends.append(pair.peer_end.msk)
    assert ends[0] != ends[1]


@pytest.mark.parametrize(
    ("own", "offered", "same"),
    [
        (b"FOO:BAR", b"FOO:BAR", True),
        (b"FOO", b"FOO:BAR", True),
        (b"FOO:BAR", b"FOO", True),
        (b"FOO", b"FOO", True),
        (b"FOO", b"FO", False),
        (b"FO", b"FOO", False),
        (b"FOO:BAR", b"FOO:BAZ", False),
        (b"FOO:BAR", b"FOO:BARN", False),
        (b"foo", b"FOO", False),
        (b"FOO:BAR", b"BAR", False),
        (b"FOO", b":FOO", False),
    ],
)
def test_network_names_are_compared_field_by_field(own, offered, same):
    server = HandWritten(AKA_PRIME, network_name=own)
    assert server.ask(server.prime(name=offered)) == (ANSWER if same else REJECT)


def test_a_name_is_needed():
    for name, more in ((None, ()), (b"", ())):
        server = HandWritten(AKA_PRIME)
        assert server.ask(server.prime(*more, name=name)) == REJECT
        assert server.usim.sqn == 0
    server = HandWritten(AKA_PRIME)
    assert server.ask(server.prime(eap.KdfInput(b"WLAN"))) == CLIENT_ERROR  # twice


def test_the_separation_bit():
    """0 in the AMF is a wrong AUTN, before the card sees it (RFC 9048 3.3)."""
    for amf, answer in ((b"\0\0", REJECT), (b"\x7f\xff", REJECT), (b"\x80\0", ANSWER), (b"\xff\xff", ANSWER)):
        server = HandWritten(AKA_PRIME)
        assert server.ask(server.prime(amf=amf)) == answer
        assert server.usim.sqn == (answer == ANSWER)


@pytest.mark.parametrize("kdfs", [(), (2,), (2, 3), (0,), (1, 1), (1, 2, 2), (2, 1, 2)])
def test_offers_that_are_refused(kdfs):
    """Missing, unknown or repeated (RFC 9048 3.2): as a wrong AUTN."""
    server = HandWritten(AKA_PRIME)
    assert server.ask(server.prime(kdfs=kdfs)) == REJECT
    assert server.usim.sqn == 0
    assert server.end() is None


def test_the_first_function_is_taken_without_more_ado():
    server = HandWritten(AKA_PRIME)
    assert server.ask(server.prime(kdfs=(1, 2, 65535))) == ANSWER
    assert isinstance(server.end(), EapSuccess)


def negotiating(*offered: int) -> HandWritten:
    """A peer that has asked for function 1, which was not the first one."""
    server = HandWritten(AKA_PRIME)
    request = server.prime(kdfs=offered)
    result = server.send(request)
    lone = AkaPacket(Code.RESPONSE, request[1], Method.AKA_PRIME, Subtype.CHALLENGE, (eap.Kdf(1),))
    assert result == EapPacket(lone.build())  # AT_KDF and nothing else, no AT_MAC
    assert server.usim.sqn == 0  # the challenge was not processed in any other way
    return server


def test_negotiation():
    """The new request has our choice in front of the whole old list."""
    server = negotiating(2, 1, 7)
    assert server.ask(server.prime(kdfs=(1, 2, 1, 7))) == ANSWER
    assert isinstance(server.end(), EapSuccess)


@pytest.mark.parametrize("kdfs", [(1,), (1, 2), (2, 1), (1, 1, 2), (2, 2, 1), (1, 2, 1, 3), ()])
def test_negotiation_that_changes_something_else(kdfs):
    """As a wrong AT_MAC (RFC 9048 3.2)."""
    server = negotiating(2, 1)
    assert server.ask(server.prime(kdfs=kdfs)) == CLIENT_ERROR
    assert server.end() is None


def test_synchronisation_failure_repeats_the_functions():
    """As they were in the last message of the negotiation; the next challenge must have the same."""
    server = negotiating(2, 1)
    server.usim.sqn, server.sqn = 50, 10
    result = server.send(server.prime(kdfs=(1, 2, 1)))
    assert isinstance(result, EapPacket)
    parsed = AkaPacket.parse(Packet.parse(result.packet))
    assert parsed.subtype == Subtype.SYNCHRONIZATION_FAILURE
    assert [each.kdf for each in parsed.all(eap.Kdf)] == [1, 2, 1]
    server.sqn = 50
    assert server.ask(server.prime(kdfs=(1, 2, 1))) == ANSWER


@pytest.mark.parametrize("kdfs", [(1, 2), (2, 1), (1, 1), ()])
def test_functions_that_change_without_being_asked(kdfs):
    server = HandWritten(AKA_PRIME, card_sqn=50)
    server.sqn = 10
    assert server.ask(server.prime()) == f"{SYNC} Kdf"
    server.sqn = 50
    assert server.ask(server.prime(kdfs=kdfs)) == CLIENT_ERROR


def answering(*attributes: eap.Attribute, subtype: Subtype = Subtype.CHALLENGE) -> tuple[str, str]:
    """How the real server takes a peer's answer made of these attributes: its packet, and its reason."""
    pair = make_pair(AKA_PRIME)
    request = pair.start()
    response = AkaPacket(Code.RESPONSE, request[1], Method.AKA_PRIME, subtype, attributes)
    packet = pair.to_server(response.build())
    notification = AkaPacket.parse(Packet.parse(packet)).get(eap.Notification)
    assert notification == eap.Notification(16384)
    last = pair.to_server(AkaPacket(Code.RESPONSE, packet[1], Method.AKA_PRIME, Subtype.NOTIFICATION).build())
    assert pair.server_end
    return Code(last[0]).name, getattr(pair.server_end, "reason", "")


@pytest.mark.parametrize("kdf", [0, 1, 2])
def test_the_server_has_one_function(kdf):
    """We offer it alone: whatever a peer asks for, the first included, fails (RFC 9048 3.2)."""
    code, reason = answering(eap.Kdf(kdf))
    assert code == "FAILURE"
    assert "wants a key derivation function that we do not have" in reason


@pytest.mark.parametrize("kdfs", [(), (2,), (1, 1)])
def test_the_server_wants_its_functions_back(kdfs):
    auts = eap.Auts(bytes(14))
    code, reason = answering(auts, *(eap.Kdf(kdf) for kdf in kdfs), subtype=Subtype.SYNCHRONIZATION_FAILURE)
    assert code == "FAILURE"
    assert "AT_KDF is not repeated as we sent it" in reason


def test_names_that_do_not_match_end_in_a_reject():
    pair = make_pair(AKA_PRIME, names=(b"HRPD", b"WLAN"))
    pair.run()
    assert pair.chart[1:] == ["RESPONSE AUTHENTICATION_REJECT", "FAILURE"]
    assert pair.peer_end
    assert "names another access network than ours" in getattr(pair.peer_end, "reason", "")


def test_the_worked_exchange_of_the_other_method_has_other_keys():
    """AKA' of the same AKA run: nothing of EAP-AKA's keys comes back."""
    exchange = vectors("eap_aka.json", "exchange")
    sets = json.loads((VECTORS / "milenage.json").read_text())["sets"][0]
    ck, ik, autn = (bytes.fromhex(sets[name]) for name in ("f3", "f4", "autn"))
    keys = derive(AKA_PRIME, exchange["identity"], ck, ik, autn, b"WLAN")
    assert keys.msk.hex() != exchange["msk"]
    assert (len(keys.msk), len(keys.emsk), len(keys.aut), len(keys.encr)) == (64, 64, 32, 16)
