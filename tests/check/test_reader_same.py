# SPDX-License-Identifier: GPL-2.0-or-later
"""Both readers deliver the same packets, and so the same messages, whatever the capture."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mn_dsmip.check.model import Packet
from mn_dsmip.check.reading import TraceError, dissect, fields_reader, pyshark_reader
from mn_dsmip.check.reading.fields import FIELDS
from mn_dsmip.check.reading.keys import Keys, has_tables
from tests.check.conftest import Case
from tests.check.reader_captures import LINKS, ROOT, everything, write_pcap

CAPTURES = sorted(path for path in (ROOT / "captures").rglob("*.pcap*") if path.is_file())


def _all(packets: Iterator[Packet]) -> list[Packet]:
    """The packets, and where the capture is damaged what is said of it in place of the next one."""
    found = []
    try:
        for packet in packets:
            found.append(packet)  # kept when the next one raises
    except TraceError as error:
        found.append(Packet(0, 0.0, (str(error),), {}))
    return found


def same(capture: Path, keys: Keys) -> list[Packet]:
    """The packets that both readers find; when the file is damaged, both say so."""
    lines, found = (_all(reader(capture, keys)) for reader in (fields_reader.read, pyshark_reader.read))
    assert found == lines
    messages = [dissect(one) for one in lines]
    assert [dissect(one) for one in found] == messages
    for message in messages:
        assert message is None or set(message.fields) <= FIELDS[message.kind]
    return lines


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.parent.name)
def test_our_captures(capture: Path) -> None:
    folder = capture.parent / "wireshark"
    assert same(capture, Keys.load(folder) if has_tables(folder) else Keys())


def test_forged_trace_with_and_without_keys(forged: Case) -> None:
    assert same(forged.capture, Keys.load(forged.keys)) != same(forged.capture, Keys())


def test_interleaved_ues(interleaved: tuple[Case, object]) -> None:
    case, _ = interleaved
    assert len(same(case.capture, Keys.load(case.keys))) > 60


@pytest.mark.parametrize("link", LINKS)
def test_every_sort_of_packet_on_every_link(link: str, tmp_path: Path) -> None:
    packets = everything()
    found = same(write_pcap(tmp_path / "all.pcap", list(packets.values()), link), Keys())
    assert len(found) == len(packets) - 1  # all but the TCP segment with data


def test_foreign_captures(foreign_captures: Path, tmp_path: Path) -> None:
    """All of them in one file, with several link types; the key tables are those that came with two of them."""
    keys = foreign_captures / "keys"
    shutil.copy(keys / "ikev2_decryption_table", tmp_path)
    shutil.copy(keys / "esp_sa.02-sunrise-sunset", tmp_path / "esp_sa")
    captures = sorted(foreign_captures.glob("*/*.pcap"))
    assert len(captures) > 30
    subprocess.run(["mergecap", "-a", "-w", tmp_path / "all.pcapng", *captures], check=True, timeout=30)
    found = same(tmp_path / "all.pcapng", Keys.load(tmp_path))
    assert len(found) > 200
    assert len({one.text("frame.interface_id") for one in found}) > 1


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
@example(b"\t\n\x1f\x1e\x07,|\\\"'\x1b[31m")
@example(b"\x80\xc3\x28\xf0\x9f\x98\x80\xed\xa0\x80\xff\xfe\xc2")
@example(b"a\0b")
@example("\u202e\u2028\x85\u00ad".encode())
def test_hostile_identities_are_the_same_and_shift_nothing(forged: Case, tmp_path: Path, name: bytes) -> None:
    """Tabs, line feeds, separators, octets that are no text: in both identities of one message."""
    capture = forged.damaged()
    hostile = b"\x02\0\0\0" + name
    capture.edit_ike(8, lambda payloads: [(kind, hostile if kind in (35, 36) else body) for kind, body in payloads])
    found = same(capture.save(tmp_path / "hostile.pcapng"), Keys.load(forged.keys))
    message = dissect(found[7])
    assert message is not None
    assert message.get("ts_i") == ("::/0",)
    assert message.get("payloads") == ("IDi", "IDr", "CP", "Notify", "SA", "TSi", "TSr")
    assert message.get("id_i") == message.get("id_r")
    assert message.text("id_i").isprintable()
