# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage a capture: change what is inside the encryption and seal it again, drop, repeat, move and rebuild frames.

    trace = Damaged.load(Path("trace.pcapng"), Path("wireshark"))
    update = trace.mobility(5)[0]                       # frames by Mobility Header type
    trace.edit_mobility(update, set_sequence(7))        # opened, edited, checksum and ICV made right again
    trace.save(Path("damaged.pcapng"))

It works on any capture of ours that comes with its key folder, and uses nothing of the agents nor of the checker.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from pathlib import Path

from tests.check.packets import checksum, pseudo
from tests.check.seal import IkeKeys, Key, open_esp, read_esp_table, read_ike_table, seal_esp

ETHERNET = 14
HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, UDP, ESP, MOBILITY = 0, 43, 60, 17, 50, 135
HOME_ADDRESS_OPTION = 0xC9
IKE_PORTS = (500, 4500)
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6

Payloads = list[tuple[int, bytes]]


@dataclass
class Record:
    """One captured frame; `number` is that in the capture as it was."""

    number: int
    time: float
    data: bytes


@dataclass(frozen=True)
class Located:
    """Where things are in one IPv6 packet: next header, its offset, and the addresses that its end points see."""

    protocol: int
    offset: int
    source: IPv6Address
    destination: IPv6Address
    home_source: IPv6Address
    home_destination: IPv6Address


def locate(data: bytes) -> Located | None:
    """Walk through the extension headers of an Ethernet frame with IPv6; None for anything else."""
    if data[12:14] != b"\x86\xdd":
        return None
    source, destination = IPv6Address(data[22:38]), IPv6Address(data[38:54])
    home_source, home_destination = source, destination
    protocol, offset = data[20], ETHERNET + 40
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS):
        size = 8 * (data[offset + 1] + 1)
        if protocol == ROUTING and data[offset + 2] == 2:
            home_destination = IPv6Address(data[offset + 8 : offset + 24])
        elif protocol == DESTINATION_OPTIONS:
            at = data.find(bytes([HOME_ADDRESS_OPTION, 16]), offset, offset + size)
            home_source = IPv6Address(data[at + 2 : at + 18]) if at >= 0 else home_source
        protocol, offset = data[offset], offset + size
    return Located(protocol, offset, source, destination, home_source, home_destination)


class Damaged:
    """A capture that can be changed; frames are named by their numbers in the original."""

    def __init__(self, records: list[Record], ike: dict[tuple[bytes, bytes], IkeKeys], esp: dict[int, Key]) -> None:
        self.records = records
        self.ike_keys = ike
        self.esp_keys = esp

    @classmethod
    def load(cls, capture: Path, keys: Path) -> Damaged:
        records = [Record(index, *one) for index, one in enumerate(read_pcapng(capture.read_bytes()), 1)]
        return cls(records, read_ike_table(keys / "ikev2_decryption_table"), read_esp_table(keys / "esp_sa"))

    def save(self, capture: Path) -> Path:
        capture.write_bytes(write_pcapng([(one.time, one.data) for one in self.records]))
        return capture

    # -- finding

    def frame(self, number: int) -> Record:
        return next(one for one in self.records if one.number == number)

    def mobility(self, kind: int) -> list[int]:
        """Numbers of the frames with a Mobility Header of that type inside ESP."""
        return [one.number for one in self.records if (found := self._opened(one)) and found[1][2] == kind]

    def ike(self, exchange: int, response: bool) -> list[int]:
        """Numbers of the frames with an IKE message of that exchange type."""
        found = ((one.number, self._ike(one)) for one in self.records)
        return [number for number, m in found if m and m[18] == exchange and bool(m[19] & 0x20) is response]

    def tunnelled(self) -> list[int]:
        """Numbers of the frames with an IP packet inside IPv6."""
        found = ((one.number, locate(one.data)) for one in self.records)
        return [number for number, place in found if place and place.protocol in (4, 41)]

    def ports(self, port: int) -> list[int]:
        found = ((one.number, one.data, locate(one.data)) for one in self.records)
        return [
            number
            for number, data, place in found
            if place and place.protocol == UDP and port in struct.unpack_from("!HH", data, place.offset)
        ]

    def _opened(self, record: Record) -> tuple[Located, bytes] | None:
        place = locate(record.data)
        if place is None or place.protocol != ESP:
            return None
        packet = record.data[place.offset :]
        key = self.esp_keys.get(int.from_bytes(packet[:4], "big"))
        if key is None:
            return None
        _, payload, next_header = open_esp(key, packet)
        return (place, payload) if next_header == MOBILITY else None

    def _ike(self, record: Record) -> bytes | None:
        place = locate(record.data)
        if place is None or place.protocol != UDP:
            return None
        ports = struct.unpack_from("!HH", record.data, place.offset)
        return record.data[place.offset + 8 :] if set(ports) & set(IKE_PORTS) else None

    # -- whole frames

    def drop(self, *numbers: int) -> None:
        self.records = [one for one in self.records if one.number not in numbers]

    def repeat(self, number: int, after: float = 0.001) -> None:
        record = self.frame(number)
        copy = replace(record, number=-number, time=record.time + after)
        self.records.insert(self.records.index(record) + 1, copy)

    def insert(self, after: int, packet: bytes) -> None:
        """A packet of one's own (from its IPv6 header on) right after a frame."""
        record = self.frame(after)
        ether = record.data[:12] + b"\x86\xdd"
        place = self.records.index(record) + 1
        self.records.insert(place, Record(-after, record.time + 0.0001, ether + packet))

    def move(self, number: int, after: int) -> None:
        """Let a frame come right after another one."""
        record = self.frame(number)
        self.records.remove(record)
        other = self.frame(after)
        record.time = other.time + 0.0001
        self.records.insert(self.records.index(other) + 1, record)

    def cut_before(self, number: int) -> None:
        """A capture that begins with this frame."""
        self.records = self.records[self.records.index(self.frame(number)) :]

    # -- inside

    def edit_mobility(
        self,
        number: int,
        edit: Callable[[bytearray], None] = lambda header: None,
        *,
        spi: int | None = None,
        esp_sequence: int | None = None,
        fix: bool = True,
    ) -> None:
        """Change a Mobility Header inside its ESP, or the SA it is sent on; `fix` makes the checksum right again."""
        record = self.frame(number)
        opened = self._opened(record)
        assert opened is not None, f"frame {number} holds no Mobility Header in ESP"
        place, payload = opened
        header = bytearray(payload)
        edit(header)
        if fix:
            mobility_checksum(header, place.home_source, place.home_destination)
        packet = record.data[place.offset :]
        old_spi, old_sequence = struct.unpack_from("!II", packet)
        used = old_spi if spi is None else spi
        iv, _, _ = open_esp(self.esp_keys[old_spi], packet)
        sequence = old_sequence if esp_sequence is None else esp_sequence
        sealed = seal_esp(self.esp_keys[used], used, sequence, iv, bytes(header), MOBILITY)
        self._replace(record, place.offset, sealed)

    def edit_home_address(self, number: int, home_address: IPv6Address) -> None:
        """Another home address in the option (or the routing header), and the checksum over it made right."""
        record = self.frame(number)
        place = locate(record.data)
        assert place is not None
        old = place.home_source if place.home_source != place.source else place.home_destination
        record.data = record.data.replace(old.packed, home_address.packed)
        self.edit_mobility(number)

    def edit_ike(self, number: int, edit: Callable[[Payloads], Payloads]) -> None:
        """Change the payloads inside SK and seal them again with the same IV."""
        record = self.frame(number)
        place, message = locate(record.data), self._ike(record)
        assert place is not None and message is not None, f"frame {number} holds no IKE message"
        keys = self.ike_keys[message[:8], message[8:16]]
        first, iv, data = keys.open(message)
        first, data = join_payloads(edit(split_payloads(first, data)))
        sealed = keys.seal(message[:28], first, iv, data)
        udp = record.data[place.offset : place.offset + 4] + struct.pack("!HH", 8 + len(sealed), 0) + sealed
        total = checksum(pseudo(place.source, place.destination, len(udp), UDP) + udp) or 0xFFFF
        self._replace(record, place.offset, udp[:6] + struct.pack("!H", total) + udp[8:])

    def edit_bytes(self, number: int, edit: Callable[[bytearray], None]) -> None:
        """Change a frame as it is, without making anything right."""
        record = self.frame(number)
        data = bytearray(record.data)
        edit(data)
        record.data = bytes(data)

    @staticmethod
    def _replace(record: Record, offset: int, payload: bytes) -> None:
        size = struct.pack("!H", offset - ETHERNET - 40 + len(payload))
        record.data = record.data[: ETHERNET + 4] + size + record.data[ETHERNET + 6 : offset] + payload


def mobility_checksum(header: bytearray, source: IPv6Address, destination: IPv6Address) -> None:
    """Write the right checksum into a Mobility Header."""
    header[4:6] = b"\0\0"
    header[4:6] = struct.pack("!H", checksum(pseudo(source, destination, len(header), MOBILITY) + bytes(header)))


def split_payloads(first: int, data: bytes) -> Payloads:
    found = []
    while first:
        following, _, size = struct.unpack_from("!BBH", data)
        found.append((first, data[4:size]))
        first, data = following, data[size:]
    return found


def join_payloads(payloads: Payloads) -> tuple[int, bytes]:
    data = b""
    for index, (_, body) in enumerate(payloads):
        following = payloads[index + 1][0] if index + 1 < len(payloads) else 0
        data += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    return (payloads[0][0] if payloads else 0), data


# --- what edit_mobility takes ---------------------------------------------------------------------------------------


def write(offset: int, layout: str, value: int) -> Callable[[bytearray], None]:
    return lambda header: struct.pack_into(layout, header, offset, value)


def set_sequence(kind: int, value: int) -> Callable[[bytearray], None]:
    """Sequence number of a Binding Update (5) or Acknowledgement (6)."""
    return write(6 if kind == 5 else 8, "!H", value)


def set_lifetime(value: int) -> Callable[[bytearray], None]:
    return write(10, "!H", value)


def set_flags(value: int) -> Callable[[bytearray], None]:
    """The flags word of a Binding Update."""
    return write(8, "!H", value)


def clear_flag(mask: int) -> Callable[[bytearray], None]:
    def edit(header: bytearray) -> None:
        struct.pack_into("!H", header, 8, struct.unpack_from("!H", header, 8)[0] & ~mask)

    return edit


def set_flag(mask: int) -> Callable[[bytearray], None]:
    def edit(header: bytearray) -> None:
        struct.pack_into("!H", header, 8, struct.unpack_from("!H", header, 8)[0] | mask)

    return edit


def set_status(value: int) -> Callable[[bytearray], None]:
    return write(6, "!B", value)


def blank_option(kind: int) -> Callable[[bytearray], None]:
    """Turn a mobility option into padding of the same size."""

    def edit(header: bytearray) -> None:
        at, size = find_option(header, kind)
        header[at : at + 2 + size] = bytes([1, size]) + bytes(size)

    return edit


def write_option(kind: int, offset: int, value: bytes) -> Callable[[bytearray], None]:
    """Change octets of a mobility option, counted from its type."""

    def edit(header: bytearray) -> None:
        at, _ = find_option(header, kind)
        header[at + offset : at + offset + len(value)] = value

    return edit


def find_option(header: bytearray, kind: int) -> tuple[int, int]:
    at = 12
    while at < len(header):
        if header[at] == 0:
            at += 1
            continue
        if header[at] == kind:
            return at, header[at + 1]
        at += 2 + header[at + 1]
    raise AssertionError(f"no mobility option {kind}")


# --- files ----------------------------------------------------------------------------------------------------------


def read_pcapng(data: bytes) -> Iterator[tuple[float, bytes]]:
    """Time and octets of each Enhanced Packet Block, of captures in either byte order."""
    order, resolutions, at = "<", [], 0
    while at < len(data):
        kind = struct.unpack_from("<I", data, at)[0]
        if kind == SECTION:
            order, resolutions = ("<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"), []
        kind, size = struct.unpack_from(f"{order}II", data, at)
        body = data[at + 8 : at + size - 4]
        if kind == INTERFACE:
            resolutions.append(_resolution(body[8:], order))
        elif kind == PACKET:
            interface, high, low, captured, _ = struct.unpack_from(f"{order}IIIII", body)
            yield (high << 32 | low) * resolutions[interface], body[20 : 20 + captured]
        at += size


def _resolution(options: bytes, order: str) -> float:
    """Seconds per tick: option 9, else microseconds."""
    at = 0
    while at + 4 <= len(options):
        kind, size = struct.unpack_from(f"{order}HH", options, at)
        if kind == 9:
            value = options[at + 4]
            return 2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value
        at += 4 + size + -size % 4
    return 1e-6


def write_pcapng(records: list[tuple[float, bytes]]) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack("!II", kind, 12 + len(body)) + body + struct.pack("!I", 12 + len(body))

    data = block(SECTION, struct.pack("!IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(INTERFACE, struct.pack("!HHI", 1, 0, 0))
    for time, octets in records:
        ticks = round(time * 1_000_000)
        head = struct.pack("!IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets))
        data += block(PACKET, head + octets)
    return data
