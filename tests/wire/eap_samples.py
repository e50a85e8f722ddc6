# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP packets: the worked exchange as objects, every attribute with its octets, arbitrary ones for properties."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Attribute, Code, Method, Subtype

EXCHANGE = json.loads((Path(__file__).parents[1] / "vectors" / "eap_aka.json").read_text())["exchange"]
CHALLENGE = bytes.fromhex(EXCHANGE["challenge_request"])
_RAND, _AUTN, _REQUEST_MAC = CHALLENGE[12:28], CHALLENGE[32:48], CHALLENGE[52:68]
_ANSWER = bytes.fromhex(EXCHANGE["challenge_response"])

PUBLISHED: dict[str, AkaPacket] = {
    "challenge_request": AkaPacket(
        Code.REQUEST, 1, Method.AKA, Subtype.CHALLENGE, (eap.Rand(_RAND), eap.Autn(_AUTN), eap.Mac(_REQUEST_MAC))
    ),
    "challenge_response": AkaPacket(
        Code.RESPONSE, 1, Method.AKA, Subtype.CHALLENGE, (eap.Res(_ANSWER[12:20]), eap.Mac(_ANSWER[24:40]))
    ),
    "synchronization_failure": AkaPacket(
        Code.RESPONSE,
        1,
        Method.AKA,
        Subtype.SYNCHRONIZATION_FAILURE,
        (eap.Auts(bytes.fromhex("ba853f3c123ccf44e93596e355c6")),),
    ),
    "authentication_reject": AkaPacket(Code.RESPONSE, 1, Method.AKA, Subtype.AUTHENTICATION_REJECT),
    "client_error": AkaPacket(Code.RESPONSE, 1, Method.AKA, Subtype.CLIENT_ERROR, (eap.ClientErrorCode(),)),
    "notification": AkaPacket(Code.REQUEST, 2, Method.AKA, Subtype.NOTIFICATION, (eap.Notification(16384),)),
}
_SIXTEEN = bytes(range(16))

# Written by hand from the figures of RFC 4187 10.2 to 10.19 and RFC 9048 3.1, 3.2 and 4: type, length, value.
LAYOUTS: dict[str, Attribute] = {
    "01 05 0000 000102030405060708090a0b0c0d0e0f": eap.Rand(_SIXTEEN),
    "02 05 0000 000102030405060708090a0b0c0d0e0f": eap.Autn(_SIXTEEN),
    "03 03 0040 0001020304050607": eap.Res(_SIXTEEN[:8]),
    "03 03 0028 0001020304 000000": eap.Res(_SIXTEEN[:5]),
    "03 05 0080 000102030405060708090a0b0c0d0e0f": eap.Res(_SIXTEEN),
    "04 04 000102030405060708090a0b0c0d": eap.Auts(_SIXTEEN[:14]),
    "06 01 0000": eap.Padding(bytes(2)),
    "06 03 00000000000000000000": eap.Padding(bytes(10)),
    "0a 01 0000": eap.PermanentIdReq(),
    "0b 05 0000 000102030405060708090a0b0c0d0e0f": eap.Mac(_SIXTEEN),
    "0c 01 4000": eap.Notification(eap.NotificationCode.GENERAL_FAILURE),
    "0c 01 8000": eap.Notification(eap.NotificationCode.SUCCESS),
    "0c 01 1234": eap.Notification(0x1234),
    "0d 01 0000": eap.AnyIdReq(),
    "0e 02 0004 30303140": eap.Identity(b"001@"),
    "0e 02 0001 30 000000": eap.Identity(b"0"),
    "0e 01 0000": eap.Identity(b""),
    "11 01 0000": eap.FullauthIdReq(),
    "13 01 0102": eap.ReauthCounter(0x102),
    "14 01 0000": eap.CounterTooSmall(),
    "15 05 0000 000102030405060708090a0b0c0d0e0f": eap.NonceS(_SIXTEEN),
    "16 01 0000": eap.ClientErrorCode(),
    "16 01 0003": eap.ClientErrorCode(3),
    "17 02 0004 574c414e": eap.KdfInput(b"WLAN"),
    "18 01 0001": eap.Kdf(1),
    "81 05 0000 000102030405060708090a0b0c0d0e0f": eap.Iv(_SIXTEEN),
    "82 05 0000 000102030405060708090a0b0c0d0e0f": eap.EncrData(_SIXTEEN),
    "84 02 0003 326162 00": eap.NextPseudonym(b"2ab"),
    "85 02 0004 34614062": eap.NextReauthId(b"4a@b"),
    "86 01 0000": eap.Checkcode(),
    "86 06 0000 000102030405060708090a0b0c0d0e0f10111213": eap.Checkcode(bytes(range(20))),
    "86 09 0000 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f": eap.Checkcode(bytes(range(32))),
    "87 01 0000": eap.ResultInd(),
    "88 01 8000": eap.Bidding(0x8000),
    "c8 02 010203040506": eap.SkippableAttribute(200, bytes(range(1, 7))),
}

_exactly = {length: st.binary(min_size=length, max_size=length) for length in (14, 16, 20, 32)}
_word = st.integers(0, 0xFFFF)
_checkcodes = st.one_of(st.just(b""), _exactly[20], _exactly[32])
ATTRIBUTES: dict[int, st.SearchStrategy[Attribute]] = {
    1: st.builds(eap.Rand, _exactly[16]),
    2: st.builds(eap.Autn, _exactly[16]),
    3: st.builds(eap.Res, st.binary(min_size=4, max_size=16)),
    4: st.builds(eap.Auts, _exactly[14]),
    6: st.builds(eap.Padding, st.sampled_from((bytes(2), bytes(6), bytes(10)))),
    10: st.builds(eap.PermanentIdReq),
    11: st.builds(eap.Mac, _exactly[16]),
    12: st.builds(eap.Notification, _word),
    13: st.builds(eap.AnyIdReq),
    14: st.builds(eap.Identity, st.binary(max_size=253)),
    17: st.builds(eap.FullauthIdReq),
    19: st.builds(eap.ReauthCounter, _word),
    20: st.builds(eap.CounterTooSmall),
    21: st.builds(eap.NonceS, _exactly[16]),
    22: st.builds(eap.ClientErrorCode, _word),
    23: st.builds(eap.KdfInput, st.binary(max_size=253)),
    24: st.builds(eap.Kdf, _word),
    129: st.builds(eap.Iv, _exactly[16]),
    130: st.builds(eap.EncrData, st.integers(1, 4).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n))),
    132: st.builds(eap.NextPseudonym, st.binary(max_size=253)),
    133: st.builds(eap.NextReauthId, st.binary(max_size=253)),
    134: st.builds(eap.Checkcode, _checkcodes),
    135: st.builds(eap.ResultInd),
    136: st.builds(eap.Bidding, _word),
}
_skippable = st.builds(
    eap.SkippableAttribute,
    st.integers(128, 255).filter(lambda number: number not in eap.ATTRIBUTES),
    st.integers(0, 254).flatmap(lambda units: st.binary(min_size=4 * units + 2, max_size=4 * units + 2)),
)
packets = st.builds(
    AkaPacket,
    st.sampled_from((Code.REQUEST, Code.RESPONSE)),
    st.integers(0, 255),
    st.sampled_from((Method.AKA, Method.AKA_PRIME)),
    st.integers(0, 255),
    st.lists(st.one_of(*ATTRIBUTES.values(), _skippable), max_size=8).map(tuple),
)
