# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checker knows of a trace: packets as a reader delivers them, and the messages found in them.

`Packet` is all that a reader hands on; `Message` is all that flows and rules look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Union

Value = Union[bool, int, str, "tuple[Value, ...]"]
JOINT = "\udcff"  # between the values of one field: the octet 0xff, which no text in UTF-8 has

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


class Packet:
    """One captured frame: its number from 1, its time in seconds since 1970, its protocols outermost first.

    `cells` has the displayed values of each field that is there, several joined by `JOINT`; `columns` has the same
    with the values apart. They are those of `tshark -T fields`, in the order of tshark's tree. What belongs together
    follows from counts and types, not from positions.
    """

    __slots__ = ("cells", "frame", "protocols", "time")

    def __init__(self, frame: int, time: float, protocols: tuple[str, ...], cells: dict[str, str]) -> None:
        self.frame, self.time, self.protocols, self.cells = frame, time, protocols, cells

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        return {name: tuple(text.split(JOINT)) for name, text in self.cells.items()}

    def all(self, name: str) -> list[str]:
        """Every value of a field, in the order of the tree."""
        text = self.cells.get(name)
        return text.split(JOINT) if text else []

    def text(self, name: str) -> str:
        """The first value of a field, or nothing."""
        return self.cells.get(name, "").split(JOINT, 1)[0]

    def number(self, name: str) -> int:
        """The first value of a field that is a number; 0 when missing."""
        text = self.cells.get(name)
        return number_of(text.split(JOINT, 1)[0]) if text else 0

    def numbers(self, name: str) -> list[int]:
        text = self.cells.get(name)
        return [number_of(one) for one in text.split(JOINT)] if text else []

    def flag(self, name: str) -> bool:
        return self.number(name) != 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packet):
            return NotImplemented
        mine, its = (self.frame, self.time, self.protocols), (other.frame, other.time, other.protocols)
        return mine == its and self.cells == other.cells

    __hash__ = None  # type: ignore[assignment]  # compared in tests, never kept in sets

    def __repr__(self) -> str:
        return f"Packet({self.frame}, {self.time}, {':'.join(self.protocols)}, {self.columns})"


def number_of(text: str) -> int:
    """A number as tshark shows it: decimal, hexadecimal, or (from 4.2 on) a truth value; 0 for anything else."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return int(text, 16) if text.startswith("0x") else int(text == "True")
    except ValueError:
        return 0


@dataclass(frozen=True)
class Message:
    """One message of the protocols we judge.

    `source` and `destination` are those of the outermost IP header. `hidden` says why the content could not be seen
    ("" when it was). `content` is equal for two messages exactly when the second repeats the first octet by octet
    ("" for kinds that are not sent again as they were). `point` is the interface and the hop limit or TTL that the
    packet was captured with.
    """

    kind: str
    frame: int
    time: float
    source: str
    destination: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    hidden: str = ""
    content: str = field(default="", repr=False)
    point: tuple[int, int] = field(default=(0, 0), repr=False)

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
