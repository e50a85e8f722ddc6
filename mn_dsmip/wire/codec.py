# SPDX-License-Identifier: GPL-2.0-or-later
"""Declared messages: frozen dataclasses whose fields say how they look on the wire, compiled once a class.

::

    @message
    class BindingRefreshAdvice:
        interval: int = u16()

    BindingRefreshAdvice.parse(b"\\x01\\xc2").interval   # 450
    BindingRefreshAdvice(450).build()                   # b"\\x01\\xc2"

Fields follow each other without gaps; ``lead`` and ``spare`` count reserved octets before and after a field (``spare``
bits after a bit field) that are written as zero and ignored when read. Only the last field may be of variable length.
Reading is strict: too few octets and octets left over are a ``WireError``. Every class gets ``parse`` and ``build``.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform as dataclass_transform  # noqa: PLC0414  # exported
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        return lambda decorator: decorator


class WireError(ValueError):
    """The bytes do not parse; the text says what was read and where it went wrong."""


@dataclass(frozen=True)
class Kind:
    """How one field looks: a ``struct`` format, and source for reading (``{}`` is the raw value) and writing it."""

    code: str
    load: str = "{}"
    dump: str = "{}"
    bits: int = 0
    spare: int = 0
    lead: int = 0
    names: tuple[tuple[str, object], ...] = ()
    """What ``load`` and ``dump`` refer to."""


def _declare(kind: Kind, default: object) -> Any:  # a field specifier stands where the field's own type is expected
    options: dict[str, Any] = {} if default is dataclasses.MISSING else {"default": default}
    return dataclasses.field(metadata={"kind": kind}, **options)


def _integer(code: str, enum: type[IntEnum] | None, spare: int, default: object, lead: int = 0) -> Any:
    if enum is None:
        return _declare(Kind(code, spare=spare, lead=lead), default)
    known = {int(member): member for member in enum}
    name = f"_{enum.__name__}"
    return _declare(
        Kind(code, load=f"{name}({{0}}, {{0}})", spare=spare, lead=lead, names=((name, known.get),)), default
    )


def u8(
    enum: type[IntEnum] | None = None, *, spare: int = 0, lead: int = 0, default: object = dataclasses.MISSING
) -> Any:
    """An octet; with ``enum`` a known number becomes its member, an unknown one stays a number."""
    return _integer("B", enum, spare, default, lead)


def u16(enum: type[IntEnum] | None = None, *, spare: int = 0, default: object = dataclasses.MISSING) -> Any:
    """Two octets, big endian."""
    return _integer("H", enum, spare, default)


def u32(enum: type[IntEnum] | None = None, *, spare: int = 0, default: object = dataclasses.MISSING) -> Any:
    """Four octets, big endian."""
    return _integer("I", enum, spare, default)


def u64(*, default: object = dataclasses.MISSING) -> Any:
    """Eight octets, big endian."""
    return _integer("Q", None, 0, default)


def bit(*, spare: int = 0, default: object = dataclasses.MISSING) -> Any:
    """One bit as a ``bool``; successive bit fields, most significant first, and their spare bits fill whole octets."""
    return _declare(Kind("", load="bool({})", bits=1, spare=spare), default)


def bits(width: int, *, spare: int = 0, default: object = dataclasses.MISSING) -> Any:
    """A number of ``width`` bits among successive bit fields."""
    return _declare(Kind("", bits=width, spare=spare), default)


def fixed(length: int, *, lead: int = 0, default: object = dataclasses.MISSING) -> Any:
    """Exactly ``length`` octets as ``bytes``; other lengths are refused when building."""
    name = f"_exactly_{length}"
    return _declare(Kind(f"{length}s", dump=f"{name}({{}})", lead=lead, names=((name, _exactly(length)),)), default)


def ipv4(*, lead: int = 0, default: object = dataclasses.MISSING) -> Any:
    """An ``IPv4Address``."""
    names = (("_IPv4Address", IPv4Address),)
    return _declare(Kind("4s", "_IPv4Address({})", "{}.packed", lead=lead, names=names), default)


def ipv6(*, default: object = dataclasses.MISSING) -> Any:
    """An ``IPv6Address``."""
    return _declare(Kind("16s", "_IPv6Address({})", "{}.packed", names=(("_IPv6Address", IPv6Address),)), default)


def rest(
    parse: Callable[[bytes], Any] | None = None,
    build: Callable[[Any], bytes] | None = None,
    *,
    default: object = dataclasses.MISSING,
) -> Any:
    """All up to the end, for the last field: ``bytes``, or what ``parse`` makes of them and ``build`` writes."""
    if parse is None or build is None:
        return _declare(Kind("*"), default)
    number = next(_serial)
    names = ((f"_parse_{number}", parse), (f"_build_{number}", build))
    return _declare(Kind("*", f"{names[0][0]}({{}})", f"{names[1][0]}({{}})", names=names), default)


def text(*, default: object = dataclasses.MISSING) -> Any:
    """UTF-8 text up to the end; undecodable octets are a ``WireError``."""
    return rest(_decode, str.encode, default=default)


_serial: Iterator[int] = iter(range(1_000_000))


def _exactly(length: int) -> Callable[[bytes], bytes]:
    def check(value: bytes) -> bytes:
        if len(value) != length:
            raise ValueError(f"{len(value)} octets where {length} belong")
        return value

    return check


def _fit(value: int, largest: int) -> int:
    if not 0 <= value <= largest:
        raise ValueError(f"{value} where 0 to {largest} belong")
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"text is not UTF-8 at octet {error.start}") from None


Class = TypeVar("Class", bound=type)


def message(cls: Class) -> Class:
    """Make ``cls`` a frozen dataclass with ``parse`` and ``build`` compiled from its declared fields."""
    made: Any = dataclass(frozen=True, slots=True)(cls)
    layout = _Layout(made)
    scope = layout.names
    exec(layout.source(), scope)  # the same way dataclasses makes __init__
    made.parse = classmethod(scope["parse"])
    made.build = scope["build"]
    made.fixed_length = layout.struct.size
    return made  # type: ignore[no-any-return]  # a class made at run time


@dataclass_transform(
    frozen_default=True, field_specifiers=(u8, u16, u32, u64, bit, bits, fixed, ipv4, ipv6, rest, text)
)
class Message:
    """The calls that ``message`` adds, for the type checker; the declared classes inherit from it."""

    __slots__ = ()
    fixed_length: int
    """Octets before the variable last field."""

    if TYPE_CHECKING:
        Own = TypeVar("Own", bound="Message")

        @classmethod
        def parse(cls: type[Own], data: bytes) -> Own: ...

        def build(self) -> bytes: ...


class _Layout:
    """The source of one class's ``parse`` and ``build``."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.names: dict[str, Any] = {"WireError": WireError, "struct_error": struct.error, "_fit": _fit}
        self.format, self.loads, self.dumps, self.raw = "!", [], [], []  # type: ignore[var-annotated]
        self.tail: tuple[str, Kind] | None = None
        fields = [(field.name, field.metadata["kind"]) for field in dataclasses.fields(cls)]
        while fields:
            if fields[0][1].bits:
                self._add_bits(fields)
            else:
                self._add(*fields.pop(0))
        self.struct = struct.Struct(self.format)
        self.names |= {"unpack": self.struct.unpack_from, "pack": self.struct.pack}

    def _add(self, name: str, kind: Kind) -> None:
        if self.tail:
            raise TypeError(f"{self.cls.__name__}.{name} follows a field of variable length")
        self.names |= dict(kind.names)
        if kind.code == "*":
            self.tail = (name, kind)
            return
        self.format += "x" * kind.lead + kind.code + "x" * kind.spare
        self.raw.append(f"r_{name}")
        self.loads.append(kind.load.format(f"r_{name}"))
        self.dumps.append(kind.dump.format(f"self.{name}"))

    def _add_bits(self, fields: list[tuple[str, Kind]]) -> None:
        """One word of successive bit fields: as many as it takes to fill whole octets."""
        group: list[tuple[str, Kind]] = []
        width = 0
        while fields and fields[0][1].bits and (width % 8 or width not in (8, 16, 32)):
            group.append(fields.pop(0))
            width += group[-1][1].bits + group[-1][1].spare
        code = {8: "B", 16: "H", 32: "I"}.get(width)
        if code is None:
            raise TypeError(f"the bit fields of {self.cls.__name__} fill {width} bits, not 8, 16 or 32")
        word = f"w_{group[0][0]}"
        self.format += code
        self.raw.append(word)
        shift, parts = width, []
        for name, kind in group:
            shift -= kind.bits
            mask = (1 << kind.bits) - 1
            self.loads.append(kind.load.format(f"({word} >> {shift} & {mask})"))
            parts.append(f"(self.{name} & 1) << {shift}" if kind.bits == 1 else f"_fit(self.{name}, {mask}) << {shift}")
            shift -= kind.spare
        self.dumps.append(" | ".join(parts))

    def source(self) -> str:
        size, name = self.struct.size, self.cls.__name__
        loads, raw = list(self.loads), ", ".join(self.raw)
        compare, tail = "!=", ""
        if self.tail:
            attribute, kind = self.tail
            loads.append(kind.load.format(f"data[{size}:]"))
            compare, tail = "<", f" + {kind.dump.format(f'self.{attribute}')}"
        wanted = f"{size} or more" if self.tail else str(size)
        unpack = f"    {raw}, = unpack(data)\n" if raw else ""
        return (
            f"def parse(cls, data):\n"
            f"    if len(data) {compare} {size}:\n"
            f"        raise WireError(f'{name} of {{len(data)}} octets, {wanted} expected')\n"
            f"{unpack}"
            f"    return cls({', '.join(loads)})\n"
            f"def build(self):\n"
            f"    try:\n"
            f"        return pack({', '.join(self.dumps)}){tail}\n"
            f"    except struct_error as error:\n"
            f"        raise ValueError(f'{name}: {{error}}') from None\n"
        )


class Reader:
    """A bounds-checked cursor for what declared fields cannot say: lists, lengths, alternatives."""

    __slots__ = ("data", "end", "position", "what")

    def __init__(self, data: bytes, what: str, position: int = 0) -> None:
        self.data = data
        self.what = what
        self.position = position
        self.end = len(data)

    def __bool__(self) -> bool:
        return self.position < self.end

    def take(self, length: int) -> bytes:
        """The next ``length`` octets; ``WireError`` when there are fewer."""
        begin, self.position = self.position, self.position + length
        if length < 0 or self.position > self.end:
            raise WireError(f"{self.what}: {length} octets needed at octet {begin}, {self.end - begin} left")
        return self.data[begin : self.position]

    def number(self, length: int) -> int:
        """The next ``length`` octets as an unsigned integer."""
        return int.from_bytes(self.take(length), "big")

    def finish(self) -> None:
        """``WireError`` when anything is left."""
        if self:
            raise WireError(f"{self.what}: {self.end - self.position} octets left over at octet {self.position}")
