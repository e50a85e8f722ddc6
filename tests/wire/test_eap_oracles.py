# SPDX-License-Identifier: GPL-2.0-or-later
"""EAP-AKA packets as tshark reads them: header, subtype, and each attribute's type, length and value."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from mn_dsmip.wire import eap
from mn_dsmip.wire.eap import AkaPacket, Code, Method, Packet, SkippableAttribute
from tests.wire.eap_samples import LAYOUTS, PUBLISHED

LINKTYPE_ETHERNET, EAPOL = 1, 0x888E
FIELDS = (
    "eap.code",
    "eap.id",
    "eap.len",
    "eap.type",
    "eap.aka.subtype",
    "eap.aka.subtype.type",
    "eap.aka.subtype.len",
    "eap.aka.subtype.value",
    "eap.aka.notification_type",
    "eap.aka.error_code",
    "eap.identity.actual_len",
    "eap.identity",
    "_ws.malformed",
)
NOTIFICATION, IDENTITY, CLIENT_ERROR = 12, 14, 22


def tshark(octets: list[bytes], folder: Path) -> list[dict[str, list[str]]]:
    """Each EAP packet's fields, carried in EAPOL."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is missing")
    capture = folder / "eap.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET))
        for second, packet in enumerate(octets):
            frame = bytes(12) + struct.pack("!HBBH", EAPOL, 1, 0, len(packet)) + packet
            file.write(struct.pack("<IIII", second, 0, len(frame), len(frame)) + frame)
    command = ["tshark", "-r", str(capture), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"]
    command += [word for name in FIELDS for word in ("-e", name)]
    output = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout
    rows = [line.split("\t") for line in output.splitlines()]
    assert len(rows) == len(octets)
    return [{name: value.split("|") if value else [] for name, value in zip(FIELDS, row, strict=True)} for row in rows]


def numbers(texts: list[str]) -> list[int]:
    return [int(text, 0) for text in texts]


def agree(made: AkaPacket, seen: dict[str, list[str]]) -> None:
    octets = made.build()
    assert seen["_ws.malformed"] == [], made
    header = [seen[name] for name in ("eap.code", "eap.id", "eap.len", "eap.type", "eap.aka.subtype")]
    assert [numbers(each) for each in header] == [
        [made.code], [made.identifier], [len(octets)], [made.method], [made.subtype]
    ]  # fmt: skip
    kinds = [each.attribute_type if isinstance(each, SkippableAttribute) else each.number for each in made.attributes]
    values = [each.build() for each in made.attributes]
    assert numbers(seen["eap.aka.subtype.type"]) == kinds
    assert numbers(seen["eap.aka.subtype.len"]) == [(2 + len(value)) // 4 for value in values]
    special = (NOTIFICATION, IDENTITY, CLIENT_ERROR)
    plain = [value.hex() for kind, value in zip(kinds, values, strict=True) if kind not in special]
    assert [each.replace(":", "") for each in seen["eap.aka.subtype.value"]] == plain
    identities = [each.value.decode() for each in made.all(eap.Identity)]
    assert numbers(seen["eap.identity.actual_len"]) == [len(each) for each in identities]
    assert seen["eap.identity"] == identities
    for kind, name in ((NOTIFICATION, "eap.aka.notification_type"), (CLIENT_ERROR, "eap.aka.error_code")):
        codes = [int.from_bytes(v, "big") for number, v in zip(kinds, values, strict=True) if number == kind]
        assert numbers(seen[name]) == codes


def test_tshark_reads_the_published_packets(tmp_path):
    known = [each for each in LAYOUTS.values() if each != eap.Identity(b"")]  # tshark wants an octet of identity
    layouts = [AkaPacket(Code.REQUEST, 3, Method.AKA, 5, (each,)) for each in known]
    made = [*PUBLISHED.values(), *layouts]
    for packet, seen in zip(made, tshark([each.build() for each in made], tmp_path), strict=True):
        agree(packet, seen)


def arbitrary(source: random.Random) -> AkaPacket:
    """Attributes of every kind in any number and order, with any values."""
    word, text = source.randrange(65536), "".join(source.choices("0123456789abc@.", k=source.randrange(1, 80)))
    kinds = [
        eap.Rand(source.randbytes(16)),
        eap.Autn(source.randbytes(16)),
        eap.Res(source.randbytes(source.randrange(4, 17))),
        eap.Auts(source.randbytes(14)),
        eap.Padding(bytes(2 + 4 * source.randrange(3))),
        eap.PermanentIdReq(),
        eap.Mac(source.randbytes(16)),
        eap.Notification(word),
        eap.AnyIdReq(),
        eap.Identity(text.encode()),
        eap.FullauthIdReq(),
        eap.ReauthCounter(word),
        eap.CounterTooSmall(),
        eap.NonceS(source.randbytes(16)),
        eap.ClientErrorCode(word),
        eap.KdfInput(text.encode()),
        eap.Kdf(word),
        eap.Iv(source.randbytes(16)),
        eap.EncrData(source.randbytes(16 * source.randrange(1, 5))),
        eap.NextPseudonym(text.encode()),
        eap.NextReauthId(text.encode()),
        eap.Checkcode(source.randbytes(source.choice((0, 20, 32)))),
        eap.ResultInd(),
        eap.Bidding(word),
        SkippableAttribute(200 + source.randrange(50), source.randbytes(4 * source.randrange(20) + 2)),
    ]
    assert {type(each) for each in kinds} == {*eap.ATTRIBUTES.values(), SkippableAttribute}
    code, method = source.choice((Code.REQUEST, Code.RESPONSE)), source.choice((Method.AKA, Method.AKA_PRIME))
    chosen = tuple(source.choices(kinds, k=source.randrange(1, 9)))
    return AkaPacket(code, source.randrange(256), method, source.choice(list(eap.Subtype)), chosen)


def test_tshark_reads_arbitrary_packets(tmp_path):
    source = random.Random(4187)
    made = [arbitrary(source) for _ in range(400)]
    for packet, seen in zip(made, tshark([each.build() for each in made], tmp_path), strict=True):
        agree(packet, seen)


def test_tshark_reads_packets_of_other_kinds(tmp_path):
    made = [Packet(Code.SUCCESS, 5), Packet(Code.FAILURE, 6), Packet(Code.RESPONSE, 7, Method.NAK, b"\x17")]
    for packet, seen in zip(made, tshark([each.build() for each in made], tmp_path), strict=True):
        assert numbers(seen["eap.code"] + seen["eap.id"]) == [packet.code, packet.identifier]
        assert numbers(seen["eap.type"])[:1] == ([packet.method] if packet.method else [])
