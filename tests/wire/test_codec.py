# SPDX-License-Identifier: GPL-2.0-or-later
"""Declared messages: what each kind of field reads, writes and refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.wire.codec import (
    Message,
    Reader,
    WireError,
    bit,
    bits,
    fixed,
    ipv4,
    ipv6,
    message,
    rest,
    text,
    u8,
    u16,
    u32,
    u64,
)


class Colour(IntEnum):
    RED = 1
    GREEN = 2


@message
class Everything(Message):
    """One field of each kind; 45 octets and what follows."""

    small: int = u8()
    colour: int = u8(Colour)
    middle: int = u16(spare=2)
    large: int = u32()
    huge: int = u64()
    first: bool = bit()
    second: bool = bit(spare=2)
    number: int = bits(4)
    flag: bool = bit(spare=5)
    length: int = bits(10)
    name: bytes = fixed(3, lead=1)
    home: IPv4Address = ipv4()
    care_of: IPv6Address = ipv6()
    remainder: bytes = rest()


SAMPLE = Everything(
    7,
    Colour.GREEN,
    0x1234,
    0xDEADBEEF,
    2**63,
    True,
    False,
    9,
    True,
    1000,
    b"abc",
    IPv4Address("192.0.2.1"),
    IPv6Address("2001:db8::1"),
    b"rest",
)
OCTETS = bytes.fromhex(
    "07 02 1234 0000 deadbeef 8000000000000000 89 83e8 00 616263 c0000201 20010db8000000000000000000000001 72657374"
)


def test_every_kind_of_field() -> None:
    assert SAMPLE.build() == OCTETS
    assert Everything.parse(OCTETS) == SAMPLE
    assert Everything.fixed_length == len(OCTETS) - 4


def test_types_are_what_the_declaration_says() -> None:
    parsed = Everything.parse(OCTETS)
    assert isinstance(parsed.colour, Colour)
    assert parsed.first is True and parsed.second is False
    unknown = Everything.parse(OCTETS[:1] + b"\x63" + OCTETS[2:])
    assert unknown.colour == 0x63 and not isinstance(unknown.colour, Colour)
    assert unknown.build() == OCTETS[:1] + b"\x63" + OCTETS[2:]


def test_every_truncation_is_refused_by_name() -> None:
    for length in range(Everything.fixed_length):
        with pytest.raises(WireError, match=f"Everything of {length} octets, 45 or more expected"):
            Everything.parse(OCTETS[:length])


def test_reserved_octets_and_bits_are_ignored_and_written_as_zero() -> None:
    dirty = bytearray(OCTETS)
    dirty[4:6] = b"\xff\xff"
    dirty[18] |= 0b0011_0000
    dirty[19] |= 0b0111_1100
    dirty[21] = 0xFF
    assert Everything.parse(bytes(dirty)) == SAMPLE
    assert Everything.parse(bytes(dirty)).build() == OCTETS


@message
class Plain(Message):
    """A message without a variable part."""

    number: int = u16()
    flag: bool = bit(spare=7, default=False)


def test_octets_left_over_are_refused() -> None:
    assert Plain.parse(b"\0\1\x80") == Plain(1, True)
    with pytest.raises(WireError, match="Plain of 4 octets, 3 expected"):
        Plain.parse(b"\0\1\x80\0")


def test_messages_are_frozen_small_values() -> None:
    with pytest.raises(FrozenInstanceError):
        SAMPLE.small = 1
    assert not hasattr(SAMPLE, "__dict__")
    assert len({Plain(1), Plain(1), Plain(2)}) == 2
    assert Plain(1) == Plain(1, False)


@given(
    st.builds(
        Everything,
        st.integers(0, 2**8 - 1),
        st.integers(0, 2**8 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
        st.booleans(),
        st.booleans(),
        st.integers(0, 15),
        st.booleans(),
        st.integers(0, 1023),
        st.binary(min_size=3, max_size=3),
        st.integers(0, 2**32 - 1).map(IPv4Address),
        st.integers(0, 2**128 - 1).map(IPv6Address),
        st.binary(),
    )
)
def test_everything_comes_back(value: Everything) -> None:
    assert Everything.parse(value.build()) == value


def test_what_does_not_fit_is_not_written() -> None:
    values = [getattr(SAMPLE, name) for name in SAMPLE.__dataclass_fields__]
    for place, bad in ((0, 256), (2, 65536), (3, -1), (7, 16), (9, 1024), (9, -1), (10, b"ab"), (10, b"abcd")):
        wrong = list(values)
        wrong[place] = bad
        with pytest.raises(ValueError, match=r"Everything: |where .* belong"):
            Everything(*wrong).build()


@message
class Named(Message):
    """Text, and nothing before it."""

    name: str = text()


def test_text() -> None:
    assert Named.parse("Grüße".encode()) == Named("Grüße")
    assert Named("Grüße").build() == "Grüße".encode()
    with pytest.raises(WireError, match="not UTF-8 at octet 2"):
        Named.parse(b"ab\xff")


def _numbers(data: bytes) -> tuple[int, ...]:
    return tuple(data)


@message
class Listed(Message):
    """A remainder with a reader and a writer of its own."""

    count: int = u8(default=0)
    numbers: tuple[int, ...] = rest(_numbers, bytes, default=())


def test_a_remainder_with_its_own_reader() -> None:
    assert Listed.parse(b"\2\5\6") == Listed(2, (5, 6))
    assert Listed(2, (5, 6)).build() == b"\2\5\6"
    assert Listed().build() == b"\0"


def test_declarations_that_cannot_be_compiled() -> None:
    with pytest.raises(TypeError, match=r"Late\.number follows a field of variable length"):

        @message
        class Late(Message):
            everything: bytes = rest()
            number: int = u8()

    with pytest.raises(TypeError, match="fill 7 bits, not 8, 16 or 32"):

        @message
        class Odd(Message):
            flag: bool = bit(spare=6)
            number: int = u8()


# The reader


def test_a_reader_takes_only_what_is_there() -> None:
    reader = Reader(b"\0\1\2\3\4", "thing")
    assert reader.number(2) == 1 and reader.take(1) == b"\2" and reader
    with pytest.raises(WireError, match="thing: 3 octets needed at octet 3, 2 left"):
        reader.take(3)


def test_a_reader_takes_nothing_backwards() -> None:
    with pytest.raises(WireError):
        Reader(b"abc", "thing").take(-1)


def test_a_reader_names_what_is_left_over() -> None:
    reader = Reader(b"abc", "thing", 1)
    with pytest.raises(WireError, match="thing: 2 octets left over at octet 1"):
        reader.finish()
    reader.take(2)
    reader.finish()
    assert not reader


def test_a_wire_error_is_a_value_error() -> None:
    assert issubclass(WireError, ValueError)
