# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checker knows of a trace: packets as a reader delivers them, and the messages found in them.

`Packet` is all that a reader (`trace.py`) hands on; `Message` is all that flows and rules look at. A second reader
only has to yield the same packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Union

Value = Union[bool, int, str, "tuple[Value, ...]"]

# Kinds of messages that carry the Mobility Header, by MH type (RFC 6275 6.1, RFC 5142, RFC 5846).
MOBILITY_KINDS = {
    0: "binding_refresh_request",
    1: "home_test_init",
    2: "care_of_test_init",
    3: "home_test",
    4: "care_of_test",
    5: "binding_update",
    6: "binding_acknowledgement",
    7: "binding_error",
    12: "home_agent_switch",
    16: "binding_revocation",
}
# Kinds of IKE messages, by exchange type (RFC 7296 3.1).
IKE_KINDS = {34: "ike_sa_init", 35: "ike_auth", 36: "create_child_sa", 37: "informational"}


class Field(NamedTuple):
    """One field of tshark's tree: its name, displayed and raw value (hex), and where its octets lie."""

    name: str
    show: str
    value: str
    position: int
    size: int


@dataclass(frozen=True)
class Layer:
    """One protocol layer of a packet with its fields in the order of their octets."""

    name: str
    fields: tuple[Field, ...]

    def all(self, name: str) -> list[Field]:
        return [item for item in self.fields if item.name == name]

    def first(self, name: str) -> Field | None:
        return next((item for item in self.fields if item.name == name), None)

    def text(self, name: str) -> str:
        """The displayed value of the first field of that name, or nothing."""
        found = self.first(name)
        return found.show if found else ""

    def number(self, name: str) -> int | None:
        found = self.first(name)
        return int(found.show, 0) if found and found.show else None

    def flag(self, name: str) -> bool:
        return bool(self.number(name))


@dataclass(frozen=True)
class Packet:
    """One captured frame: its number from 1, its time in seconds since 1970, its layers outermost first."""

    frame: int
    time: float
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Message:
    """One message of the protocols we judge.

    `source` and `destination` are those of the outermost IP header. `hidden` says why the content could not be seen
    ("" when it was). `content` is equal for two messages exactly when the second repeats the first octet by octet.
    """

    kind: str
    frame: int
    time: float
    source: str
    destination: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    hidden: str = ""
    content: str = field(default="", repr=False)

    def get(self, name: str) -> Value | None:
        """A field's value; None when the message has none of that name."""
        own: dict[str, Value] = {"source": self.source, "destination": self.destination}
        return own.get(name, self.fields.get(name))

    def number(self, name: str) -> int:
        """A field that is known to be a number; 0 when missing."""
        value = self.fields.get(name)
        return value if isinstance(value, int) else 0

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def items(self, name: str) -> tuple[Value, ...]:
        """A field that is a list, empty when missing."""
        value = self.fields.get(name)
        return value if isinstance(value, tuple) else ()

    def numbers(self, name: str) -> list[int]:
        """The numbers of a field that is a list."""
        return [one for one in self.items(name) if isinstance(one, int)]

    def flag(self, name: str) -> bool:
        return bool(self.fields.get(name))

    @property
    def is_ike(self) -> bool:
        return self.kind in IKE_KINDS.values()

    @property
    def is_mobility(self) -> bool:
        return self.kind in MOBILITY_KINDS.values() or self.kind == "mobility"


def flatten(value: Value | None) -> Iterator[Value]:
    """The elements of a list, or the one value there is."""
    if isinstance(value, tuple):
        yield from value
    elif value is not None:
        yield value
