# SPDX-License-Identifier: GPL-2.0-or-later
"""Write what one interface sees to a pcapng file: `python3 -IS pcapng.py INTERFACE FILE [READY_FD]`.

Runs alone, on the standard library, as a child in a node's namespace. Why not dumpcap: it hands packets over in blocks
and drops the last one when it is stopped, and the end of a trace is where the de-registration is; tcpdump, which can
do without blocks, does not write pcapng. Ended by SIGTERM, this writes every packet seen until then.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import socket
import struct
import sys
import time
from typing import BinaryIO

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; its message carries a timespec
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6  # <linux/if_packet.h>: packets and drops since the last question
TIMESPEC = struct.Struct("@ll")
STATISTICS = struct.Struct("=II")

RECEIVE_BUFFER = 32 << 20  # octets, for bursts
SNAP_LENGTH = 262144  # octets; nothing is longer
TURN = 2048  # packets read before the file is flushed

LINKTYPE_ETHERNET = 1
SECTION_HEADER, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, ENHANCED_PACKET = 0x0A0D0D0A, 1, 5, 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
OPTION_END, OPTION_NAME, OPTION_TIME_RESOLUTION, OPTION_OS = 0, 2, 9, 12
OPTION_APPLICATION, OPTION_DROPPED = 4, 5
NANOSECONDS = b"\x09"  # ten to the power of minus nine


class PcapngWriter:
    """One section with one interface, little-endian like most machines (draft-ietf-opsawg-pcapng)."""

    def __init__(self, file: BinaryIO, interface: str, application: str) -> None:
        self.file = file
        self.latest = 0
        self._block(
            SECTION_HEADER,
            struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + _options((OPTION_APPLICATION, application.encode())),
        )
        self._block(
            INTERFACE_DESCRIPTION,
            struct.pack("<HHI", LINKTYPE_ETHERNET, 0, SNAP_LENGTH)
            + _options(
                (OPTION_NAME, interface.encode()),
                (OPTION_TIME_RESOLUTION, NANOSECONDS),
                (OPTION_OS, f"{platform.system()} {platform.release()}".encode()),
            ),
        )

    def packet(self, data: bytes, nanoseconds: int) -> None:
        """Append a packet; two processors may stamp neighbours the wrong way round, but a trace's times only grow."""
        self.latest = max(self.latest, nanoseconds)
        head = struct.pack("<IIIII", 0, self.latest >> 32, self.latest & 0xFFFFFFFF, len(data), len(data))
        self._block(ENHANCED_PACKET, head + _padded(data))

    def end(self, dropped: int) -> None:
        """Say how many packets the kernel could not keep for us."""
        head = struct.pack("<III", 0, self.latest >> 32, self.latest & 0xFFFFFFFF)
        self._block(INTERFACE_STATISTICS, head + _options((OPTION_DROPPED, struct.pack("<Q", dropped))))

    def _block(self, kind: int, body: bytes) -> None:
        length = len(body) + 12
        self.file.write(struct.pack("<II", kind, length) + body + struct.pack("<I", length))


def _options(*options: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return body + struct.pack("<HH", OPTION_END, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def open_tap(interface: str) -> socket.socket:
    """A packet socket that sees both directions of `interface`, with the kernel's time stamps."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: hears nothing before it is bound
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    tap.bind((interface, ETH_P_ALL))
    tap.setblocking(False)
    return tap


def copy(tap: socket.socket, writer: PcapngWriter, limit: int) -> bool:
    """Write up to `limit` waiting packets; False when no more wait."""
    room = socket.CMSG_SPACE(TIMESPEC.size)
    for _ in range(limit):
        try:
            data, extra, _, _ = tap.recvmsg(SNAP_LENGTH, room)
        except BlockingIOError:
            return False
        except OSError:  # said once when the interface goes down or away; what waits behind it comes with later calls
            return False
        seconds, nanoseconds = TIMESPEC.unpack(extra[0][2]) if extra else divmod(time.time_ns(), 10**9)
        writer.packet(data, seconds * 10**9 + nanoseconds)
    return True


def capture(interface: str, file: BinaryIO, ready: int | None) -> None:
    """Copy packets until SIGTERM, then those that are still waiting."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tap = open_tap(interface)
    writer = PcapngWriter(file, interface, "mn-dsmip")
    file.flush()
    if ready is not None:
        os.write(ready, b"ready\n")
        os.close(ready)
    stopping = False
    while not stopping:
        readable, _, _ = select.select([tap.fileno(), wake], [], [])
        stopping = wake in readable
        while copy(tap, writer, TURN):
            pass
        file.flush()
    _, dropped = STATISTICS.unpack(tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, STATISTICS.size))
    writer.end(dropped)


def main(arguments: list[str]) -> None:
    interface, path, *ready = arguments
    with open(path, "wb") as file:
        capture(interface, file, int(ready[0]) if ready else None)


if __name__ == "__main__":
    main(sys.argv[1:])
