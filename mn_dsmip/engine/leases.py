# SPDX-License-Identifier: GPL-2.0-or-later
"""Home network prefixes and IPv4 home addresses: who holds which, and who gets it back.

A lease belongs to a subscriber and an APN (TS 23.402 4.7.1: one prefix a PDN connection). It is given to nobody else
while it is held. After its release the pool still remembers the former holder and prefers units that nobody ever had,
so that a returning subscriber finds its old prefix as long as the pool is not exhausted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Generic, TypeVar

HOME_PREFIX_LENGTH = 64
"""Stateless address autoconfiguration needs a /64 (TS 23.402 4.7.1, RFC 4862 5.5.3)."""

Unit = TypeVar("Unit", bound=Hashable)
Holder = tuple[str, str]
"""Subscriber (IMSI) and APN."""


class Pool(Generic[Unit]):
    """Hands out units, each to at most one holder; every operation is O(1), also with 65,536 prefixes."""

    def __init__(self, units: Iterable[Unit], reserved: Iterable[Unit] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._fresh = iter(units)
        self._held: dict[Holder, Unit] = {}
        self._holder: dict[Unit, Holder] = {}
        self._remembered: OrderedDict[Unit, Holder] = OrderedDict()  # released units, longest released first
        self._former: dict[Holder, Unit] = {}

    def __len__(self) -> int:
        return len(self._held)

    def remember(self, holder: Holder, unit: Unit) -> None:
        """Note that ``holder`` had ``unit`` before this process started."""
        if unit not in self._holder and unit not in self._reserved:
            self._remembered[unit] = holder
            self._former[holder] = unit

    def take(self, holder: Holder, static: Unit | None = None, wanted: Unit | None = None) -> Unit | None:
        """Give ``holder`` a unit: the one it holds, its static one, its former one, a fresh one, the longest released.

        A unit of this pool that is ``wanted`` goes before a fresh one, unless it is held or remembered for somebody
        else. Returns ``None`` when the pool is exhausted, or when somebody else holds the static unit.
        """
        if (held := self._held.get(holder)) is not None:
            return held
        unit = static if static is not None else self._choose(holder, wanted)
        if unit is None or unit in self._holder:
            return None
        self._forget(unit)
        self._held[holder] = unit
        self._holder[unit] = holder
        return unit

    def release(self, holder: Holder) -> None:
        """End a lease; the unit stays remembered for its former holder until somebody else needs it."""
        unit = self._held.pop(holder, None)
        if unit is None:
            return
        del self._holder[unit]
        if unit not in self._reserved:
            self.remember(holder, unit)

    def held_by(self, holder: Holder) -> Unit | None:
        """The unit that ``holder`` holds now."""
        return self._held.get(holder)

    def holder_of(self, unit: Unit) -> Holder | None:
        """Who holds ``unit`` now."""
        return self._holder.get(unit)

    def _choose(self, holder: Holder, wanted: Unit | None) -> Unit | None:
        former = self._former.get(holder)
        if former is not None:
            return former
        if wanted is not None and not (
            wanted in self._holder or wanted in self._reserved or wanted in self._remembered
        ):
            return wanted
        for unit in self._fresh:
            if unit not in self._holder and unit not in self._reserved and unit not in self._remembered:
                return unit
        return next(iter(self._remembered), None)

    def _forget(self, unit: Unit) -> None:
        former = self._remembered.pop(unit, None)
        if former is not None and self._former.get(former) == unit:
            del self._former[former]


def prefix_pool(pool: IPv6Network, reserved: Iterable[IPv6Network] = ()) -> Pool[IPv6Network]:
    """A pool of /64 home network prefixes out of ``pool``; ``ValueError`` when it is narrower than a /64."""
    if pool.prefixlen > HOME_PREFIX_LENGTH:
        raise ValueError(f"{pool} is narrower than the /64 that a home network prefix needs")
    return Pool(pool.subnets(new_prefix=HOME_PREFIX_LENGTH), reserved)


def address_pool(pool: IPv4Network, reserved: Iterable[IPv4Address] = ()) -> Pool[IPv4Address]:
    """A pool of IPv4 home addresses out of ``pool``, without its network and broadcast addresses."""
    return Pool(pool.hosts(), reserved)
