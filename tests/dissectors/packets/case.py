# SPDX-License-Identifier: GPL-2.0-or-later
"""A case: packets built octet by octet and a readable table of what the dissector must say of them.

`expected` maps the number of a frame to the fields that must stand there, with all their values as `tshark -T fields`
prints them; every field named anywhere in a case is absent wherever it is not named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Fields = dict[str, list[str]]


@dataclass(frozen=True)
class Case:
    """Frames, what they are read with, and what must be read."""

    name: str
    frames: list[bytes]
    expected: dict[int, Fields]
    ike_keys: str = ""
    auth_keys: str = ""
    snaplen: int = 262144
    options: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[str]:
        """Every field named in the case."""
        return sorted({name for fields in self.expected.values() for name in fields})
