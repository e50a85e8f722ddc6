# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 messages: the published bootstrap as objects, opened, and arbitrary payloads for property-based tests."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from hypothesis import strategies as st

from mn_dsmip.crypto.suites import ENCRYPTION, Opener, Protection
from mn_dsmip.wire import ikev2_payloads as payloads
from mn_dsmip.wire.ikev2 import Message, parse_payloads
from mn_dsmip.wire.ikev2_numbers import CfgAttribute, CfgType, IdType, NotifyType, Protocol, TransformType
from mn_dsmip.wire.ikev2_payloads import Attribute, Notify, Payload, TrafficSelector
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "ikev2.json").read_text())
MESSAGES = {each["name"]: bytes.fromhex(each["octets"]) for each in VECTORS["messages"]}
KEYS = {name: bytes.fromhex(value) for name, value in VECTORS["keys"].items()}
GCM_128 = Protection(ENCRYPTION[20, 128], None)

_ADDRESSES = VECTORS["addresses"]
HOME_AGENT, HOME = IPv6Address(_ADDRESSES["home_agent"]), IPv6Address(_ADDRESSES["home_address"])
PREFIX, DNS = IPv6Address("2001:db8:1:1::"), IPv6Address(_ADDRESSES["dns"])
IDENTITY = b"0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org"
ANY = IPv6Address(0), IPv6Address(2**128 - 1)
WHOLE_PREFIX = PREFIX, IPv6Address("2001:db8:1:1:ffff:ffff:ffff:ffff")


def _selector(low: IPv6Address, high: IPv6Address) -> tuple[TrafficSelector, ...]:
    return (TrafficSelector(135, 0, 65535, low, high),)


def _child(spi: str, tsi: tuple[IPv6Address, IPv6Address], nonce: bytes = b"") -> list[Payload]:
    transforms = (Transform(TransformType.ENCR, 20, 128), Transform(TransformType.ESN, 0))
    return [
        Notify(NotifyType.USE_TRANSPORT_MODE),
        payloads.SecurityAssociation((Proposal(1, Protocol.ESP, bytes.fromhex(spi), transforms),)),
        *([payloads.Nonce(nonce)] if nonce else []),
        payloads.TrafficSelectorsInitiator(_selector(*tsi)),
        payloads.TrafficSelectorsResponder(_selector(HOME_AGENT, HOME_AGENT)),
    ]


def _init(side: str, nat: tuple[str, str], *more: Notify) -> list[Payload]:
    transforms = (
        Transform(TransformType.ENCR, 20, 128),
        Transform(TransformType.PRF, 5),
        Transform(TransformType.DH, 31),
    )
    return [
        payloads.SecurityAssociation((Proposal(1, Protocol.IKE, b"", transforms),)),
        payloads.KeyExchange(31, bytes.fromhex(VECTORS[f"{side}_public"])),
        payloads.Nonce(bytes.fromhex(VECTORS[f"{side}_nonce"])),
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, bytes.fromhex(nat[0])),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, bytes.fromhex(nat[1])),
        *more,
        Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, bytes.fromhex("00020005")),
    ]


_AT_ANY_PORT = "96214dd13bb812ef0364e8eb120dcb2cdd29280b", "a76cd2ece3ee5f4da8eb260a9d13cd7e325df186"
_AT_THE_AGENT = "cd66304ab8d6dde72cfdbc299a06eecd16bc5b9b", "79d25b0d398a7d61dc98528e962bf5f0b099ae7c"
PUBLISHED: dict[str, list[Payload]] = {
    "I-1": _init("initiator", _AT_ANY_PORT, Notify(NotifyType.REDIRECT_SUPPORTED)),
    "I-2": _init("responder", _AT_THE_AGENT),
    "I-3": [
        payloads.IdInitiator(IdType.RFC822, IDENTITY),
        payloads.IdResponder(IdType.FQDN, b"internet"),
        payloads.Configuration(
            CfgType.REQUEST, (Attribute(CfgAttribute.MIP6_HOME_PREFIX), Attribute(CfgAttribute.INTERNAL_IP6_DNS))
        ),
        *_child("c0000001", ANY),
    ],
    "I-4": [
        payloads.IdResponder(IdType.FQDN, b"internet"),
        payloads.Authentication(14, bytes.fromhex(VECTORS["auth_responder_signature"])[4:]),
        payloads.Eap(bytes.fromhex(VECTORS["eap"][0])),
    ],
    "I-5": [payloads.Eap(bytes.fromhex(VECTORS["eap"][1]))],
    "I-6": [payloads.Eap(bytes.fromhex(VECTORS["eap"][2]))],
    "I-7": [payloads.Authentication(2, bytes.fromhex(VECTORS["auth_initiator"]))],
    "I-8": [
        payloads.Authentication(2, bytes.fromhex(VECTORS["auth_responder"])),
        payloads.Configuration(
            CfgType.REPLY,
            (
                Attribute(CfgAttribute.MIP6_HOME_PREFIX, payloads.HomePrefix(86400, PREFIX, 64).build()),
                Attribute(CfgAttribute.INTERNAL_IP6_DNS, DNS.packed),
            ),
        ),
        *_child("d0000001", WHOLE_PREFIX),
    ],
    "I-9": _child("c0000002", (HOME, HOME), bytes(range(0x20, 0x40))),
    "I-10": _child("d0000002", (HOME, HOME), bytes(range(0xA0, 0xC0))),
    "I-11": [payloads.Delete(Protocol.IKE)],
    "I-12": [],
}


def opened(name: str) -> tuple[Message, int, bytes]:
    """A published message, and type of the first payload and octets of all payloads, decrypted where they were not."""
    octets = MESSAGES[name]
    message = Message.parse(octets)
    sealed = message.payloads[-1]
    if not isinstance(sealed, payloads.Encrypted):
        return message, octets[16], octets[28:]
    opener = Opener(GCM_128, KEYS["ei" if message.from_original_initiator else "er"], b"")
    plaintext = opener.open(sealed.body, octets[: len(octets) - len(sealed.body)])
    assert plaintext[-1] == 0  # no padding in these
    return message, sealed.first_inner, plaintext[:-1]


def content(name: str) -> tuple[Payload, ...]:
    """All payloads of a published message."""
    _, first, octets = opened(name)
    return parse_payloads(first, octets)


# Arbitrary ones

_octet, _word, _long = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
_data = st.binary(max_size=40)
_ipv4, _ipv6 = st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)
_attributes = st.sampled_from(
    [b"", b"", b"\x80\x01\x00\x05", b"\x00\x07\x00\x02ab", b"\x80\x0e\x00\x80\x80\x0e\x00\x80"]
)
_transforms = st.one_of(
    st.builds(Transform, _octet, _word, st.one_of(st.none(), _word)),
    st.builds(Transform, _octet, _word, st.none(), _attributes),
)
_proposals = st.builds(Proposal, _octet, _octet, st.binary(max_size=8), st.lists(_transforms, max_size=5).map(tuple))
_selectors = st.lists(
    st.one_of(*(st.builds(TrafficSelector, _octet, _word, _word, kind, kind) for kind in (_ipv4, _ipv6))), max_size=4
).map(tuple)
_spis = st.integers(1, 8).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=4)).map(tuple)
PAYLOAD_STRATEGIES: dict[int, st.SearchStrategy[Payload]] = {
    33: st.builds(payloads.SecurityAssociation, st.lists(_proposals, min_size=1, max_size=3).map(tuple)),
    34: st.builds(payloads.KeyExchange, _word, _data),
    35: st.builds(payloads.IdInitiator, _octet, _data),
    36: st.builds(payloads.IdResponder, _octet, _data),
    37: st.builds(payloads.Certificate, _octet, _data),
    38: st.builds(payloads.CertificateRequest, _octet, _data),
    39: st.builds(payloads.Authentication, _octet, _data),
    40: st.builds(payloads.Nonce, _data),
    41: st.builds(Notify, _word, _data, _octet, st.binary(max_size=8)),
    42: st.builds(payloads.Delete, _octet, _spis),
    43: st.builds(payloads.VendorId, _data),
    44: st.builds(payloads.TrafficSelectorsInitiator, _selectors),
    45: st.builds(payloads.TrafficSelectorsResponder, _selectors),
    47: st.builds(
        payloads.Configuration,
        _octet,
        st.lists(st.builds(Attribute, st.integers(0, 0x7FFF), _data), max_size=5).map(tuple),
    ),
    48: st.builds(payloads.Eap, _data),
}
SEALED_STRATEGIES: dict[int, st.SearchStrategy[Payload]] = {
    46: st.builds(payloads.Encrypted, _octet, _data),
    53: st.builds(payloads.EncryptedFragment, _octet, _word, _word, _data),
}
unknown_payloads = st.builds(
    payloads.UnknownPayload, st.sampled_from([1, 32, 49, 52, 54, 128, 255]), st.booleans(), _data
)
any_payload = st.one_of(*PAYLOAD_STRATEGIES.values(), unknown_payloads)
any_payloads = st.tuples(
    st.lists(any_payload, max_size=6), st.lists(st.one_of(*SEALED_STRATEGIES.values()), max_size=1)
).map(lambda parts: tuple(parts[0] + parts[1]))
any_messages = st.builds(
    Message,
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8),
    _octet,
    _long,
    any_payloads,
    st.booleans(),
    st.booleans(),
)
