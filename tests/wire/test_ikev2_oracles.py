# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 messages as others see them: tshark reads what we write, field by field and in order; scapy writes the same."""

from __future__ import annotations

import logging
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from xml.etree import ElementTree

import pytest

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.contrib import ikev2 as scapy  # noqa: E402  # after scapy's own chatter is off

from mn_dsmip.wire import ikev2_payloads as payloads  # noqa: E402
from mn_dsmip.wire.ikev2 import Message, build_payloads, parse_payloads  # noqa: E402
from mn_dsmip.wire.ikev2_numbers import NotifyType  # noqa: E402
from mn_dsmip.wire.ikev2_payloads import Attribute, Notify, Payload, TrafficSelector, UnknownPayload  # noqa: E402
from mn_dsmip.wire.ikev2_proposals import Proposal, Transform  # noqa: E402
from mn_dsmip.wire.ip import ipv6_packet, udp_payload  # noqa: E402
from tests.wire.ikev2_samples import HOME_AGENT, KEYS, MESSAGES, PUBLISHED, VECTORS, content, opened  # noqa: E402

LINKTYPE_IPV6, UDP, IKE_PORT = 229, 17, 500
UE = IPv6Address(VECTORS["addresses"]["ue"])
Fields = Iterator[tuple[str, object]]
TRANSFORM_IDS = {1: "encr", 2: "prf", 3: "integ", 4: "dh", 5: "esn"}
ID_FIELDS = {1: "ipv4_addr", 2: "fqdn", 3: "user_fqdn", 5: "ipv6_addr", 11: "key_id"}
NAMED_ATTRIBUTES = {1: "internal_ip4_address", 3: "internal_ip4_dns", 10: "internal_ip6_dns"}
PLAIN: dict[type, dict[str, str]] = {
    payloads.KeyExchange: {"key_exchange.dh_group": "group", "key_exchange.data": "data"},
    payloads.Nonce: {"nonce": "data"},
    payloads.Authentication: {"auth.method": "method", "auth.data": "data"},
    payloads.VendorId: {"vid_bytes": "data"},
    UnknownPayload: {"datapayload": "data"},
}
# Notifies whose data tshark shows as it is; types and their data sizes.
PLAIN_NOTIFIES = (14, 24, 36, 38, 43, 16384, 16390, 16391, 16396, 16406, 16430, 50000)
# What is shown beside the value proper: names of groups, repeated octets, the parts of a signature.
SKIPPED = (
    "attribute_value_empty",
    "reserved",
    "mjver",
    "mnver",
    "flag_",
    "enc.",
    "auth.data.sig",
    "cfg.attr.unity",
    "ts.data",
    "vid_string",
)


# What tshark must say


def fields_of(message: Message, chain: tuple[Payload, ...], octets: bytes) -> Fields:
    """Name and value of every field of a message, in the order of the octets; sealed payloads already opened."""
    yield "ispi", message.initiator_spi
    yield "rspi", message.responder_spi
    yield "nextpayload", octets[16]
    yield "version", message.version
    yield "exchangetype", message.exchange
    yield "flags", message.flags
    yield "messageid", message.message_id
    yield "length", len(octets)
    if message.payloads and isinstance(message.payloads[-1], payloads.Encrypted):
        sealed = message.payloads[-1]
        yield from _generic(46, sealed.first_inner, False, len(sealed.body))
    kinds = [each.payload_type if isinstance(each, UnknownPayload) else each.number for each in chain]
    for payload, kind, following in zip(chain, kinds, [*kinds, 0][1:], strict=True):
        critical = isinstance(payload, UnknownPayload) and payload.critical
        yield from _generic(kind, following, critical, len(payload.build()))
        yield from _body(payload)


def _generic(kind: int, following: int, critical: bool, length: int) -> Fields:
    yield "typepayload", kind
    yield "nextpayload", following
    yield "criticalpayload", int(critical)
    yield "reserved7", 0
    yield "payloadlength", 4 + length


def _body(payload: Payload) -> Fields:
    if type(payload) in PLAIN:
        for name, attribute in PLAIN[type(payload)].items():
            yield name, getattr(payload, attribute)
    elif isinstance(payload, payloads.SecurityAssociation):
        for index, proposal in enumerate(payload.proposals):
            yield from _proposal(proposal, index + 1 < len(payload.proposals))
    elif isinstance(payload, payloads.Identification):
        yield "id.type", payload.id_type
        yield from (("id.data", ""), (f"id.data.{ID_FIELDS[payload.id_type]}", _identity(payload)))
    elif isinstance(payload, payloads.CertificateRequest):
        yield "certreq.type", payload.encoding
        for position in range(0, len(payload.authorities), 20):
            yield "ike.certreq.authority", payload.authorities[position : position + 20]
    elif isinstance(payload, payloads.TrafficSelectors):
        yield "ts.number", len(payload.selectors)
        for selector in payload.selectors:
            yield from _selector(selector)
    else:
        yield from _control(payload)


def _control(payload: Payload) -> Fields:
    if isinstance(payload, Notify):
        yield "notify.protoid", payload.protocol
        yield "spisize", len(payload.spi)
        yield "notify.msgtype", payload.notify_type
        if payload.spi:
            yield "spi", payload.spi
        yield "notify.data", payload.data
        if payload.notify_type == NotifyType.SIGNATURE_HASH_ALGORITHMS:
            for (number,) in struct.iter_unpack("!H", payload.data):
                yield "notify.data.signature_hash_algorithms", number
    elif isinstance(payload, payloads.Delete):
        yield "delete.protoid", payload.protocol
        yield "spisize", len(payload.spis[0]) if payload.spis else 0
        yield "spinum", len(payload.spis)
        for spi in payload.spis:
            yield "delete.spi", spi
    elif isinstance(payload, payloads.Configuration):
        yield "cfg.type", payload.cfg_type
        for attribute in payload.attributes:
            yield from (("cfg.attr", ""), ("cfg.attr.format", 0), ("cfg.attr.type", attribute.type))
            yield "cfg.attr.length", len(attribute.value)
            if attribute.value:
                yield "cfg.attr.value", attribute.value
                if attribute.type in NAMED_ATTRIBUTES:
                    yield f"cfg.attr.{NAMED_ATTRIBUTES[attribute.type]}", _address(attribute.value)
    else:
        assert isinstance(payload, payloads.Eap)


def _proposal(proposal: Proposal, more: bool) -> Fields:
    yield from (("typepayload", 2), ("nextpayload", 2 * more), ("payloadlength", len(proposal.build(more))))
    yield from (("prop.number", proposal.number), ("prop.protoid", proposal.protocol), ("spisize", len(proposal.spi)))
    yield "prop.transforms", len(proposal.transforms)
    if proposal.spi:
        yield "spi", proposal.spi
    for index, transform in enumerate(proposal.transforms):
        yield from (("typepayload", 3), ("nextpayload", 3 * (index + 1 < len(proposal.transforms))))
        yield "payloadlength", 8 if transform.key_length is None else 12
        yield from (("tf.type", transform.type), (f"tf.id.{TRANSFORM_IDS[transform.type]}", transform.id))
        if transform.key_length is not None:
            yield from (("ike2.attr", ""), ("ike2.attr.format", 1), ("ike2.attr.type", 14))
            yield from (("ike2.attr.value", struct.pack("!H", transform.key_length)),)
            yield "ike2.attr.key_length", transform.key_length


def _selector(selector: TrafficSelector) -> Fields:
    version = selector.start.version
    yield from (("ts.type", 7 if version == 4 else 8), ("ts.protoid", selector.protocol))
    yield "ts.selector_length", len(selector.build())
    yield from (("ts.start_port", selector.start_port), ("ts.end_port", selector.end_port))
    yield from ((f"ts.start_ipv{version}", selector.start), (f"ts.end_ipv{version}", selector.end))


def _identity(payload: payloads.Identification) -> object:
    if payload.id_type in (1, 5):
        return _address(payload.data)
    return payload.data if payload.id_type == 11 else payload.data.decode()


def _address(value: bytes) -> IPv4Address | IPv6Address:
    return IPv4Address(value) if len(value) == 4 else IPv6Address(value)


def _printed(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, int) else str(value)


# What it says


def tshark(messages: list[bytes], folder: Path) -> list[list[tuple[str, str]]]:
    """Each message's fields as tshark reads them, in order, out of one capture."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is missing")
    capture = folder / "ikev2.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_IPV6))
        for second, octets in enumerate(messages):
            datagram = udp_payload(UE.packed, IKE_PORT, HOME_AGENT.packed, IKE_PORT, octets)
            packet = ipv6_packet(UE.packed, HOME_AGENT.packed, UDP, datagram)
            file.write(struct.pack("<IIII", second, 0, len(packet), len(packet)) + packet)
    spis, cipher = "1122334455667788,99aabbccddeeff00", '"AES-GCM-128 with 16 octet ICV [RFC5282]"'
    row = f'{spis},{KEYS["ei"].hex()},{KEYS["er"].hex()},{cipher},,,"NONE [RFC4306]"'
    command = ["tshark", "-r", str(capture), "-T", "pdml", "-o", f"uat:ikev2_decryption_table:{row}"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    found = [_read(packet) for packet in ElementTree.fromstring(output).iter("packet")]
    assert len(found) == len(messages)
    return found


def _read(packet: ElementTree.Element) -> list[tuple[str, str]]:
    seen = []
    assert packet.find(".//proto[@name='_ws.malformed']") is None, ElementTree.tostring(packet)
    for field in packet.iter("field"):
        name, shown = field.get("name", ""), field.get("show", "")
        if not name.startswith("isakmp.") or (name[7:].startswith(SKIPPED) and name != "isakmp.reserved7"):
            continue
        if shown.startswith("0x"):
            shown = str(int(shown, 16))
        elif "_ipv" not in name and "ip6" not in name and ".ipv6" not in name:  # octets, not an address
            shown = shown.replace(":", "")
        seen.append((name[7:], shown))
    return seen


def arbitrary(source: random.Random) -> Message:
    """A message in clear whose content tshark has no opinion of its own on."""
    makers = [
        lambda: payloads.SecurityAssociation(tuple(_any_proposal(source, n) for n in range(1, source.randrange(2, 4)))),
        lambda: payloads.KeyExchange(source.choice((14, 19, 31, 4000)), source.randbytes(source.randrange(1, 40))),
        lambda: payloads.Nonce(source.randbytes(source.randrange(16, 40))),
        lambda: payloads.IdInitiator(3, b"%d@nai.example" % source.randrange(10**15)),
        lambda: payloads.IdResponder(2, b"apn%d.example" % source.randrange(1000)),
        lambda: payloads.IdResponder(5, source.randbytes(16)),
        lambda: payloads.IdResponder(1, source.randbytes(4)),
        lambda: payloads.IdInitiator(11, source.randbytes(9)),
        lambda: payloads.CertificateRequest(4, source.randbytes(20 * source.randrange(1, 4))),
        lambda: payloads.Authentication(source.choice((1, 2, 9)), source.randbytes(source.randrange(1, 70))),
        lambda: Notify(source.choice(PLAIN_NOTIFIES), source.randbytes(source.randrange(30))),
        lambda: Notify(NotifyType.REKEY_SA, b"", 3, source.randbytes(4)),
        lambda: payloads.Delete(3, tuple(source.randbytes(4) for _ in range(source.randrange(1, 4)))),
        lambda: payloads.VendorId(b"\xfe" + source.randbytes(15)),
        lambda: payloads.TrafficSelectorsInitiator(_any_selectors(source)),
        lambda: payloads.TrafficSelectorsResponder(_any_selectors(source)),
        lambda: payloads.Configuration(source.randrange(1, 5), tuple(_any_attributes(source))),
        lambda: UnknownPayload(source.randrange(60, 128), source.random() < 0.5, source.randbytes(7)),
    ]
    chain = tuple(maker() for maker in source.choices(makers, k=source.randrange(6)))
    exchange, number, flags = source.choice((34, 35, 36, 37)), source.randrange(2**32), source.randrange(4)
    spis = source.randbytes(8), source.randbytes(8)
    return Message(*spis, exchange, number, chain, bool(flags & 1), bool(flags & 2))


def _any_proposal(source: random.Random, number: int) -> Proposal:
    transforms = [Transform(1, source.choice((12, 20)), source.choice((128, 256))), Transform(5, source.randrange(2))]
    transforms += [Transform(kind, source.choice((2, 5, 14))) for kind in (2, 3, 4)]
    chosen = tuple(source.sample(transforms, source.randrange(1, 6)))
    return Proposal(number, source.choice((1, 3)), source.randbytes(source.choice((0, 4, 8))), chosen)


def _any_selectors(source: random.Random) -> tuple[TrafficSelector, ...]:
    return tuple(
        TrafficSelector(
            source.choice((0, 58, 135)),
            *(source.randrange(65536), source.randrange(65536)),
            *(kind(source.randbytes(size)) for _ in range(2)),
        )
        for kind, size in source.choices(((IPv4Address, 4), (IPv6Address, 16)), k=source.randrange(1, 4))
    )


def _any_attributes(source: random.Random) -> Iterator[Attribute]:
    for kind, size in source.choices(((1, 4), (3, 4), (10, 16), (16, 21), (19, 20)), k=source.randrange(4)):
        yield Attribute(kind, source.randbytes(size) if source.random() < 0.5 else b"")


def test_tshark_reads_the_same_fields(tmp_path: Path) -> None:
    source = random.Random(7296)
    cases = [(opened(name)[0], content(name), octets) for name, octets in MESSAGES.items()]
    for message in (arbitrary(source) for _ in range(250)):
        cases.append((message, message.payloads, message.build()))
    for (message, chain, octets), seen in zip(cases, tshark([case[2] for case in cases], tmp_path), strict=True):
        expected = [(name, _printed(value)) for name, value in fields_of(message, chain, octets)]
        assert [each for each in seen if not each[0].startswith("eap")] == expected


# scapy


def scapy_payload(payload: Payload) -> object:
    if isinstance(payload, payloads.KeyExchange):
        return scapy.IKEv2_KE(group=payload.group, ke=payload.data)
    if isinstance(payload, payloads.Nonce):
        return scapy.IKEv2_Nonce(nonce=payload.data)
    if isinstance(payload, Notify):
        return scapy.IKEv2_Notify(
            proto=payload.protocol, type=payload.notify_type, SPI=payload.spi, notify=payload.data
        )
    if isinstance(payload, payloads.Authentication):
        return scapy.IKEv2_AUTH(auth_type=payload.method, load=payload.data)
    if isinstance(payload, payloads.Delete):
        return scapy.IKEv2_Delete(proto=payload.protocol, SPInum=len(payload.spis), SPIsize=4, SPI=list(payload.spis))
    if isinstance(payload, payloads.TrafficSelectors):
        cls = scapy.IKEv2_TSi if payload.number == 44 else scapy.IKEv2_TSr
        return cls(traffic_selector=[_scapy_selector(each) for each in payload.selectors])
    if isinstance(payload, payloads.Identification):
        cls = scapy.IKEv2_IDi if payload.number == 35 else scapy.IKEv2_IDr
        return cls(
            IDtype=payload.id_type, ID=str(_address(payload.data)) if payload.id_type in (1, 5) else payload.data
        )
    if isinstance(payload, payloads.CertificateRequest):
        return scapy.IKEv2_CERTREQ(cert_encoding=payload.encoding, cert_authority=payload.authorities)
    assert isinstance(payload, payloads.VendorId)
    return scapy.IKEv2_VendorID(vendorID=payload.data)


def _scapy_selector(selector: TrafficSelector) -> object:
    version = selector.start.version
    cls = scapy.IPv4TrafficSelector if version == 4 else scapy.IPv6TrafficSelector
    return cls(
        IP_protocol_ID=selector.protocol,
        length=len(selector.build()),
        start_port=selector.start_port,
        end_port=selector.end_port,
        **{f"starting_address_v{version}": str(selector.start), f"ending_address_v{version}": str(selector.end)},
    )


SCAPY_LACKS = (payloads.SecurityAssociation, payloads.Configuration, UnknownPayload)
"""What takes longer to describe to scapy than it proves; the benchmark compares SA payloads octet by octet."""


def test_scapy_writes_and_reads_the_same_octets() -> None:
    source = random.Random(5996)
    compared = 0
    for _ in range(400):
        chain = tuple(each for each in arbitrary(source).payloads if not isinstance(each, SCAPY_LACKS))
        if not chain:
            continue
        first, octets = build_payloads(chain)
        packet = scapy.IKEv2(init_SPI=bytes(8), resp_SPI=bytes(8), exch_type=37, next_payload=first)
        for payload in chain:
            packet /= scapy_payload(payload)
        written = bytes(packet)[28:]
        assert written == octets, chain
        assert parse_payloads(first, written) == chain
        compared += len(chain)
    assert compared > 600


def test_scapy_reads_the_published_messages() -> None:
    for name in ("I-1", "I-2"):
        packet = scapy.IKEv2(MESSAGES[name])
        exchange, nonce = PUBLISHED[name][1:3]
        assert isinstance(exchange, payloads.KeyExchange) and isinstance(nonce, payloads.Nonce)
        assert (packet[scapy.IKEv2_KE].group, packet[scapy.IKEv2_KE].ke) == (31, exchange.data)
        assert packet[scapy.IKEv2_Nonce].nonce == nonce.data
