# SPDX-License-Identifier: GPL-2.0-or-later
"""The classic BPF program, run by an interpreter of our own over packets made by scapy."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.agent.datapath import bpf
from mn_dsmip.engine.discovery.dns import PORTS
from tests.agent.datapath_packets import ELSEWHERE, agents_packets, errors, fragments_of, kernels_packets

CARE_OF, OTHER = "2001:db8:a::100", "2001:db8:a::101"
HOST, BROADCAST, MULTICAST, OTHER_HOST, OUTGOING = range(5)  # packet(7): sll_pkttype
PROGRAM = bpf.care_of_filter(IPv6Address(CARE_OF))
AGENTS = {**agents_packets(ELSEWHERE, CARE_OF), **errors(ELSEWHERE, CARE_OF)}
KERNELS = kernels_packets(ELSEWHERE, CARE_OF)
SIZES = {0x20: 4, 0x28: 2, 0x30: 1}  # BPF_LD | BPF_ABS with BPF_W, BPF_H, BPF_B


def run(program: list[bpf.Instruction], packet: bytes, packet_type: int = HOST) -> int:
    """How many octets of a packet the program lets through; as in the kernel, a load beyond the packet ends with 0."""
    accumulator = at = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if operand == 0xFFFFF004 and code == 0x20:
            accumulator = packet_type
        elif code in SIZES:
            octets = packet[operand : operand + SIZES[code]]
            if len(octets) < SIZES[code]:
                return 0
            accumulator = int.from_bytes(octets, "big")
        else:
            taken = {0x15: accumulator == operand, 0x35: accumulator >= operand}[code]
            at += if_true if taken else if_false


@pytest.mark.parametrize("name", AGENTS)
def test_the_agents_packets_pass_whole(name: str) -> None:
    assert run(PROGRAM, AGENTS[name]) >= 65575


@pytest.mark.parametrize("name", ["ike", "esp", "ipv6 in ipv6", "home address option, esp"])
def test_their_fragments_pass(name: str) -> None:
    fragments = fragments_of(AGENTS[name] + bytes(1000), 600)
    assert len(fragments) > 1
    assert all(run(PROGRAM, each) for each in fragments)


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernels_packets_do_not(name: str) -> None:
    assert run(PROGRAM, KERNELS[name]) == 0


@pytest.mark.parametrize("name", AGENTS)
def test_nothing_passes_for_another_address(name: str) -> None:
    assert run(bpf.care_of_filter(IPv6Address(OTHER)), AGENTS[name]) == 0


@given(st.integers(0, 127))
def test_every_bit_of_the_care_of_address_counts(bit: int) -> None:
    changed = IPv6Address(int(IPv6Address(CARE_OF)) ^ 1 << bit)
    assert run(bpf.care_of_filter(changed), AGENTS["esp"]) == 0


@pytest.mark.parametrize("packet_type", [BROADCAST, MULTICAST, OTHER_HOST, OUTGOING])
def test_only_what_was_sent_to_us_passes(packet_type: int) -> None:
    assert run(PROGRAM, AGENTS["esp"], packet_type) == 0


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_udp_ports(source: int, destination: int) -> None:
    packet = bytearray(AGENTS["ike"])
    packet[40:44] = source.to_bytes(2, "big") + destination.to_bytes(2, "big")
    expected = destination in (500, 4500) or (source == 53 and destination in PORTS)
    assert bool(run(PROGRAM, bytes(packet))) == expected


@given(st.integers(0, 255))
def test_next_headers(number: int) -> None:
    packet = bytearray(KERNELS["no dns answer"])
    packet[6] = number
    packet[40] = 0
    assert bool(run(PROGRAM, bytes(packet))) == (number in (4, 41, 43, 44, 50, 60, 135))


@given(st.integers(0, 255))
def test_icmpv6_types(number: int) -> None:
    packet = bytearray(KERNELS["echo request"])
    packet[40] = number
    assert bool(run(PROGRAM, bytes(packet))) == (1 <= number <= 4)


def test_without_a_care_of_address_nothing_passes() -> None:
    assert not any(run(bpf.nothing_filter(), packet) for packet in AGENTS.values())


def test_every_jump_stays_within_the_program() -> None:
    for at, each in enumerate(PROGRAM):
        if each.code in (0x15, 0x35):
            assert at + 1 + max(each.if_true, each.if_false) < len(PROGRAM)
            assert max(each.if_true, each.if_false) < 256
