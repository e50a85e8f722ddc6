# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way to make one IKE payload wrong: its body before and after."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Named = Iterator[tuple[str, bytes]]
REDIRECT = 16407
OTHER6 = bytes.fromhex("20010db80bad00000000000000000bad")
SA, KE, ID_I, ID_R, AUTH, NONCE, NOTIFY, DELETE, TS_I, TS_R, CP, EAP = (
    33, 34, 35, 36, 39, 40, 41, 42, 44, 45, 47, 48,
)  # fmt: skip


def payload_edits(kind: int, body: bytes) -> Named:
    """Names and changed bodies; what has no field of its own is left alone."""
    edits = EDITS.get(kind)
    return iter(()) if edits is None else edits(body)


def _key_exchange(body: bytes) -> Named:
    yield "group", b"\0\x05" + body[2:]


def _identity(body: bytes) -> Named:
    yield "type", b"\x0b" + body[1:]
    yield "data", body[:4] + b"x" + body[5:]


def _authentication(body: bytes) -> Named:
    yield "method", bytes([1 if body[0] != 1 else 2]) + body[1:]
    yield "method_null", b"\x0d" + body[1:]


def _nonce(body: bytes) -> Named:
    yield "short", body[:8]


def _notify(body: bytes) -> Named:
    yield "type", body[:2] + struct.pack("!H", 40000) + body[4:]
    yield "error", body[:2] + struct.pack("!H", 14) + body[4:]
    if len(body) > 8:
        yield "data", body[:8] + bytes(len(body) - 8)
    if struct.unpack_from("!H", body, 2)[0] == REDIRECT:
        yield "nonce", body + bytes(range(32))


def _delete(body: bytes) -> Named:
    del body
    yield "esp", bytes.fromhex("03040001c0000002")


def _proposal(body: bytes) -> Named:
    yield "protocol", body[:5] + bytes([4 - body[5] or 2]) + body[6:]
    size = body[6]
    if size:
        yield "spi", body[:8] + bytes([body[8] ^ 0x77]) + body[9:]
    at = 8 + size
    while at + 8 <= len(body):
        length, kind, number = struct.unpack_from("!HBxH", body, at + 2)
        yield f"transform_{kind}_{number}", body[: at + 6] + struct.pack("!H", 1) + body[at + 8 :]
        at += length


def _selectors(body: bytes) -> Named:
    wide = body[4] == 8
    size = 16 if wide else 4
    yield "protocol", body[:5] + b"\x11" + body[6:]
    yield "port", body[:8] + b"\x05\0\x05\0" + body[12:]
    other = OTHER6[:size]
    yield "address", body[:12] + other + other + body[12 + 2 * size :]
    yield "wider", body[:12] + bytes(size) + b"\xff" * size + body[12 + 2 * size :]


def _configuration(body: bytes) -> Named:
    yield "type", bytes([3 - body[0] if body[0] < 3 else 1]) + body[1:]
    at = 4
    while at + 4 <= len(body):
        kind, size = struct.unpack_from("!HH", body, at)
        value = body[at + 4 : at + 4 + size]
        rest = body[at + 4 + size :]
        yield f"attribute_{kind}.missing", body[:at] + rest
        yield f"attribute_{kind}.unknown", body[:at] + struct.pack("!H", 99) + body[at + 2 :]
        if kind == 16 and size == 21:
            yield "attribute_16.lifetime", body[: at + 4] + bytes(3) + b"\x04" + value[4:] + rest
            yield "attribute_16.prefix", body[: at + 8] + OTHER6[:8] + value[12:] + rest
            yield "attribute_16.length", body[: at + 24] + b"\x30" + rest
            second = body[at : at + 8] + OTHER6[:8] + bytes(8) + b"\x40"
            yield "attribute_16.twice", body + second
        elif size >= 16:
            yield f"attribute_{kind}.address", body[: at + 4] + OTHER6 + value[16:] + rest
        at += 4 + size


def _eap(body: bytes) -> Named:
    yield "code", bytes([4 if body[0] != 4 else 3]) + body[1:]
    yield "identifier", body[:1] + bytes([body[1] ^ 0x40]) + body[2:]
    if len(body) > 5:
        yield "type", body[:4] + b"\x0d" + body[5:]
        yield "subtype", body[:5] + bytes([2 if body[5] == 1 else 1]) + body[6:]
        yield "notification", body[:5] + b"\x0c" + body[6:]


EDITS: dict[int, Callable[[bytes], Named]] = {
    SA: _proposal,
    KE: _key_exchange,
    ID_I: _identity,
    ID_R: _identity,
    AUTH: _authentication,
    NONCE: _nonce,
    NOTIFY: _notify,
    DELETE: _delete,
    TS_I: _selectors,
    TS_R: _selectors,
    CP: _configuration,
    EAP: _eap,
}
