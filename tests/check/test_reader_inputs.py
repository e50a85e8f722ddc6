# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be read, by which reader, and what is said when something is wrong: one line, and no tshark left running."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import cast

import pytest

from mn_dsmip.check import reading
from mn_dsmip.check.model import Packet
from mn_dsmip.check.reading import TraceError, dissect, fields_reader, tshark
from mn_dsmip.check.reading.columns import COLUMNS
from mn_dsmip.check.reading.fields_reader import packet_of
from mn_dsmip.check.reading.keys import Keys
from tests.check.conftest import Case
from tests.check.reader_captures import NANOSECONDS, VECTORS, ping, tcp, write_pcap

READERS = ("pyshark", "tshark")
PACKETS = [VECTORS["E1"], ping(), VECTORS["E2"]]
KINDS = ["binding_update", "plain", "binding_acknowledgement"]


def kinds(source: Path, reader: str, keys: Keys | None = None) -> list[str]:
    return [message.kind for one in reading.read(source, keys or Keys(), reader) if (message := dissect(one))]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole search path, for programs that pretend to be tshark."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    return folder / "tshark"


def pretend(program: Path, script: str) -> None:
    program.write_text(f"#!{sys.executable}\nimport sys, os, time\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["trace.pcap", "trace.pcap.gz", "trace.without-a-known-ending"])
def test_files_and_compressed_files(name: str, reader: str, tmp_path: Path) -> None:
    assert kinds(write_pcap(tmp_path / name, PACKETS), reader) == KINDS


@pytest.mark.parametrize("reader", READERS)
def test_nanoseconds(reader: str, tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "ns.pcap", PACKETS, magic=NANOSECONDS)
    times = [one.time for one in reading.read(capture, Keys(), reader)]
    assert times == pytest.approx([1_800_000_000.000123456 + index for index in range(3)], abs=2e-7)


@pytest.mark.parametrize("suffix", [".pcap", ".pcap.gz"])
def test_standard_input(suffix: str, tmp_path: Path) -> None:
    """Through a pipe, which cannot be read twice; the messages have the frame numbers of the capture."""
    capture = write_pcap(tmp_path / f"trace{suffix}", [tcp(0x10), *PACKETS])
    script = (
        "from pathlib import Path; from mn_dsmip.check import reading; from mn_dsmip.check.reading.keys import Keys\n"
        "print([(one.frame, reading.dissect(one).kind) for one in reading.read(Path('-'), Keys())])"
    )
    with subprocess.Popen(["cat", capture], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-c", script], stdin=cat.stdout, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.stdout == f"{list(enumerate(KINDS, 2))}\n", done.stderr


def test_damaged_standard_input_is_one_line(tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "trace.pcap", PACKETS)
    for content, says in (
        (capture.read_bytes()[:-7], "cut short"),
        (b"", "-: there is nothing"),
        (b"no capture" * 9, "-: "),
    ):
        script = (
            "from pathlib import Path\nfrom mn_dsmip.check import reading\n"
            "from mn_dsmip.check.reading.keys import Keys\n"
            "try: print(len(list(reading.read(Path('-'), Keys()))))\nexcept reading.TraceError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], input=content, capture_output=True, timeout=30, check=False
        )
        assert done.stdout.decode().count("\n") == 1, done.stderr
        assert says in done.stdout.decode()


def test_no_standard_input_at_all() -> None:
    """A device that holds nothing, and a descriptor that is closed."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    assert fields_reader._ended(descriptor)
    os.close(descriptor)
    assert fields_reader._ended(descriptor)


@pytest.mark.parametrize("reader", READERS)
def test_a_capture_that_starts_in_the_middle(reader: str, forged: Case, tmp_path: Path) -> None:
    """Without IKE_SA_INIT: what follows is decrypted all the same."""
    late = tmp_path / "late.pcapng"
    subprocess.run(["editcap", "-r", forged.capture, late, "10-100"], check=True, timeout=20, capture_output=True)
    whole = [message.kind for one in reading.read(forged.capture, Keys.load(forged.keys)) if (message := dissect(one))]
    assert kinds(late, reader, Keys.load(forged.keys)) == whole[9:]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "absent", "folder"])
def test_damaged_files_are_one_line(damage: str, reader: str, tmp_path: Path) -> None:
    capture = write_pcap(tmp_path / "trace.pcap", PACKETS * 50)
    content = {"cut": capture.read_bytes()[:-7], "text": b"no capture at all\n" * 9, "empty": b""}
    if damage == "absent":
        capture = tmp_path / "absent.pcap"
    elif damage == "folder":
        capture = tmp_path
    else:
        capture.write_bytes(content[damage])
    with pytest.raises(TraceError) as told:
        list(reading.read(capture, Keys(), reader))
    assert str(told.value).startswith(f"{capture}: ")
    assert "\n" not in str(told.value)


def test_tshark_ends_when_the_consumer_stops(tmp_path: Path) -> None:
    """A large capture given up after the first packet: its tshark is gone at once, and so is its folder."""
    capture = write_pcap(tmp_path / "large.pcap", [ping(number % 65536) for number in range(60_000)])
    packets = cast("Generator[Packet, None, None]", reading.read(capture, Keys(), "tshark"))
    assert next(packets).frame == 1
    (child,) = _children()
    folder = _environment(child)["WIRESHARK_CONFIG_DIR"]
    assert os.path.isdir(folder)
    packets.close()
    assert not _children()
    assert not os.path.exists(folder)


def test_pyshark_given_up_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Given up while tshark has much more to say: nothing comes out of a destructor, and no tshark stays."""
    capture = write_pcap(tmp_path / "large.pcap", [ping(number) for number in range(3_000)])
    packets = cast("Generator[Packet, None, None]", reading.read(capture, Keys(), "pyshark"))
    assert next(packets).frame == 1
    packets.close()
    del packets
    gc.collect()
    assert not _children()
    assert capfd.readouterr() == ("", "")


def _children() -> list[int]:
    task = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(one) for one in task.split() if Path(f"/proc/{one}/comm").read_text() == "tshark\n"]


def _environment(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_complaints_without_end_do_not_block(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte on standard error before the first packet; the last line is what counts, and the status decides."""
    pretend(
        fake,
        'if "--version" in sys.argv: print("TShark (Wireshark) 4.0.17"); sys.exit()\n'
        'sys.stderr.write("noise\\n" * 200_000); sys.stderr.write("tshark: the end\\n")\n'
        'sys.exit(int(os.environ["STATUS"]))',
    )
    capture = write_pcap(tmp_path / "trace.pcap", PACKETS)
    monkeypatch.setenv("STATUS", "0")
    assert list(fields_reader.read(capture, Keys())) == []
    monkeypatch.setenv("STATUS", "2")
    with pytest.raises(TraceError, match="trace.pcap: tshark: the end$"):
        list(fields_reader.read(capture, Keys()))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('print("TShark (Wireshark) 3.6.2 (Git v3.6.2)")', "tshark 3.6 is too old: 4.0 is the oldest"),
        ('print("hello")', "does not tell its version"),
        ("sys.exit(1)", "does not tell its version"),
    ],
)
def test_unusable_tshark(script: str, says: str, fake: Path, tmp_path: Path) -> None:
    pretend(fake, script)
    capture = write_pcap(tmp_path / "trace.pcap", PACKETS)
    for reader in reading.READERS:
        with pytest.raises(TraceError, match=says):
            list(reading.read(capture, Keys(), reader))
    fake.unlink()
    for reader in reading.READERS:
        with pytest.raises(TraceError, match="^tshark is missing: install it"):
            list(reading.read(capture, Keys(), reader))


def test_auto_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = write_pcap(tmp_path / "small.pcap", PACKETS)
    large = write_pcap(tmp_path / "large.pcap", [bytes([0x60]) + bytes(9999)] * (reading.LARGE // 9999 + 1))
    assert [reading.choose(one) for one in (small, large, Path("-"))] == ["pyshark", "tshark", "tshark"]
    assert [reading.choose(large, one) for one in READERS] == list(READERS)
    with pytest.raises(TraceError, match="^pyshark does not read standard input: use --reader tshark$"):
        reading.choose(Path("-"), "pyshark")


@pytest.mark.parametrize("obstacle", ["python", "tshark", "import", "loop"])
def test_auto_goes_on_without_pyshark(obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyshark does not work, and saying so when it was asked for."""
    capture = write_pcap(tmp_path / "small.pcap", PACKETS)
    if obstacle == "python":
        monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    elif obstacle == "tshark":
        monkeypatch.setattr(tshark, "_version", lambda _: (4, 6))
    elif obstacle == "import":
        monkeypatch.setitem(sys.modules, "mn_dsmip.check.reading.pyshark_reader", None)
        monkeypatch.delattr(reading, "pyshark_reader", raising=False)
    if obstacle == "loop":
        import asyncio

        async def inside() -> list[str]:
            return [reading.choose(capture), *kinds(capture, "auto")]

        assert asyncio.run(inside()) == ["tshark", *KINDS]
        return
    assert reading.choose(capture) == "tshark"
    with pytest.raises(TraceError, match=r"^pyshark (does not work|cannot be loaded).*: use --reader tshark$"):
        reading.choose(capture, "pyshark")


@pytest.mark.parametrize("reader", READERS)
def test_bulk_stays_inside_tshark(reader: str, tmp_path: Path) -> None:
    """Of TCP only the begin and the end come out; frame numbers are those of the capture."""
    flags = [0x02, 0x12, 0x10, 0x18, 0x18, 0x11, 0x04]
    capture = write_pcap(tmp_path / "tcp.pcap", [tcp(one) for one in flags])
    found = [dissect(one) for one in reading.read(capture, Keys(), reader)]
    assert [(one.frame, one.get("tcp")) for one in found if one] == [(1, "syn"), (2, "syn"), (6, "fin"), (7, "rst")]


def test_lines_that_are_not_what_was_asked_for() -> None:
    line = "\t".join(["7", "1.5", "eth:ipv6", *[""] * (len(COLUMNS) - 3)])
    packet = packet_of(line + "\n")
    assert (packet.frame, packet.time, packet.protocols, packet.cells) == (7, 1.5, ("eth", "ipv6"), {})
    for wrong in ("", "\t", line + "\t", line.replace("7", "x", 1), line.replace("1.5", "", 1), line[:-1]):
        with pytest.raises(TraceError, match="^tshark: "):
            packet_of(wrong)


def test_times_of_newer_tsharks() -> None:
    line = "\t".join(["7", "2026-11-23T14:00:00.123456789Z", "eth", *[""] * (len(COLUMNS) - 3)])
    assert packet_of(line).time == pytest.approx(1_795_442_400.123456, abs=1e-6)


def test_reading_is_streaming(tmp_path: Path) -> None:
    """The first packets come out while the rest of the capture is not even written."""
    script = (
        "import sys; from pathlib import Path; from mn_dsmip.check import reading\n"
        "from mn_dsmip.check.reading.keys import Keys\n"
        "for one in reading.read(Path('-'), Keys()): print(one.frame, flush=True)"
    )
    content = write_pcap(tmp_path / "x.pcap", [ping(number) for number in range(2_000)]).read_bytes()
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(content)
        process.stdin.flush()
        started = time.monotonic()
        assert process.stdout.readline() == b"1\n"
        assert time.monotonic() - started < 10
        process.stdin.close()
        assert process.stdout.read().endswith(b"2000\n")
