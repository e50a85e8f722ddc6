# SPDX-License-Identifier: GPL-2.0-or-later
"""What was checked, as reports name it: the capture, its keys, how to look at a frame."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mn_dsmip.check.model import Message

TSHARK_OPTIONS = "-o esp.enable_encryption_decode:TRUE -o ipv6.exthdr_under_root_protocol_tree:TRUE"
MANY_FRAMES = 12  # named one by one


@dataclass(frozen=True)
class Source:
    """What was checked, with the paths as the user gave them."""

    capture: Path
    keys: Path | None
    packets: int
    start: float  # time of the first packet, seconds since 1970

    def at(self, message: Message) -> float:
        """Seconds since the first packet."""
        return message.time - self.start

    def name(self, message: Message | None) -> str:
        """A message as sentences name it."""
        if message is None:
            return "no message"
        return f"{message.kind} in frame {message.frame} at {self.at(message):.3f} s"

    def tshark(self, frame: int) -> str:
        """A command line for a shell that shows one frame, decrypted."""
        keys = f"WIRESHARK_CONFIG_DIR={shlex.quote(str(self.keys))} " if self.keys else ""
        capture = shlex.quote(str(self.capture))
        return f"{keys}tshark -n -r {capture} {TSHARK_OPTIONS} -Y 'frame.number == {frame}' -V"


def printable(text: str) -> str:
    """Without what drives a terminal or turns the direction of writing: names on the wire may hold anything."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def frames(numbers: list[int]) -> str:
    """Frame numbers, the first dozen of them."""
    return ", ".join(map(str, numbers[:MANY_FRAMES])) + (", ..." if numbers[MANY_FRAMES:] else "")
