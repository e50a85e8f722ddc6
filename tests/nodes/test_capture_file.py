# SPDX-License-Identifier: GPL-2.0-or-later
"""The capture: a pcapng file that tshark reads, in order, with the last packet in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mn_dsmip.nodes import pcapng

FRAME = bytes.fromhex("ffffffffffff 020000000001 88b5".replace(" ", "")) + b"0123456789" * 6
PACKETS = 3000
BURST = f"""
import os, signal, socket, subprocess, sys
subprocess.run("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up", shell=True, check=True)
ready, told = os.pipe()
words = [sys.executable, "-IS", {pcapng.__file__!r}, "v1", sys.argv[1], str(told)]
capture = subprocess.Popen(words, pass_fds=[told])
os.close(told)
assert os.read(ready, 100) == b"ready\\n"
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("v0", 0))
    for number in range({PACKETS}):
        out.send(bytes.fromhex("{FRAME.hex()}") + number.to_bytes(4, "big"))
if sys.argv[2] == "delete":
    subprocess.run("ip link delete v0", shell=True, check=True)
capture.terminate()
sys.exit(capture.wait(30))
"""


def fields(path: Path, *names: str) -> list[list[str]]:
    shown = [word for name in names for word in ("-e", name)]
    words = ["tshark", "-n", "-r", str(path), "-T", "fields", *shown]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    with path.open("wb") as file:
        writer = pcapng.PcapngWriter(file, "ar-eth0", "mn-dsmip")
        for length in range(60, 64):
            writer.packet(FRAME[:length], 1_700_000_000_123_456_789 + length)
        writer.end(dropped=0)
    rows = fields(path, "frame.interface_name", "frame.len", "frame.time_epoch")
    assert rows[0] == ["ar-eth0", "60", "1700000000.123456849"]
    assert [row[1] for row in rows] == ["60", "61", "62", "63"]


def test_times_never_go_back() -> None:
    writer = pcapng.PcapngWriter(io.BytesIO(), "x", "mn-dsmip")
    writer.packet(FRAME, 2000)
    writer.packet(FRAME, 1999)
    assert writer.latest == 2000


@pytest.mark.root
@pytest.mark.parametrize("ending", ["stop", "delete"])
def test_every_packet_until_the_stop_is_there_once(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.pcapng"
    subprocess.run(["unshare", "--net", sys.executable, "-c", BURST, path, ending], check=True, timeout=60)
    numbers = [int(row[0][-8:], 16) for row in fields(path, "data.data") if row[0]]
    assert numbers == list(range(PACKETS))
    assert os.path.getsize(path) > PACKETS * len(FRAME)
