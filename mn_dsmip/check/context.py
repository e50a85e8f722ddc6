# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session is judged with besides its own messages: keys that Wireshark has no table for, and other sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_ASSIGNMENTS = 10_000  # remembered of sessions that are over; of more the oldest go
MOST_HOLDERS = 4  # earlier holders of one thing that are remembered


@dataclass(frozen=True)
class MobilityKey:
    """A key of RFC 4285; without an identity it is for everybody who uses the SPI."""

    spi: int
    key: bytes = field(repr=False)
    identity: str = ""


@dataclass
class Assignment:
    """Who held an address or prefix, and from when until when, in seconds since 1970."""

    owner: str
    session: int
    first: float
    last: float


@dataclass
class Context:
    """Shared by all sessions of one capture; what is remembered of each is small."""

    mobility_keys: tuple[MobilityKey, ...] = ()
    assignments: dict[str, list[Assignment]] = field(default_factory=dict)

    def key(self, spi: int, *identities: str) -> bytes | None:
        """The key for an SPI, preferably the one for one of these identities."""
        mine = [one for one in self.mobility_keys if one.spi == spi]
        own = [one for one in mine if one.identity and one.identity in identities]
        return next((one.key for one in [*own, *(one for one in mine if not one.identity)]), None)

    def assign(self, what: str, new: Assignment) -> Assignment | None:
        """Remember who holds something; the other session that held it at the same time, if any."""
        held = self.assignments.pop(what, [])
        self.assignments[what] = [*held[-MOST_HOLDERS:], new]
        if len(self.assignments) > MOST_ASSIGNMENTS:
            del self.assignments[next(iter(self.assignments))]
        at_once = (one for one in held if one.first < new.last and new.first < one.last)
        return next((one for one in at_once if one.session != new.session and one.owner != new.owner), None)
