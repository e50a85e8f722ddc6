# SPDX-License-Identifier: GPL-2.0-or-later
"""A packet captured at two points counts once; one that was sent again counts again."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mn_dsmip.check.model import Message
from mn_dsmip.check.reading import dissect, duplicates, read
from mn_dsmip.check.reading.duplicates import Duplicates
from mn_dsmip.check.reading.keys import Keys
from tests.check.reader_captures import VECTORS, ping, write_pcap

UE_LINK, GATEWAY = (0, 64), (1, 63)


def sent(time: float, point: tuple[int, int] = UE_LINK, **fields: int) -> Message:
    return Message("plain", round(time * 1000), time, "a", "b", dict(fields), point=point)


def kept(*messages: Message) -> tuple[list[float], int]:
    stage = Duplicates()
    return [one.time for one in stage(messages)], stage.dropped


def test_a_copy_at_another_point_is_dropped() -> None:
    assert kept(sent(1.0), sent(1.01, GATEWAY)) == ([1.0], 1)
    assert kept(sent(1.0, GATEWAY), sent(1.01), sent(1.02, (2, 62))) == ([1.0], 2)
    assert kept(sent(1.0), sent(1.0, (0, 63))) == ([1.0], 1)  # the same interface, a router in between


def test_a_retransmission_is_kept_and_its_copy_is_dropped() -> None:
    assert kept(sent(1.0), sent(1.01, GATEWAY), sent(1.5), sent(1.51, GATEWAY)) == ([1.0, 1.5], 2)


def test_what_was_lost_at_one_point_is_not_missed() -> None:
    """The first copy never reached the gateway."""
    assert kept(sent(1.0), sent(1.5), sent(1.51, GATEWAY), sent(2.2, GATEWAY)) == ([1.0, 1.5, 2.2], 1)


def test_long_after_it_is_another_packet() -> None:
    assert kept(sent(1.0), sent(1.0 + duplicates.WINDOW + 0.1, GATEWAY)) == ([1.0, 2.1], 0)


def test_other_content_is_another_packet() -> None:
    assert kept(sent(1.0, icmp_sequence=1), sent(1.01, GATEWAY, icmp_sequence=2)) == ([1.0, 1.01], 0)
    stage = Duplicates()
    ike = replace(sent(1.0), kind="ike_auth", content="00ff")
    found = [ike, replace(ike, point=GATEWAY), replace(ike, point=GATEWAY, content="00fe")]
    assert len(list(stage(found))) == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST", 100)
    stage = Duplicates()
    assert len(list(stage(sent(1.0, number=number) for number in range(1000)))) == 1000
    assert len(stage._seen) <= 100
    list(stage([sent(100.0)]))
    assert len(stage._seen) == 1


def test_two_captures_merged(tmp_path: Path) -> None:
    """The UE's link and the gateway's, a router between them: hop limits differ, everything else is the same."""
    names = ("E1", "E2", "T1", "T5", "E3")
    packets = [VECTORS[name] for name in names] + [ping(7)]
    farther = [_one_hop_on(packet) for packet in packets]
    files = [write_pcap(tmp_path / f"{index}.pcap", one) for index, one in enumerate((packets, farther))]
    subprocess.run(["mergecap", "-w", tmp_path / "merged.pcapng", *files], check=True, timeout=20)
    stage = Duplicates()
    messages = (one for packet in read(tmp_path / "merged.pcapng", Keys()) if (one := dissect(packet)))
    assert [one.kind for one in stage(messages)] == [
        "binding_update", "binding_acknowledgement", "tunnelled", "tunnelled", "binding_update", "plain"
    ]  # fmt: skip
    assert stage.dropped == len(packets)


def _one_hop_on(packet: bytes) -> bytes:
    place = 7 if packet[0] >> 4 == 6 else 8
    return packet[:place] + bytes([packet[place] - 1]) + packet[place + 1 :]
