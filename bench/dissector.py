# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark with the dissector against tshark without it, on the same captures of 200,000 packets.

The captures hold thousands of sessions (copies.py): one with 65 % signalling and one with 2 %, the rest user data; with
key tables, and without any. All variants run in turn and the best of the rounds counts, in seconds of the processor
(user and system): other work on the machine changes those less than the clock's. A budget that is missed is marked and
ends with 1. Beside it stands the floor: what the least that a plugin in Lua can do costs in this tshark, a function
around the dissectors in question that appends a constant to the Info column (and, with keys, one field that it asks
for). Wireshark looks for the keys of an IKE message from the start of the table, row by row: with thousands of SAs that
is a good part of its own time.

Two more lines have no budget: `-T fields` that does ask for fields of ours, and memory: tshark's own highest, with and
without the dissector on a capture of one and of many sessions; the difference, shared out, is what a session costs.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.copies import Copies  # noqa: E402  # the clone's packages are on the path only now

SCRIPT = ROOT / "dissectors" / "dsmip.lua"
PACKETS, ROUNDS = 200_000, 3
FIELDS: tuple[str, ...] = (
    "frame.number",
    "frame.time_epoch",
    "ipv6.src",
    "ipv6.dst",
    "isakmp.exchangetype",
    "isakmp.messageid",
)
FIELDS += ("mip6.mhtype", "mip6.bu.seqnr", "mip6.ba.status", "dns.qry.name", "esp.spi", "udp.dstport")
OURS = ("dsmip.session", "dsmip.step", "dsmip.info")
# Octets of user data: IPv6 and UDP to a port that nobody dissects; its checksum is not looked at.
USER_DATA = bytes.fromhex("020000000001 020000000002 86dd 60000000 00d0 11 40")
USER_DATA += bytes.fromhex("20010db8000100010000000000000100 20010db8002000000000000000000001 c350 c351 00d0 1234")
USER_DATA += bytes(200)
SESSIONS, ATTACH_PACKETS = 2000, 17  # packets of one that are signalling

FLOOR = """
local function around(pattern_table, pattern, name)
  local dissectors, proto = DissectorTable.get(pattern_table), Proto(name, name)
  local original = dissectors:get_dissector(pattern)
  if not original then return end
  local call = original.call
  function proto.dissector(tvb, pinfo, tree)
    call(original, tvb, pinfo, tree)
    pinfo.cols.info:append(" | S2c step 3/9: IKE_AUTH request")
    return tvb:len()
  end
  dissectors:set(pattern, proto)
end
for _, place in ipairs({ { "ip.proto", 135 }, { "ip.proto", 50 }, { "udp.port", 500 }, { "udp.port", 4500 },
  { "udp.port", 4191 }, { "udp.port", 53 } }) do
  around(place[1], place[2], ("floor%d"):format(place[2]))
end
"""
FLOOR_WITH_KEYS = FLOOR + 'local field = Field.new("isakmp.enc.decrypted")\n'


class Budget(NamedTuple):
    """The highest ratio to tshark alone, of the packet list and of `-T fields`."""

    share: float
    keys: bool
    summary: float
    fields: float


BUDGETS = (Budget(0.65, True, 2.0, 1.25), Budget(0.02, True, 1.65, 1.15), Budget(0.65, False, 1.35, 1.15))


def mixed(copies: Copies, share: float) -> Iterator[bytes]:
    """Signalling as `share` of the packets, evenly between user data."""
    signalling, taken = copies.frames(), 0
    for number in range(PACKETS):
        if taken < (number + 1) * share:
            yield next(signalling)
            taken += 1
        else:
            yield USER_DATA


def write(file: Path, frames: Iterator[bytes]) -> Path:
    """A capture of `frames`, 1 ms apart."""
    with file.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(frames):
            seconds, milliseconds = divmod(number, 1000)
            out.write(struct.pack("<IIII", 1_800_000_000 + seconds, milliseconds * 1000, len(frame), len(frame)))
            out.write(frame)
    return file


def configuration(made: Path, copies: Copies | None) -> Path:
    """A configuration of its own, with the key tables of the sessions that were copied, or empty."""
    made.mkdir()
    if copies:
        for table, text in copies.tables().items():
            (made / table).write_text(text)
        shutil.copy(ROOT / "captures" / "rfc4285" / "wireshark" / "dsmip_auth_keys", made)
        shutil.copy(ROOT / "captures" / "attach" / "wireshark" / "preferences", made)
    return made


def tshark(capture: Path, home: Path, options: Sequence[str]) -> tuple[float, int]:
    """Seconds of the processor and octets of memory that tshark takes."""
    environment = os.environ | {"HOME": str(home), "WIRESHARK_CONFIG_DIR": str(home)}
    words = ["tshark", "-n", "-r", str(capture), *options]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"tshark failed on {capture}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def load(script: Path) -> list[str]:
    return ["-X", f"lua_script:{script}"]


def seconds(capture: Path, home: Path, variants: Sequence[Sequence[str]]) -> list[float]:
    """The least seconds of each variant, in rounds of all."""
    best = [float("inf")] * len(variants)
    for _ in range(ROUNDS):
        for number, options in enumerate(variants):
            best[number] = min(best[number], tshark(capture, home, options)[0])
    return best


def asking(fields: Sequence[str]) -> list[str]:
    return ["-T", "fields", *(word for field in fields for word in ("-e", field))]


class Subject(NamedTuple):
    """A capture, the configuration it is read with, the floor's script, and what it is called."""

    capture: Path
    home: Path
    floor: Path
    name: str


def compare(subject: Subject, budget: Budget) -> bool:
    """Prints the ratios; whether they keep to the budget."""
    floor, ours, fields = load(subject.floor), load(SCRIPT), asking(FIELDS)
    alone, least, full = seconds(subject.capture, subject.home, ([], floor, ours))
    plain, full_fields, full_ours = seconds(
        subject.capture, subject.home, (fields, [*fields, *ours], [*fields, *asking(OURS)[2:], *ours])
    )
    show(subject.name, "packet list", alone, full / alone, budget.summary, f", floor {least / alone:.2f}")
    show(subject.name, "-T fields", plain, full_fields / plain, budget.fields)
    print(f"{'':<26}and with {', '.join(OURS)}: {full_ours / plain:.2f} times")
    return full / alone <= budget.summary and full_fields / plain <= budget.fields


def show(name: str, output: str, base: float, times: float, most: float, more: str = "") -> None:
    verdict = "" if times <= most else "   MISSED"
    print(f"{name:<26}{output:<13}{base:>6.2f} s alone   {times:.2f} times with it, budget {most:.2f}{more}{verdict}")


def subjects(folder: Path) -> Iterator[tuple[Subject, Budget]]:
    """The captures of the budgets, made anew."""
    cases = sorted(file.parent for file in (ROOT / "captures").glob("*/trace.pcapng"))
    empty = configuration(folder / "empty", None)
    floors = folder / "floor.lua", folder / "floor-with-keys.lua"
    for script, text in zip(floors, (FLOOR, FLOOR_WITH_KEYS), strict=True):
        script.write_text(text)
    made: dict[float, tuple[Path, Path]] = {}
    for budget in BUDGETS:
        if budget.share not in made:
            copies = Copies(cases)
            capture = write(folder / f"{budget.share:.2f}.pcap", mixed(copies, budget.share))
            made[budget.share] = capture, configuration(folder / f"keys-{budget.share:.2f}", copies)
        capture, keys = made[budget.share]
        name = f"{budget.share:.0%} signalling, {'keys' if budget.keys else 'no keys'}"
        yield Subject(capture, keys if budget.keys else empty, floors[budget.keys], name), budget


def memory(folder: Path) -> None:
    added = []
    for sessions in (1, SESSIONS):
        copies = Copies([ROOT / "captures" / "attach"])
        frames = islice(copies.frames(), sessions * ATTACH_PACKETS)
        capture = write(folder / f"{sessions}-attaches.pcap", frames)
        home = configuration(folder / f"keys-{sessions}", copies)
        both = ([], load(SCRIPT)), (asking(FIELDS), [*asking(OURS), *load(SCRIPT)])
        added.append([tshark(capture, home, full)[1] - tshark(capture, home, alone)[1] for alone, full in both])
    words, fields = ((many - few) / (SESSIONS - 1) / 1024 for few, many in zip(*added, strict=True))
    print(f"memory: {words:.1f} KiB a session for the packet list, {fields:.1f} KiB where fields of ours are shown")
    print(f"        ({SESSIONS} attaches of {ATTACH_PACKETS} packets, beside tshark's own)")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-bench-dissector-") as name:
        folder = Path(name)
        kept = [compare(subject, budget) for subject, budget in subjects(folder)]
        memory(folder)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
