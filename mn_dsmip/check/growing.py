# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture that is still being written: a copy of its whole packets, and whether its writer has finished it.

tshark takes a file that ends within a packet for damaged, so it gets to read only what is whole. A pcapng file that
ends with interface statistics is finished: our captures end so, and those of dumpcap. A pcap file has no such mark.
"""

from __future__ import annotations

import struct
from pathlib import Path

PCAPNG, PCAPNG_HEADER, PCAP_HEADER, PCAP_RECORD = 0x0A0D0D0A, 12, 24, 16
INTERFACE_STATISTICS = 5
BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
PCAP_MAGICS = {
    bytes.fromhex("a1b2c3d4"): ">",
    bytes.fromhex("a1b23c4d"): ">",
    bytes.fromhex("d4c3b2a1"): "<",
    bytes.fromhex("4d3cb2a1"): "<",
}
LARGEST = 1 << 26  # octets of one packet or block; more is damage
CHUNK = 1 << 22


class GrowingError(ValueError):
    """The file is no capture that can be read while it grows; the message says why."""


class Growing:
    """`copy` gets every whole packet that `source` has so far, at each `update`."""

    def __init__(self, source: Path, copy: Path) -> None:
        self.source, self.copy = source, copy
        self.ended = False
        self._at = 0  # octets copied
        self._order = ""
        self._is_pcap = False

    def update(self) -> bool:
        """Copy what has become whole; whether there was anything."""
        if not self.source.exists():
            return False
        with self.source.open("rb") as file, self.copy.open("ab") as copy:
            file.seek(self._at)
            before = self._at
            while data := file.read(CHUNK):
                whole = self._whole(data)
                if not whole and len(data) == CHUNK:
                    raise GrowingError(f"a packet of more than {CHUNK} octets")
                copy.write(data[:whole])
                self._at += whole
                file.seek(self._at)
                if not whole:
                    break
        return self._at > before

    def _whole(self, data: bytes) -> int:
        """How many octets of this are whole blocks or records."""
        at = self._begin(data) if not self._at else 0
        if not self._order:
            return 0
        while size := self._size(data, at):
            if at + size > len(data):
                break
            self.ended = not self._is_pcap and self._number(data, at) == INTERFACE_STATISTICS
            at += size
        return at

    def _begin(self, data: bytes) -> int:
        """Find out what kind of file this is; the length of a pcap header."""
        if len(data) < PCAP_HEADER:
            return 0
        if data[:4] in PCAP_MAGICS:
            self._order, self._is_pcap = PCAP_MAGICS[data[:4]], True
            return PCAP_HEADER
        if int.from_bytes(data[:4], "big") == PCAPNG and data[8:12] in BYTE_ORDERS:
            self._order = BYTE_ORDERS[data[8:12]]
            return 0
        raise GrowingError("neither pcapng nor pcap: only these can be followed")

    def _size(self, data: bytes, at: int) -> int:
        """The length of the block or record here; 0 when not enough of it is there to tell."""
        if len(data) - at < (PCAP_RECORD if self._is_pcap else PCAPNG_HEADER):
            return 0
        if self._is_pcap:
            size = PCAP_RECORD + self._number(data, at + 8)
        else:
            if int.from_bytes(data[at : at + 4], "big") == PCAPNG and data[at + 8 : at + 12] in BYTE_ORDERS:
                self._order = BYTE_ORDERS[data[at + 8 : at + 12]]  # a new section may have another order
            size = self._number(data, at + 4)
        if size < PCAPNG_HEADER or size > LARGEST:
            raise GrowingError(f"damaged at octet {self._at + at}: a length of {size}")
        return size

    def _number(self, data: bytes, at: int) -> int:
        (number,) = struct.unpack_from(f"{self._order}I", data, at)
        return int(number)
