# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector's parsers on octets alone, under Lua 5.2 (Wireshark 4.0) and Lua 5.4 (Wireshark 4.4)."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from tests.dissectors.packets.plain import DISSECTORS, call, first

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
MOBILITY = json.loads((VECTORS / "mobility.json").read_text())
EAP = json.loads((VECTORS / "eap_aka.json").read_text())["exchange"]
IKE = json.loads((VECTORS / "ikev2.json").read_text())["single"]
HEADERS = {message["name"]: bytes.fromhex(message["mobility_header"]) for message in MOBILITY["messages"]}
ADDRESS = {
    name: IPv6Address(MOBILITY["addresses"][name]).packed for name in ("home_agent", "home_address", "care_of_address")
}
KEY = bytes.fromhex(MOBILITY["rfc4285"]["key"])
DHCP_REPLY = bytes.fromhex(
    "07abcdef0002000a000300010200000000aa0001000a00030001020000000001004500890031003308696e7465726e65740668612d61706e"
    "066d6e63303031066d6363303031037075620b336770706e6574776f726b036f726700004700114020010db8000100010000000000000000"
    "0048001020010db8aaaa00000000000000000001004800100064ff9b0000000000000000c00002010049001103686131076578616d706c65"
    "03636f6d00"
)


@pytest.fixture(params=["lua5.2", "lua5.4"])
def lua(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("compiler", ["luac5.2", "luac5.4"])
def test_every_file_is_lua_of_both_versions(compiler: str) -> None:
    files = [DISSECTORS / "dsmip.lua", *DISSECTORS.glob("dsmip/*.lua")]
    for path in files:  # one by one: several at once crash Debian's luac5.4
        subprocess.run([compiler, "-p", str(path)], check=True, timeout=10)


# RFC 2202 3: key, data, HMAC-SHA1.
RFC_2202 = [
    (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    (b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
    (bytes(range(1, 26)), b"\xcd" * 50, "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
    (b"\x0c" * 20, b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    ),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
    ),
]


@pytest.mark.parametrize(("key", "data", "digest"), RFC_2202)
def test_hmac_sha1_gives_the_published_values(lua: str, key: bytes, data: bytes, digest: str) -> None:
    assert first(lua, "hmac", "hmac_sha1", key, data) == bytes.fromhex(digest)


def test_sha1_and_hmac_agree_with_pythons_at_every_length(lua: str) -> None:
    octets = random.Random(1).randbytes(200)
    lengths = [*range(130), 183, 184, 200]
    found = call(lua, *(("hmac", "sha1", octets[:n]) for n in lengths))
    keyed = call(lua, *(("hmac", "hmac_sha1", octets[:n], octets) for n in lengths))
    assert [digest for (digest,) in found] == [hashlib.sha1(octets[:n]).digest() for n in lengths]
    assert [digest for (digest,) in keyed] == [hmac.digest(octets[:n], octets, "sha1") for n in lengths]


def test_address_texts_are_those_of_the_standard_library(lua: str) -> None:
    chance = random.Random(2)
    raw = [bytes(chance.choice((0, 0, 1, 255)) for _ in range(16)) for _ in range(300)]
    texts = [str(IPv6Address(octets)) for octets in raw]
    assert [text for (text,) in call(lua, *(("octets", "ipv6", octets) for octets in raw))] == texts
    assert [octets for (octets,) in call(lua, *(("address", "parse", text) for text in texts))] == raw
    assert first(lua, "address", "parse", "192.0.2.1") == IPv4Address("192.0.2.1").packed
    assert first(lua, "address", "parse", "::ffff:192.0.2.1") == IPv6Address("::ffff:192.0.2.1").packed


@pytest.mark.parametrize(
    "text", ["1.2.3", "256.1.1.1", "1::2::3", "2001:db8", "gateway", "1:2:3:4:5:6:7:8:9", ":", "::g"]
)
def test_what_is_no_address_has_no_octets(lua: str, text: str) -> None:
    assert first(lua, "address", "parse", text) is None


# Message, then what must be read of it: name or number of a field, or (option type, field).
MESSAGES: list[tuple[str, dict[Any, Any]]] = [
    (
        "E1",
        {
            "name": "BU",
            "sequence": 1,
            "flags": 0xD400,
            "seconds": 3600,
            (29, "prefix_length"): 32,
            (29, "address"): bytes(4),
            (3, "address"): ADDRESS["care_of_address"],
        },
    ),
    (
        "E2",
        {
            "name": "BA",
            "status": 0,
            "flags": 0xC0,
            "sequence": 1,
            "lifetime": 900,
            (30, "status"): 0,
            (30, "address"): IPv4Address("10.45.0.2").packed,
            (2, "seconds"): 1800,
        },
    ),
    ("E3", {"sequence": 2, (32, "address"): IPv4Address("198.51.100.10").packed}),
    ("E4", {"status": 0, (31, "force_udp"): False, (31, "refresh"): 110, (30, "prefix_length"): 32}),
    ("E5", {"name": "BRI", "indication": True, "trigger": 1, "sequence": 0x1234, "flags": 0}),
    ("E6", {"name": "BRA", "indication": False, "status": 0, "sequence": 0x1234}),
    ("E7", {"sequence": 3, "lifetime": 0, "flags": 0xD000}),
    ("E9", {"name": "BRR", "length": 8, "options": []}),
    ("E13", {(35, "bid"): 1, (35, "priority"): 1, (35, "home"): False, (35, "care_of"): ADDRESS["care_of_address"]}),
    (
        "E10",
        {
            (8, "subtype"): 1,
            (8, "identifier"): MOBILITY["rfc4285"]["identifier"],
            (9, "subtype"): 1,
            (9, "spi"): 256,
            (9, "covered"): 124,
            (9, "authenticator"): bytes.fromhex("d32a1b8afcd2c5309e15326d"),
            (10, "ntp_seconds"): 0xE0000000,
            (10, "ntp_fraction"): 0x80000000,
        },
    ),
]


@pytest.mark.parametrize(("name", "expected"), MESSAGES)
def test_messages_are_read_as_published(lua: str, name: str, expected: dict[Any, Any]) -> None:
    message = first(lua, "mobility", "read", HEADERS[name])
    options = {option["type"]: option for option in message["options"]}
    found = {key: options[key[0]][key[1]] if isinstance(key, tuple) else message[key] for key in expected}
    assert found == expected
    assert message["problems"] == []


def mobility_header(kind: int, body: bytes) -> bytes:
    pad = -(6 + len(body)) % 8
    body += bytes(pad) if pad < 2 else bytes([1, pad - 2]) + bytes(pad - 2)
    return bytes([59, (6 + len(body)) // 8 - 1, kind, 0, 0, 0]) + body


def test_flow_options_are_read_with_their_sub_options(lua: str) -> None:
    selector = bytes.fromhex("0100 82800000 c0000201 0050 01bb".replace(" ", ""))  # A, G, I of an IPv4 selector
    sub = bytes([2, 2, 0, 1, 3, len(selector)]) + selector
    flow = bytes([45, 6 + len(sub)]) + bytes.fromhex("0007000a0083") + sub
    summary = bytes([44, 4, 0, 7, 0, 9])
    message = first(lua, "mobility", "read", mobility_header(5, bytes(6) + summary + flow))
    by_type = {option["type"]: option for option in message["options"]}
    assert by_type[44]["flows"] == [7, 9]
    option = by_type[45]
    assert (option["flow"], option["priority"], option["status"]) == (7, 10, 131)
    bids, traffic = option["suboptions"]
    assert bids["bids"] == [1]
    assert traffic["format"] == 1
    assert [(entry["name"], entry["first"]) for entry in traffic["selector"]] == [
        ("source", IPv4Address("192.0.2.1").packed),
        ("source_port", 80),
        ("destination_port", 443),
    ]


def test_home_agent_switch_and_dns_update_are_read_where_the_rfcs_put_them(lua: str) -> None:
    switch = mobility_header(12, bytes([2, 0]) + ADDRESS["home_agent"] + ADDRESS["home_address"])
    message = first(lua, "mobility", "read", switch)
    assert message["addresses"] == [ADDRESS["home_agent"], ADDRESS["home_address"]]
    update = bytes([17, 15, 128, 0x80]) + b"\x03ue1\x07example\x00"
    option = first(lua, "mobility", "read", mobility_header(6, bytes(6) + update))["options"][0]
    assert (option["status"], option["remove"], option["identity"]) == (128, True, "ue1.example")


@pytest.mark.parametrize(
    ("octets", "key"),
    [
        (mobility_header(5, bytes(6) + bytes([29, 4, 0, 0, 0, 0])), "option"),
        (mobility_header(5, bytes(6) + bytes([3, 200])), "truncated"),
        (HEADERS["E1"][:-8], "truncated"),
        (b"\x3a" + HEADERS["E1"][1:], "payload_proto"),
        (mobility_header(12, bytes([9, 0]) + bytes(16)), "addresses"),
        (mobility_header(5, bytes(6) + bytes([45, 8, 0, 1, 0, 1, 0, 0, 3, 9])), "option"),
    ],
)
def test_what_does_not_fit_is_a_problem_with_a_place(lua: str, octets: bytes, key: str) -> None:
    problems = first(lua, "mobility", "read", octets)["problems"]
    assert {problem["key"] for problem in problems} == {key}
    assert 0 <= problems[0]["at"] < len(octets)


def test_no_truncation_and_no_damage_makes_an_error(lua: str) -> None:
    """`call` turns a Lua error into a failure."""
    chance = random.Random(3)
    whole = [
        *HEADERS.values(),
        DHCP_REPLY,
        *(bytes.fromhex(EAP[name]) for name in ("challenge_request", "notification")),
    ]
    octets = [text[:n] for text in whole for n in range(len(text) + 1)]
    for text in whole:
        for _ in range(60):
            damaged = bytearray(text)
            for _ in range(chance.randint(1, 6)):
                damaged[chance.randrange(len(text))] = chance.choice((0, 1, 255, chance.randrange(256)))
            octets.append(bytes(damaged))
    octets += [chance.randbytes(chance.randint(0, 80)) for _ in range(200)]
    readers = [("mobility", "read"), ("dhcpv6", "read"), ("values", "eap")]
    call(lua, *((*reader, text) for reader in readers for text in octets))
    placed = [("values", "configuration_attribute"), ("values", "traffic_selector"), ("octets", "domain_name")]
    call(lua, *((*reader, text, 0) for reader in placed for text in octets[:600]))


def test_checksums_hold_over_the_home_address(lua: str) -> None:
    update = HEADERS["E1"]
    ends = (ADDRESS["home_address"], ADDRESS["home_agent"])
    outside = (ADDRESS["care_of_address"], ADDRESS["home_agent"])
    broken = update[:7] + bytes([update[7] ^ 1]) + update[8:]
    cases = [
        ("good", (*ends, update, 40)),
        ("good", (*ends, update + b"behind", 40)),
        ("good", (*reversed(ends), HEADERS["E2"], 24)),
        ("bad", (*outside, update, 40)),
        ("bad", (*ends, broken, 40)),
        ("unchecked", (*ends, update[:32], 40)),
        ("unchecked", (b"abcd", ends[1], update, 40)),
    ]
    found = call(lua, *(("checksum", "verify", *arguments) for _, arguments in cases))
    assert [result[0] for result in found] == [expected for expected, _ in cases]
    assert found[4][1] == 0x11B8


def test_a_reply_of_rfc_6610_is_read_with_its_nesting(lua: str) -> None:
    options, kind, *stopped = call(lua, ("dhcpv6", "read", DHCP_REPLY))[0]
    assert (kind, stopped) == (7, [None])
    (container,) = options
    assert [container["code"], *(child["code"] for child in container["children"])] == [69, 49, 71, 72, 72, 73]
    name, prefix, address, translated, agent = container["children"]
    assert name["name_value"] == "internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"
    assert (IPv6Address(prefix["prefix"]), prefix["prefix_length"]) == (IPv6Address("2001:db8:1:1::"), 64)
    assert IPv6Address(address["address"]) == IPv6Address("2001:db8:aaaa::1")
    assert IPv4Address(translated["address4"]) == IPv4Address("192.0.2.1")
    assert agent["name_value"] == "ha1.example.com"


def test_options_behind_a_relay_are_found(lua: str) -> None:
    relayed = b"\x0d\x00" + bytes(32) + b"\x00\x09" + len(DHCP_REPLY).to_bytes(2, "big") + DHCP_REPLY
    options, kind, _ = call(lua, ("dhcpv6", "read", relayed))[0]
    assert kind == 13
    assert [len(option["children"]) for option in options] == [5]


def test_eap_aka_attributes_are_read_without_their_lengths(lua: str) -> None:
    request = first(lua, "values", "eap", bytes.fromhex(EAP["challenge_request"]))
    assert {attribute["key"]: attribute["octets"].hex() for attribute in request["attributes"]} == {
        "rand": "23553cbe9637a89d218ae64dae47bf35",
        "autn": "55f328b43577b9b94a9ffac354dfafb3",
        "mac": "038747cae5d4e8e0a14fe3ad56f287cf",
    }
    response = first(lua, "values", "eap", bytes.fromhex(EAP["challenge_response"]))
    assert response["attributes"][0]["octets"].hex() == "a54211d5e3ba50bf"
    notification = first(lua, "values", "eap", bytes.fromhex(EAP["notification"]))
    assert notification["attributes"][0]["number"] == 16384
    failure = first(lua, "values", "eap", bytes.fromhex(EAP["synchronization_failure"]))
    assert failure["attributes"][0]["octets"].hex() == "ba853f3c123ccf44e93596e355c6"


def test_notification_codes_have_words(lua: str) -> None:
    codes = (0, 1026, 1031, 16384, 32768, 20000)
    assert [words for (words,) in call(lua, *(("values", "notification_words", code) for code in codes))] == [
        "general failure after authentication",
        "temporarily denied access to the requested service",
        "not subscribed to the requested service",
        "general failure before authentication",
        "success",
        "failure, before authentication",
    ]


def test_configuration_attributes_16_and_19_are_read(lua: str) -> None:
    prefix = first(lua, "values", "configuration_attribute", bytes.fromhex(IKE["home_prefix_reply"]), 0)
    assert (prefix["type"], prefix["lifetime"], prefix["prefix_length"]) == (16, 86400, 64)
    assert IPv6Address(prefix["prefix"]) == IPv6Address("2001:db8:1:1::")
    agent = first(lua, "values", "configuration_attribute", bytes.fromhex(IKE["home_agent_address_reply"]), 0)
    assert IPv6Address(agent["address"]) == IPv6Address("2001:db8:aaaa::1")
    assert IPv4Address(agent["address4"]) == IPv4Address("192.0.2.1")
    asked = first(lua, "values", "configuration_attribute", bytes.fromhex(IKE["home_prefix_request"]), 0)
    assert asked["empty"] is True
    odd = first(lua, "values", "configuration_attribute", bytes.fromhex("0010000400000000"), 0)
    assert "21 octets" in odd["problem"]


@pytest.mark.parametrize(
    ("protocol", "ports", "words"),
    [
        (135, (0x0500, 0x0500), "BU"),
        (135, (0x0600, 0x0600), "BA"),
        (135, (0x1000, 0x1000), "BRI/BRA"),
        (135, (0, 65535), "any MH type"),
        (135, (65535, 0), "OPAQUE: type not visible"),
        (135, (0x0500, 0x06FF), "BU to BA + 255"),
        (58, (0x9200, 0x9200), "ICMPv6 type 146 code 0"),
        (17, (500, 500), None),
    ],
)
def test_ports_of_selectors_are_message_types(
    lua: str, protocol: int, ports: tuple[int, int], words: str | None
) -> None:
    assert first(lua, "values", "port_words", protocol, *ports) == words


def test_ntp_timestamps_are_times(lua: str) -> None:
    assert call(lua, ("values", "ntp_time", 0xE0000000, 0x80000000))[0] == [0xE0000000 - 2208988800, 500_000_000]
    assert call(lua, ("values", "ntp_time", 0, 0))[0] == [2085978496, 0]  # 2036-02-07T06:28:16Z, RFC 4330 3


def authenticated(lua: str, name: str, key: bytes = KEY, care_of: bytes = ADDRESS["care_of_address"]) -> bytes:
    option = {o["type"]: o for o in first(lua, "mobility", "read", HEADERS[name])["options"]}[9]
    covered = HEADERS[name][:4] + bytes(2) + HEADERS[name][6 : option["covered"]]
    return hmac.digest(key, care_of + ADDRESS["home_address"] + covered, "sha1")[:12]


def test_the_published_authenticators_are_those_computed_here(lua: str) -> None:
    """The vectors, an independent computation in this test, and (with packets around them) the dissector agree."""
    assert authenticated(lua, "E10").hex() == "d32a1b8afcd2c5309e15326d"
    assert authenticated(lua, "E11").hex() == "aae732372b3c0cccf5867044"


def test_key_files_are_read_line_by_line(lua: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(
        "# SPI key identity\n256 000102 ue1@example.com\n\n0x101 0x0aFF # of all\n3\n5 12x4\n99999999999 00\nnan 00\n"
    )
    keys, complaints = call(lua, ("authenticator", "read_keys", path))[0]
    assert [(key["spi"], key["key"], key.get("identity")) for key in keys] == [
        (256, bytes([0, 1, 2]), "ue1@example.com"),
        (257, b"\x0a\xff", None),
    ]
    assert [complaint.split(":")[0] for complaint in complaints] == ["line 5", "line 6", "line 7", "line 8"]
    missing, reason = call(lua, ("authenticator", "read_keys", tmp_path / "none"))[0][:2]
    assert missing is None and "none" in reason
