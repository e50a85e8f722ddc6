# SPDX-License-Identifier: GPL-2.0-or-later
"""What each sort of packet is read as."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.check.model import JOINT, Message, Packet
from mn_dsmip.check.reading import dissect, read
from mn_dsmip.check.reading.columns import COLUMNS
from mn_dsmip.check.reading.dhcpv6 import dhcpv6_message
from mn_dsmip.check.reading.dns import dns_message
from mn_dsmip.check.reading.fields import FIELDS
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.reading.octets import domain_name
from tests.check.conftest import Case
from tests.check.packets import notify
from tests.check.reader_captures import DHCP_REPLY, DHCP_REQUEST, UE, dns_query, everything, write_pcap

WORDS = ("eth", "ipv6", "ip", "udp", "esp", "isakmp", "dns", "dhcpv6", "data", "icmp", "icmpv6", "tcp", "ipv6.dstopts")
HA_APN = "internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Message]:
    packets = everything()
    capture = write_pcap(tmp_path_factory.mktemp("messages") / "all.pcap", list(packets.values()))
    names = list(packets)
    return {names[one.frame - 1]: one for packet in read(capture, Keys()) if (one := dissect(packet))}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("E1", "binding_update", {"udp": False, "outer_version": 6, "end_source": "2001:db8:1:1::100"}),
        ("E3", "binding_update", {"udp": True, "outer_version": 4, "source_port": 4191, "checksum_correct": True}),
        ("E4", "binding_acknowledgement", {"udp": True, "destination_port": 40000, "nat_refresh": 110}),
        ("E8", "binding_update", {"home_address_option": False, "home_address": "2001:db8:1:1::100"}),
        ("T1", "tunnelled", {"outer_version": 6, "inner_version": 6, "icmp": "echo_request", "udp": False}),
        ("T2", "tunnelled", {"outer_version": 6, "inner_version": 4, "inner_source": "10.45.0.2"}),
        ("T3", "tunnelled", {"outer_version": 4, "inner_version": 6, "udp": False, "protocol": 58}),
        ("T4", "tunnelled", {"outer_version": 4, "inner_version": 4, "protocol": 1}),
        ("T5", "tunnelled", {"outer_version": 4, "inner_version": 6, "udp": True, "source_port": 4191}),
        ("T6", "tunnelled", {"outer_version": 4, "inner_version": 4, "udp": True, "inner_source": "10.45.0.2"}),
        ("keepalive-4500", "keepalive", {"size": 1, "destination_port": 4500, "udp": False}),
        ("keepalive-4191", "keepalive", {"size": 1, "destination_port": 4191, "udp": True}),
        ("keepalive-empty", "keepalive", {"size": 0, "destination_port": 4191}),
        ("syn", "plain", {"tcp": "syn", "protocol": 6}),
        ("fin", "plain", {"tcp": "fin", "tcp_ports": (40000, 80), "tcp_sequence": 7}),
        ("tunnelled-syn", "tunnelled", {"tcp": "syn", "protocol": 6}),
        ("dhaad-request", "home_agent_discovery", {"response": False, "id": 77, "addresses": ()}),
        ("dhaad-reply", "home_agent_discovery", {"addresses": ("2001:db8:aaaa::1", "2001:db8:aaaa::2")}),
        ("prefix-solicitation", "mobile_prefix", {"response": False, "id": 78, "protected": False}),
        ("error-quoting-update", "icmpv6_error", {"quoted_headers": (60, 135), "quoted_source": str(UE)}),
        ("error-quoting-ike", "icmpv6_error", {"quoted_headers": (17,), "quoted_ports": (500, 500), "icmp_code": 4}),
        ("icmp-error", "icmp_error", {"quoted_ports": (40000, 4191), "quoted_headers": (17,), "icmp_type": 3}),
        ("unreadable-esp", "esp", {"spi": 0x1234, "esp_sequence": 5, "protected": True}),
        ("hostile-dns", "dns", {"name": "a,b?c?d???\\xff\\xc3\\\"'.example", "type": "AAAA", "malformed": None}),
        ("cut-dns", "dns", {"name": "", "malformed": True}),
    ],
)  # fmt: skip
def test_kinds_and_fields(messages: dict[str, Message], name: str, kind: str, expected: dict[str, object]) -> None:
    message = messages[name]
    assert message.kind == kind
    assert {field: message.get(field) for field in expected} == expected
    assert set(message.fields) <= FIELDS[kind]


def test_dhcpv6_options_in_their_containers(messages: dict[str, Message]) -> None:
    request, reply = messages["dhcp-request"], messages["dhcp-reply"]
    assert (request.kind, request.get("msg_type"), reply.get("msg_type")) == ("dhcpv6", "information-request", "reply")
    assert request.get("requested_options") == (
        "MIP6_IDINF", "MIP6_HNIDF", "MIP6_HNP", "MIP6_HAA", "MIP6_HAF", "INFORMATION_REFRESH_TIME", "INF_MAX_RT"
    )  # fmt: skip
    assert (request.get("home_network_id"), request.get("identified")) == (HA_APN, False)
    expected = {
        "home_network_id": HA_APN,
        "identified": True,
        "visited": False,
        "home_prefixes": ("2001:db8:1:1::/64",),
        "home_agent_addresses": ("2001:db8:aaaa::1", "192.0.2.1"),
        "home_agent_names": ("ha1.example.com",),
        "options": ("SERVERID", "CLIENTID", "MIP6_IDINF"),
        "uncontained": None,
        "malformed": None,
        "transaction_id": 0xABCDEF,
    }
    assert {name: reply.get(name) for name in expected} == expected


def test_dhcpv6_through_a_relay_and_outside_a_container() -> None:
    inner = DHCP_REPLY[:4] + struct.pack("!HH", 72, 16) + UE.packed
    relayed = bytes([13, 0]) + bytes(32) + struct.pack("!HH", 9, len(inner)) + inner
    found = dhcpv6_message(relayed)
    assert (found["relayed"], found["uncontained"], found["msg_type"]) == (True, True, "reply")
    assert found["home_agent_addresses"] == (str(UE),)
    for size in range(len(DHCP_REPLY)):
        assert set(dhcpv6_message(DHCP_REPLY[:size])) <= FIELDS["dhcpv6"]
    deep = b""
    for _ in range(60):
        deep = bytes([12, 0]) + bytes(32) + struct.pack("!HH", 9, len(deep)) + deep
    assert dhcpv6_message(deep)["malformed"] is True


@given(st.binary(max_size=200))
def test_hostile_datagrams_never_raise(data: bytes) -> None:
    for fields, kind in ((dhcpv6_message(data), "dhcpv6"), (dns_message(data), "dns")):
        assert set(fields) <= FIELDS[kind]
    for fields, kind in ((dhcpv6_message(DHCP_REQUEST + data), "dhcpv6"), (dns_message(dns_query(b"x") + data), "dns")):
        assert set(fields) <= FIELDS[kind]


def test_compressed_names_and_loops() -> None:
    data = b"\x03www\x07Example\x00\x01a\xc0\x04\xc0\x10"
    assert domain_name(data, 0) == ("www.example", 13)
    assert domain_name(data, 13) == ("a.example", 17)
    for hostile in (b"\xc0\x00", b"\x01a\xc0\x00", b"\x05ab", b"", b"\x80", b"\xc0"):
        with pytest.raises(ValueError, match="no domain name"):
            domain_name(hostile, 0)


def _edited(forged: Case, tmp_path: Path, frame: int, *payloads: tuple[int, bytes]) -> Message:
    capture = forged.damaged()
    capture.edit_ike(frame, lambda _: list(payloads))
    found = [dissect(one) for one in read(capture.save(tmp_path / "edited.pcapng"), Keys.load(forged.keys))]
    message = found[frame - 1]
    assert message is not None
    assert set(message.fields) <= FIELDS[message.kind]
    return message


def test_redirect_and_home_agent_address(forged: Case, tmp_path: Path) -> None:
    """RFC 5685 3, TS 24.302 8.2.4.1; other notifications in between do not matter."""
    address = bytes.fromhex("20010db8aaaa00000000000000000002")
    attributes = (
        struct.pack("!HH", 19, 20) + address + bytes([192, 0, 2, 1]) + struct.pack("!HHHH", 8, 0, 19, 16) + address
    )
    message = _edited(
        forged, tmp_path, 13,
        notify(16384),
        notify(16407, b"\x02\x10" + address + bytes(range(32))),
        (41, struct.pack("!BBH", 3, 4, 16393) + b"\xd0\0\0\2"),
        (47, b"\x02\0\0\0" + attributes),
        notify(16408, b"\x01\x04\xc0\0\2\1"),
    )  # fmt: skip
    expected = {
        "redirect_to": "2001:db8:aaaa::2",
        "redirect_nonce": 32,
        "redirected_from": "192.0.2.1",
        "home_agent_addresses": ("2001:db8:aaaa::2", "192.0.2.1", "2001:db8:aaaa::2"),
        "cfg_attributes": ("HOME_AGENT_ADDRESS", "INTERNAL_IP6_ADDRESS", "HOME_AGENT_ADDRESS"),
        "notify": ("INITIAL_CONTACT", "REDIRECT", "REKEY_SA", "REDIRECTED_FROM"),
    }
    assert {name: message.get(name) for name in expected} == expected


def test_eap_aka_notification(forged: Case, tmp_path: Path) -> None:
    eap = bytes.fromhex("01020010170c00000c01400003010040")[:12]
    eap = eap[:2] + struct.pack("!H", len(eap)) + eap[4:]
    message = _edited(forged, tmp_path, 9, (48, eap))
    assert (message.get("eap_code"), message.get("eap_subtype")) == ("request", "Notification")
    assert message.get("eap_attributes") == ("AT_NOTIFICATION",)
    assert message.get("eap_notification") == 0x4000


def test_order_of_payloads_does_not_matter(forged: Case, tmp_path: Path) -> None:
    """RFC 7296 2.5: any order is to be accepted; what belongs together is still found."""
    keys = Keys.load(forged.keys)
    right = [one for packet in read(forged.capture, keys) if (one := dissect(packet))][7]
    capture = forged.damaged()
    capture.edit_ike(8, lambda payloads: payloads[::-1])
    turned = [one for packet in read(capture.save(tmp_path / "turned.pcapng"), keys) if (one := dissect(packet))][7]
    assert turned.items("payloads") == right.items("payloads")[::-1]
    assert {**turned.fields, "payloads": ()} == {**right.fields, "payloads": ()}


def test_suites(good: list[Message]) -> None:
    assert good[5].get("suites") == ("AES-GCM-16-128/PRF-SHA2-256/CURVE25519",)
    assert good[13].get("suites") == ("AES-GCM-16-128/NO-ESN",)


@given(
    st.lists(st.sampled_from(WORDS)),
    st.dictionaries(st.sampled_from(COLUMNS), st.lists(st.text(max_size=6) | st.integers(0, 99).map(str), min_size=1)),
)  # fmt: skip
def test_hostile_columns_never_raise(protocols: list[str], columns: dict[str, list[str]]) -> None:
    """Counts that do not fit the list of protocols, and texts where there should be numbers."""
    cells = {name: JOINT.join(values) for name, values in columns.items()}
    message = dissect(Packet(1, 1.0, tuple(protocols), cells))
    assert message is None or set(message.fields) <= FIELDS[message.kind]
