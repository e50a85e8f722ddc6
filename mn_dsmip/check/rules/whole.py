# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that compare the UEs of one capture with each other: what one holds nobody else may hold at the same time."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.context import Assignment
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session


def _owner(session: Session) -> str:
    """Who a PDN connection belongs to: a UE may set it up anew before the former is closed."""
    identity = next((one.text("id_i") for one in session.of("ike_auth") if one.get("id_i")), "")
    return f"{identity} {session.apn}" if identity else f"UE {session.number}"


def _assign(session: Session, what: str, first: float) -> Assignment | None:
    new = Assignment(_owner(session), session.number, first, session.messages[-1].time)
    return session.context.assign(f"{session.home_agent} {what}", new)


@rule("HNP-UNIQUE", "TS 23.402 6.3, 4.7.4", "a home network prefix has one UE", sees="ike")
def unique_home_prefix(session: Session) -> Iterator[Check]:
    """Two UEs with one prefix would get each other's packets."""
    for message in session.of("ike_auth"):
        if message.get("cfg_type") == "reply":
            for prefix in message.items("home_prefixes"):
                other = _assign(session, str(prefix), message.time)
                found = f"also that of UE {other.session}" if other else "nobody else's"
                yield check(message, "home_prefixes", f"{prefix} for this UE alone", found, holds=other is None)


@rule("HOA-UNIQUE", "RFC 6275 10.3.1, RFC 5555 4.5", "a home address has one UE", sees="mobility")
def unique_home_address(session: Session) -> Iterator[Check]:
    """Also an IPv4 home address is nobody else's as long as its binding lasts."""
    for start, end in session.bound:
        last = end.time if end else session.messages[-1].time
        for address in (start.text("home_address"), start.text("ipv4_home_address")):
            if address and address != "0.0.0.0":
                new = Assignment(_owner(session), session.number, start.time, last)
                other = session.context.assign(f"{session.home_agent} bound {address}", new)
                found = f"also that of UE {other.session}" if other else "nobody else's"
                yield check(start, "home_address", f"{address} for this UE alone", found, holds=other is None)


@rule("SPI-UNIQUE", "RFC 4301 4.1, RFC 4303 2.1", "an SPI names one SA of its receiver", sees="ike")
def unique_spi(session: Session) -> Iterator[Check]:
    """The home agent finds the SA by the SPI alone; two with the same would open each other's packets."""
    for child in session.children:
        answer = next(one for one in session.messages if one.frame == child.frame)
        new = Assignment(f"UE {session.number}", session.number, answer.time, session.messages[-1].time)
        other = session.context.assign(f"{session.home_agent} SPI {child.spi_to_ha}", new)
        found = f"also in use by UE {other.session}" if other else "not in use"
        expected = f"0x{child.spi_to_ha:08x} not in use by others"
        yield check(answer, "spis", expected, found, holds=other is None)
