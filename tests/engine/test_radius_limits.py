# SPDX-License-Identifier: GPL-2.0-or-later
"""What a peer may make the gateway's RADIUS client carry, before anybody knows who it is; and keys of other lengths."""

from __future__ import annotations

import pytest

from mn_dsmip.engine.aaa.client import EAP_HEADER, MOST_EAP
from mn_dsmip.engine.aaa.packets import EAP_PIECE, LONGEST_PACKET
from mn_dsmip.engine.ike.aka_common import AKA
from mn_dsmip.engine.ike.eap_method import EapFailure, EapPacket, EapSuccess
from tests.engine.test_ike_eap import Scripted
from tests.engine.test_radius_client import SECRET, Bench, ServerDouble, eap_server


@pytest.mark.parametrize("name", ["x" * (EAP_PIECE + 1), "x" * 65000, "\ufffd" * 65000])
def test_identities_that_are_too_long(name: str) -> None:
    bench = Bench(eap_server(AKA))
    result = bench.method(name).take()
    assert isinstance(result, EapFailure)
    assert result.reason == f"the peer's identity has {len(name.encode())} octets, RADIUS carries {EAP_PIECE}"
    bench.turn()
    assert not bench.sent


@pytest.mark.parametrize("length", [0, EAP_HEADER - 1, MOST_EAP + 1, 65000])
def test_eap_packets_that_do_not_fit(length: int) -> None:
    bench = Bench(eap_server(AKA))
    method = bench.method("0001010000000001")
    assert isinstance(bench.until_answered(method), EapPacket)
    sent = len(bench.sent)
    method.receive(bytes(length))
    result = method.take()
    assert isinstance(result, EapFailure)
    assert result.reason == f"the peer's EAP packet has {length} octets, which RADIUS does not carry"
    bench.turn()
    assert len(bench.sent) == sent, "a server that drops it would count as silent, and others suffer"


def test_the_longest_request_fits() -> None:
    bench = Bench(eap_server(AKA))
    method = bench.method("x" * EAP_PIECE)
    method.state = bytes(EAP_PIECE)
    method.receive(bytes(MOST_EAP))
    bench.client.begin(bench.now)
    assert [len(each.octets) <= LONGEST_PACKET for each in bench.client.datagrams_to_send()] == [True, True]


def test_shorter_keys_are_filled_up() -> None:
    """EAP-MSCHAPv2 has 16 octets for each direction; the double gives what is left of the MSK as Send-Key."""
    receive, send = bytes(range(32)), bytes(range(100, 116))
    bench = Bench(ServerDouble(SECRET, lambda name: Scripted(EapSuccess(receive + send, name, b"\3\1\0\4"))))
    result = bench.until_answered(bench.method("ue"))
    assert isinstance(result, EapSuccess)
    assert result.msk == (receive + send).ljust(64, b"\0")


def test_keys_that_are_too_short_do_not_count() -> None:
    bench = Bench(ServerDouble(SECRET, lambda name: Scripted(EapSuccess(bytes(32 + 8), name, b"\3\1\0\4"))))
    result = bench.until_answered(bench.method("ue"))
    assert isinstance(result, EapFailure)
    assert "without the keys MS-MPPE-Recv-Key and MS-MPPE-Send-Key" in result.reason
