# SPDX-License-Identifier: GPL-2.0-or-later
"""Following a run in progress: a capture and key tables that grow while they are read."""

from __future__ import annotations

import shutil
import struct
import threading
from pathlib import Path

import pytest

from mn_dsmip.check.flow.language import load
from mn_dsmip.check.follow import follow
from mn_dsmip.check.growing import Growing, GrowingError
from mn_dsmip.check.inputs import Input, InputError, find_input
from mn_dsmip.check.verdict import FAIL, PASS
from tests.check.conftest import FLOW, Case
from tests.check.damage import write

END = struct.pack(">IIIIII", 5, 24, 0, 0, 0, 24)  # interface statistics without options
LIMIT = 30.0  # seconds; a writer that is slower has failed
PIECE = 1500  # octets: packets are cut


class Writer(threading.Thread):
    """A run: packets come in pieces, keys one line at a time, each after the last was looked at."""

    def __init__(self, run: Path, capture: bytes, keys: Path, asked: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self.run_folder, self.capture, self.keys, self.asked = run, capture, keys, asked

    def run(self) -> None:
        pieces = [self.capture[at : at + PIECE] for at in range(0, len(self.capture), PIECE)]
        lines = [(name, line) for name in ("ikev2_decryption_table", "esp_sa") for line in self._lines(name)]
        with (self.run_folder / "trace.pcapng").open("ab", buffering=0) as file:
            for number, piece in enumerate(pieces):
                file.write(piece)
                for name, line in lines if number == len(pieces) // 2 else []:
                    with (self.run_folder / "wireshark" / name).open("a") as table:
                        table.write(line)
                self.asked.acquire(timeout=LIMIT)
            file.write(END)

    def _lines(self, name: str) -> list[str]:
        return (self.keys / name).read_text().splitlines(keepends=True)


def run_of(tmp_path: Path, capture: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Input, Writer]:
    """A run that goes on with every look at it."""
    (tmp_path / "wireshark").mkdir(parents=True)
    (tmp_path / "trace.pcapng").touch()
    asked = threading.Semaphore(0)
    monkeypatch.setattr("mn_dsmip.check.follow._pause", lambda _: asked.release())
    writer = Writer(tmp_path, capture.read_bytes(), keys, asked)
    return find_input(tmp_path, None), writer


def test_a_good_run_is_told_when_its_session_ends(
    forged: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, writer = run_of(tmp_path, forged.capture, forged.keys, monkeypatch)
    writer.start()
    said: list[str] = []
    verdict, source = follow(given, load(FLOW), said.append, reader="tshark")
    writer.join(LIMIT)
    assert verdict.verdict == PASS
    assert source.capture == given.capture
    assert [one.split("  ")[0] for one in said][-1] == "UE 1: PASS"
    assert len([one for one in said if "PASS" in one]) == 1
    assert not [one for one in said if "FAIL" in one or "MISSING" in one]


def test_what_is_wrong_is_told_once_and_before_the_end(
    forged: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(5)[0], write(4, "!H", 0xDEAD), fix=False)
    damaged = trace.save(tmp_path / "damaged.pcapng")
    given, writer = run_of(tmp_path / "run", damaged, forged.keys, monkeypatch)
    writer.start()
    said: list[str] = []
    verdict, _ = follow(given, load(FLOW), said.append, reader="tshark")
    writer.join(LIMIT)
    assert verdict.verdict == FAIL
    rules = [one for one in said if "rule MH-CHECKSUM " in one]
    assert len(rules) == 1
    assert said.index(rules[0]) < said.index(next(one for one in said if "UE 1: FAIL" in one))


def test_interrupted(forged: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: the verdict on what is there, and no traceback."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    shutil.copytree(forged.keys, tmp_path / "wireshark")
    (tmp_path / "trace.pcapng").write_bytes(forged.capture.read_bytes()[:-20])  # the last packet is being written
    monkeypatch.setattr("mn_dsmip.check.follow._pause", interrupt)
    said: list[str] = []
    verdict, _ = follow(find_input(tmp_path, None), load(FLOW), said.append, reader="tshark")
    assert verdict.verdict == FAIL  # the last answer is missing
    assert said[-1].startswith("stopped")


def test_nothing_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    (tmp_path / "trace.pcapng").touch()
    monkeypatch.setattr("mn_dsmip.check.follow._pause", interrupt)
    with pytest.raises(InputError, match="nothing was captured"):
        follow(find_input(tmp_path, None), load(FLOW), lambda _: None)


def test_not_a_capture(tmp_path: Path) -> None:
    (tmp_path / "trace.pcapng").write_text("this is a text, not a capture\n")
    with pytest.raises(InputError, match="neither pcapng nor pcap"):
        follow(find_input(tmp_path, None), load(FLOW), lambda _: None)


@pytest.mark.parametrize("piece", [1, 7, 64, 5000])
def test_only_whole_packets_are_copied(forged: Case, tmp_path: Path, piece: int) -> None:
    whole = forged.capture.read_bytes()[:6000] if piece == 1 else forged.capture.read_bytes() + END
    source, copy = tmp_path / "source", tmp_path / "copy"
    growing = Growing(source, copy)
    seen = set()
    with source.open("ab", buffering=0) as file:
        for at in range(0, len(whole), piece):
            file.write(whole[at : at + piece])
            growing.update()
            seen.add(copy.stat().st_size)
    copied = copy.read_bytes()
    assert whole.startswith(copied)
    assert growing.ended == (piece != 1)
    if piece != 1:
        assert copied == whole
    ends = _ends(whole)
    assert seen <= ends


def _ends(data: bytes) -> set[int]:
    """Where the blocks of a pcapng file end."""
    at, found = 0, {0}
    while at + 8 <= len(data):
        at += struct.unpack_from(">I", data, at + 4)[0]
        found.add(at)
    return found


def test_pcap(tmp_path: Path) -> None:
    """A pcap file has no end mark: only its whole records count."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack("<IIII", 1, 0, 4, 4) + b"abcd"
    source, copy = tmp_path / "source", tmp_path / "copy"
    growing = Growing(source, copy)
    assert not growing.update()
    source.write_bytes(header + record + record[:-1])
    assert growing.update()
    assert copy.read_bytes() == header + record
    source.write_bytes(header + record + record)
    assert growing.update()
    assert copy.read_bytes() == header + record + record
    assert not growing.ended


def test_damage_is_an_error(tmp_path: Path) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    (tmp_path / "source").write_bytes(header + struct.pack("<IIII", 1, 0, 0xFFFFFFF0, 4))
    with pytest.raises(GrowingError, match="damaged at octet 24"):
        Growing(tmp_path / "source", tmp_path / "copy").update()


def test_every_octet_string_is_refused_or_read(forged: Case, tmp_path: Path) -> None:
    """Whatever is in the file: an error that says so, never another one, and never a hang."""
    whole = bytearray(forged.capture.read_bytes()[:2000])
    for place in range(0, len(whole), 13):
        (tmp_path / "source").write_bytes(bytes(whole[:place]) + b"\xff\x00\xff" + bytes(whole[place + 3 :]))
        growing = Growing(tmp_path / "source", tmp_path / f"copy-{place}")
        try:
            growing.update()
        except GrowingError:
            continue
        assert growing.copy.stat().st_size <= len(whole)
