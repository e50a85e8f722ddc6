# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark with the dissector against tshark without it, on the same captures of 200,000 packets.

The captures repeat the frames of those in captures/, with user data between them: one with 65 % signalling, one with
2 %. All variants run in turn; the best of the rounds counts. With and without key tables; without them the dissector
makes no field extractors. Memory is tshark's own highest, with and without the dissector on a capture of many
sessions: the difference, shared out, is what a session costs. A budget that is missed is marked and ends with 1.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.check.damage import read_pcapng  # noqa: E402  # the clone's packages are on the path only now

SCRIPT = ROOT / "dissectors" / "dsmip.lua"
PACKETS, ROUNDS = 200_000, 3
TABLES = ("esp_sa", "ikev2_decryption_table", "dsmip_auth_keys")
FIELDS: tuple[str, ...] = (
    "frame.number",
    "frame.time_epoch",
    "ipv6.src",
    "ipv6.dst",
    "isakmp.exchangetype",
    "isakmp.messageid",
)
FIELDS += ("mip6.mhtype", "mip6.bu.seqnr", "mip6.ba.status", "dns.qry.name", "esp.spi", "udp.dstport")
# Octets of user data: IPv6 and UDP to a port that nobody dissects; its checksum is not looked at.
USER_DATA = bytes.fromhex("020000000001 020000000002 86dd 60000000 00d0 11 40")
USER_DATA += bytes.fromhex("20010db8000100010000000000000100 20010db8002000000000000000000001 c350 c351 00d0 1234")
USER_DATA += bytes(200)
SESSIONS = 2000


class Budget(NamedTuple):
    """The highest ratio to tshark alone, of the packet list and of `-T fields`."""

    share: float
    keys: bool
    summary: float
    fields: float


BUDGETS = (Budget(0.65, True, 2.0, 1.25), Budget(0.02, True, 1.65, 1.15), Budget(0.65, False, 1.35, 1.15))


def shipped() -> list[bytes]:
    files = sorted((ROOT / "captures").glob("*/trace.pcapng"))
    return [octets for file in files for _, octets in read_pcapng(file.read_bytes())]


def mixed(share: float) -> Iterator[bytes]:
    """Signalling as `share` of the packets, evenly between user data."""
    signalling, taken = shipped(), 0
    for number in range(PACKETS):
        if taken < (number + 1) * share:
            yield signalling[taken % len(signalling)]
            taken += 1
        else:
            yield USER_DATA


def attaches(sessions: int) -> Iterator[bytes]:
    """The same attach again and again, each with IKE SPIs of its own: as many sessions."""
    data = (ROOT / "captures" / "attach" / "trace.pcapng").read_bytes()
    frames = [octets for _, octets in read_pcapng(data)]
    for number in range(sessions):
        for frame in frames:
            yield renumbered(frame, number)


def renumbered(frame: bytes, number: int) -> bytes:
    """An IKE message in IPv6 and UDP gets other SPIs; anything else stays."""
    ike = 14 + 40 + 8
    if frame[20] != 17 or 500 not in struct.unpack_from("!HH", frame, 54):
        return frame
    initiator, responder = struct.unpack_from("!QQ", frame, ike)
    spis = struct.pack("!QQ", initiator ^ number, responder ^ number if responder else 0)
    return frame[:ike] + spis + frame[ike + 16 :]


def write(file: Path, frames: Iterator[bytes]) -> Path:
    """A capture of `frames`, 1 ms apart; one that is there stays."""
    if file.exists():
        return file
    with file.with_suffix(".part").open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(frames):
            seconds, milliseconds = divmod(number, 1000)
            out.write(struct.pack("<IIII", 1_800_000_000 + seconds, milliseconds * 1000, len(frame), len(frame)))
            out.write(frame)
    return file.with_suffix(".part").rename(file)


def configuration(folder: Path, keys: bool) -> Path:
    """A configuration of its own, with all captures' key tables or empty."""
    made = folder / ("keys" if keys else "empty")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for table in TABLES if keys else ():
        texts = [file.read_text() for file in sorted((ROOT / "captures").glob(f"*/wireshark/{table}"))]
        (made / table).write_text("\n".join(texts))
    if keys:
        shutil.copy(ROOT / "captures" / "attach" / "wireshark" / "preferences", made)
    return made


def tshark(capture: Path, home: Path, options: Sequence[str]) -> None:
    environment = os.environ | {"HOME": str(home), "WIRESHARK_CONFIG_DIR": str(home)}
    words = ["tshark", "-n", "-r", str(capture), *options]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=True)


def ratio(capture: Path, home: Path, output: Sequence[str]) -> tuple[float, float]:
    """Seconds without the dissector, and how many times as long it takes with it; best of alternating rounds."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for loaded in (False, True):
            options = [*output, "-X", f"lua_script:{SCRIPT}"] if loaded else output
            begun = time.perf_counter()
            tshark(capture, home, options)
            best[loaded] = min(best[loaded], time.perf_counter() - begun)
    return best[0], best[1] / best[0]


def compare(folder: Path, budget: Budget) -> bool:
    """Prints the two ratios; whether they keep to the budget."""
    capture = write(folder / f"{budget.share:.2f}.pcap", mixed(budget.share))
    home = configuration(folder, budget.keys)
    name = f"{budget.share:.0%} signalling, {'keys' if budget.keys else 'no keys'}"
    kept = True
    fields = ["-T", "fields", *(word for field in FIELDS for word in ("-e", field))]
    for output, options, most in (("packet list", [], budget.summary), ("-T fields", fields, budget.fields)):
        seconds, times = ratio(capture, home, options)
        verdict = "" if times <= most else "   MISSED"
        print(f"{name:<26}{output:<13}{seconds:>6.2f} s alone   {times:.2f} times with it, budget {most:.2f}{verdict}")
        kept = kept and times <= most
    return kept


def highest(capture: Path, home: Path, options: Sequence[str]) -> int:
    """Octets of memory that tshark held at most, measured in a child of this process that runs nothing else."""
    if (child := os.fork()) == 0:
        tshark(capture, home, options)
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"tshark failed on {capture}")
    return usage.ru_maxrss * 1024


def memory(folder: Path) -> None:
    home, load = configuration(folder, True), ["-X", f"lua_script:{SCRIPT}"]
    few, many = (write(folder / f"{n}-attaches.pcap", attaches(n)) for n in (1, SESSIONS))
    added = {capture: highest(capture, home, load) - highest(capture, home, []) for capture in (few, many)}
    growth = (added[many] - added[few]) / (SESSIONS - 1)
    print(f"memory: {growth / 1024:.1f} KiB a session ({SESSIONS} of 21 packets), beside tshark's own")


def main() -> int:
    folder = Path(tempfile.gettempdir()) / f"mn-dsmip-bench-dissector-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    kept = [compare(folder, budget) for budget in BUDGETS]
    memory(folder)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
