# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker's own reading of Mobility Headers: the published vectors, every option, and hostile octets."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.check.reading.fields import FIELDS
from mn_dsmip.check.reading.mobility import FIXED_PARTS, mobility_header
from tests.check.packets import mobility
from tests.check.reader_captures import HA, HOME, VECTORS

NAI = "0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org"
UPDATE, ACKNOWLEDGEMENT = struct.pack("!HHH", 1, 0xD400, 900), struct.pack("!BBHH", 0, 0xC0, 1, 900)


def read(kind: int, body: bytes, up: bool = True) -> dict[str, object]:
    """A message of this type between home address and home agent, with a right checksum."""
    ends = (HOME, HA) if up else (HA, HOME)
    _, fields = mobility_header(mobility(*ends, kind, body), *map(str, ends))
    assert fields["checksum_correct"] is True
    return dict(fields)


def option(kind: int, data: bytes) -> bytes:
    return bytes([kind, len(data)]) + data


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("E1", {"sequence": 1, "lifetime": 900, "mobile_router": True, "ipv4_home_address": "0.0.0.0"}),
        ("E2", {"status": 0, "refresh_advice": 450, "ipv4_status": 0, "ipv4_prefix_length": 32}),
        ("E3", {"ipv4_care_of_address": "198.51.100.10", "ipv4_home_address": "10.45.0.2"}),
        ("E4", {"nat_detection": True, "nat_refresh": 110, "nat_force_udp": False}),
        ("E5", {"indication": True, "trigger": 1, "status": 0, "sequence": 0x1234, "global_revocation": False}),
        ("E6", {"indication": False, "trigger": 0, "status": 0, "revocation_type": 2}),
        ("E9", {"options": ()}),
        ("E10", {"mn_id": NAI, "message_id": 0xE000000080000000, "authenticator": "d32a1b8afcd2c5309e15326d"}),
        ("E11", {"mn_id": NAI, "authentication_spi": 256, "authenticator": "aae732372b3c0cccf5867044"}),
        ("E13", {"binding_ids": (1,), "binding_id_addresses": ("2001:db8:f:1::10",), "overwrite": True}),
    ],
)
def test_published_vectors(name: str, expected: dict[str, object]) -> None:
    packet = VECTORS[name]
    at = packet.index(b"\x3b", 40 if packet[0] >> 4 == 6 else 68)
    up = packet[at + 2] == 5 or (packet[at + 2] == 16 and packet[at + 6] == 2)
    kind, fields = mobility_header(packet[at:], *map(str, (HOME, HA) if up else (HA, HOME)))
    assert {field: fields.get(field) for field in expected} == expected
    assert fields["checksum_correct"] is True
    assert fields["octets"] == packet[at:].hex()
    assert "malformed" not in fields
    assert set(fields) <= FIELDS[kind]


def test_checksum_covers_both_ends_and_every_octet() -> None:
    message = mobility(HOME, HA, 5, UPDATE)
    assert mobility_header(message, str(HOME), str(HA))[1]["checksum_correct"] is True
    assert mobility_header(message, "2001:db8:f:1::10", str(HA))[1]["checksum_correct"] is False
    for place in range(len(message)):
        wrong = message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :]
        assert mobility_header(wrong, str(HOME), str(HA))[1].get("checksum_correct") is not True


def test_options_in_an_update() -> None:
    prefix = bytes([0, 64]) + IPv6Address("2001:db8:7::").packed
    found = read(
        5,
        UPDATE
        + option(6, prefix)
        + option(22, prefix)
        + option(20, b"internet")
        + option(17, b"\0\x80\x02ue\x07example\x00")
        + option(9, b"\x02\0\0\0\x03" + bytes(20))
        + option(9, b"\x01\0\0\x01\0" + b"\xaa" * 12)
        + option(35, struct.pack("!HBB", 7, 0, 0x81))
        + option(45, struct.pack("!HHBB", 3, 1, 0, 0))
        + option(200, b"x"),
    )
    expected = {
        "mobile_network_prefixes": ("2001:db8:7::/64",),
        "home_network_prefixes": ("2001:db8:7::/64",),
        "service_selection": "internet",
        "dns_update_name": "ue.example",
        "dns_update_remove": True,
        "authentication_subtype": 1,
        "authentication_subtypes": (2, 1),
        "authentication_spi": 256,
        "authenticator": "aa" * 12,
        "binding_ids": (7,),
        "binding_id_home": (True,),
        "flow_ids": (3,),
    }
    assert {name: found.get(name) for name in expected} == expected
    options = found["options"]
    assert isinstance(options, tuple)
    assert (len(options), options[-1]) == (9, 200)


def test_other_messages() -> None:
    other = IPv6Address("2001:db8:aaaa::2")
    switch = read(12, bytes([2, 0]) + HA.packed + other.packed + option(2, b"\0\x0f"), up=False)
    assert switch["home_agent_addresses"] == (str(HA), str(other))
    assert switch["refresh_advice"] == 15
    error = read(7, bytes([1, 0]) + HOME.packed, up=False)
    assert (error["status"], error["unknown_home_address"]) == (1, str(HOME))
    assert read(6, ACKNOWLEDGEMENT, up=False)["nat_detection"] is False
    revocation = read(16, struct.pack("!BBHH", 2, 128, 9, 0xE000))
    names = ("status", "proxy_binding", "ipv4_only", "global_revocation")
    assert [revocation[name] for name in names] == [128, True, True, True]


@pytest.mark.parametrize("length", [0, 1, 5, 7, 20])
def test_an_option_of_a_wrong_length_is_named_but_not_read(length: int) -> None:
    for number in (2, 3, 10, 29, 30, 31, 32):
        if (number, length) != (2, 2):
            found = read(5, UPDATE + option(number, bytes(length)))
            assert len(found["options"]) == 1  # type: ignore[arg-type]  # a tuple
            assert not {"alternate_care_of_address", "ipv4_home_address", "message_id", "nat_refresh"} & set(found)


def test_every_truncation_is_malformed() -> None:
    whole = VECTORS["E1"][64:]
    for size in range(len(whole)):
        _, fields = mobility_header(whole[:size], str(HOME), str(HA))
        assert fields["malformed"] is True
        assert fields["octets"] == ""
        assert "checksum_correct" not in fields


@pytest.mark.parametrize("kind", FIXED_PARTS)
def test_a_header_shorter_than_its_fixed_part_is_malformed(kind: int) -> None:
    if FIXED_PARTS[kind] > 8:
        _, fields = mobility_header(bytes([59, 0, kind, 0, 0, 0, 0, 0]), str(HOME), str(HA))
        assert fields["malformed"] is True


@given(st.binary(max_size=300), st.sampled_from([*FIXED_PARTS, 8, 255]), st.integers(0, 40))
def test_hostile_octets_never_raise(data: bytes, kind: int, length: int) -> None:
    for octets in (data, bytes([59, length, kind, 0]) + data):
        name, fields = mobility_header(octets, str(HOME), str(HA))
        assert set(fields) <= FIELDS[name]
        for value in fields.values():
            assert value.isprintable() if isinstance(value, str) else value is not None


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=8))
def test_hostile_options_never_raise(options: list[tuple[int, bytes]]) -> None:
    body = UPDATE + b"".join(option(kind, data) if kind else b"\0" for kind, data in options)
    found = read(5, body)
    assert len(found["options"]) == len([kind for kind, _ in options if kind > 1])  # type: ignore[arg-type]
