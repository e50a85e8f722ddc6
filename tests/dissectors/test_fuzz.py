# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector never fails: on damaged, cut and foreign packets, and it says the same in one pass as in two."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.check.damage import read_pcapng
from tests.dissectors.packets.cases import CASES
from tests.dissectors.packets.forge import NULL_KEYS
from tests.dissectors.packets.tshark import SCRIPT, VALUES, run

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = sorted((ROOT / "captures").glob("*/trace.pcapng"))
PACKETS, SEED = 20_000, 5555
ETHERNET = 14
VALUES_OF_INTEREST = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
TABLES = ("esp_sa", "ikev2_decryption_table", "dsmip_auth_keys")


def header_length(frame: bytes) -> int:
    """Octets of the Ethernet header and the IP header behind it."""
    kind = struct.unpack_from("!H", frame, ETHERNET - 2)[0]
    return ETHERNET + (40 if kind == 0x86DD else 4 * (frame[ETHERNET] & 15) if kind == 0x0800 else 0)


def damaged(frame: bytes, chance: random.Random) -> bytes:
    """The frame with some octets behind its IP header changed, now and then cut or with a piece doubled."""
    octets, start = bytearray(frame), header_length(frame)
    if start >= len(octets):
        return frame
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        value = chance.choice((*VALUES_OF_INTEREST, chance.randrange(256)))
        # The first octets hold the lengths and types that a parser goes by.
        end = min(len(octets), start + 48) if chance.random() < 0.5 else len(octets)
        octets[chance.randrange(start, end)] = value
    what = chance.random()
    if what < 0.1:
        del octets[chance.randrange(start, len(octets)) :]
    elif what < 0.2:
        place = chance.randrange(start, len(octets))
        octets[place:place] = octets[place : place + chance.randrange(1, 40)]
    return bytes(octets)


def write_pcap(file: Path, frames: Iterable[bytes]) -> Path:
    """A capture of `frames`, 10 ms apart."""
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    for number, frame in enumerate(frames):
        seconds, hundredths = divmod(number, 100)
        records.append(struct.pack("<IIII", 1_800_000_000 + seconds, hundredths * 10_000, len(frame), len(frame)))
        records.append(frame)
    file.write_bytes(b"".join(records))
    return file


def give_keys(folder: Path) -> None:
    """All captures' key tables and the key of the built packets, as the configuration beside the capture."""
    configuration = folder / "empty"
    configuration.mkdir()
    for table in TABLES:
        texts = [file.read_text() for file in sorted((ROOT / "captures").glob(f"*/wireshark/{table}"))]
        (configuration / table).write_text("\n".join(texts))
    with (configuration / "ikev2_decryption_table").open("a") as file:
        file.write(f"\n{NULL_KEYS}\n")
    shutil.copy(CAPTURES[0].parent / "wireshark" / "preferences", configuration)


def values(capture: Path, names: list[str], *options: str) -> list[dict[str, str]]:
    """The fields of each frame that are there; an error of Lua in a tree or in a message fails."""
    wanted = [*names, "_ws.lua.error"]
    listed = [word for name in wanted for word in ("-e", name)]
    shown = run(capture, *options, "-T", "fields", "-E", "occurrence=a", "-E", f"aggregator={VALUES}", *listed).stdout
    rows = [dict(zip(wanted, line.split("\t"), strict=True)) for line in shown.splitlines()]
    errors = {number: row["_ws.lua.error"] for number, row in enumerate(rows, 1) if row["_ws.lua.error"]}
    assert not errors, errors
    return [{name: value for name, value in row.items() if value} for row in rows]


@pytest.fixture(scope="module")
def mutants() -> list[bytes]:
    """Damaged packets: half from the captures, half from those whose IKE messages everybody can open."""
    chance = random.Random(SEED)
    shipped = [octets for file in CAPTURES for _, octets in read_pcapng(file.read_bytes())]
    built = [octets for case in CASES for octets in case.frames]
    return [damaged(chance.choice((shipped, built)[i % 2]), chance) for i in range(PACKETS)]


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
def test_damaged_packets(keys: bool, names: list[str], mutants: list[bytes], tmp_path: Path) -> None:
    if keys:
        give_keys(tmp_path)
    rows = values(write_pcap(tmp_path / "mutants.pcap", mutants), names)
    assert len(rows) == PACKETS
    assert sum("dsmip.session" in row for row in rows) > PACKETS // 10


def test_damaged_packets_in_two_passes(names: list[str], mutants: list[bytes], tmp_path: Path) -> None:
    give_keys(tmp_path)
    assert len(values(write_pcap(tmp_path / "mutants.pcap", mutants[:5000]), names, "-2")) == 5000


def test_damaged_packets_in_words(mutants: list[bytes], tmp_path: Path) -> None:
    """The whole tree as text, the Info column and the packet list."""
    give_keys(tmp_path)
    capture = write_pcap(tmp_path / "mutants.pcap", mutants[:2000])
    assert "DS-MIPv6 over S2c" in run(capture, "-V").stdout
    assert len(run(capture).stdout.splitlines()) == 2000


@pytest.mark.parametrize("length", [64, 110])
def test_packets_cut_by_the_capture(length: int, names: list[str], tmp_path: Path) -> None:
    give_keys(tmp_path)
    whole = tmp_path / "whole.pcapng"
    subprocess.run(["mergecap", "-a", "-w", whole, *CAPTURES], check=True, timeout=60)
    capture = tmp_path / "cut.pcapng"
    subprocess.run(["editcap", "-s", str(length), whole, capture], check=True, timeout=60)
    expected = sum(1 for file in CAPTURES for _ in read_pcapng(file.read_bytes()))
    for passes in ((), ("-2",)):
        assert len(values(capture, names, *passes)) == expected


def looks_ahead() -> set[str]:
    """Fields that one pass may leave out where the frame that tells comes later."""
    text = (SCRIPT.parent / "dsmip" / "fields.lua").read_text()
    return {f"dsmip.{name}" for name in re.findall(r'\{ name = "([^"]+)"[^{}]*looks_ahead = true', text)}


@pytest.mark.parametrize("trace", CAPTURES, ids=lambda path: path.parent.name)
def test_one_pass_says_what_two_say(trace: Path, names: list[str], tmp_path: Path) -> None:
    capture = Path(shutil.copy(trace, tmp_path))
    shutil.copytree(trace.parent / "wireshark", tmp_path / "empty")
    ahead = looks_ahead()
    assert "dsmip.response_in" in ahead
    once, twice = values(capture, names), values(capture, names, "-2")
    assert any("dsmip.session" in row for row in once)
    for number, (first, second) in enumerate(zip(once, twice, strict=True), 1):
        told = {name: value for name, value in second.items() if name in first or name not in ahead}
        assert first == told, number


def test_captures_of_others(foreign_captures: Path, names: list[str], tmp_path: Path) -> None:
    """Of several link layers, so all in one pcapng; some hold packets that once broke other dissectors."""
    capture = tmp_path / "all.pcapng"
    subprocess.run(["mergecap", "-a", "-w", capture, *foreign_captures.rglob("*.pcap")], check=True, timeout=60)
    once = values(capture, names)
    assert any(once) and len(once) == len(values(capture, names, "-2"))
