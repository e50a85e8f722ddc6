# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about IPv4 access: UDP where there is a NAT and nowhere else, port 4500, keepalives (RFC 5555 4, 5)."""

from __future__ import annotations

from collections.abc import Iterator

from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.rules.rule import Check, check, rule
from mn_dsmip.check.session import Session

NO_KEEPALIVE = 0xFFFFFFFF  # refresh time of option 31: there is no NAT (RFC 5555 3.2.2)
NATKATIMEOUT = 110  # seconds (RFC 5555 6), where option 31 says 0
IKE_PORT, NAT_T_PORT, DSMIPV6_PORT = 500, 4500, 4191
DELAY = 1.0  # seconds that a packet may take longer on its way than the one before
IPV4 = 4


def _is_ipv4(address: str) -> bool:
    return "." in address and ":" not in address


def _tells_nat(answer: Message) -> bool | None:
    """What an accepting acknowledgement says of NATs: data in UDP or not; None when it says nothing."""
    if answer.number("status") >= FIRST_REJECTING_STATUS or not answer.flag("nat_detection"):
        return None
    return answer.flag("nat_force_udp") or answer.number("nat_refresh") != NO_KEEPALIVE


@rule("NAT-DATA", "RFC 5555 4.2, 4.4.2", "data over IPv4 is in UDP behind a NAT, and only there", sees="mobility")
def data_encapsulation(session: Session) -> Iterator[Check]:
    """Without a NAT protocols 41 and 4 carry the data; behind one nothing but UDP gets through."""
    behind: bool | None = None
    for message in session.of("binding_acknowledgement", "tunnelled"):
        if message.kind == "binding_acknowledgement":
            told = _tells_nat(message)
            behind = behind if told is None else told
        elif behind is not None and message.get("outer_version") == IPV4:
            expected = "in UDP: the home agent found a NAT" if behind else "not in UDP: there is no NAT"
            found = "in UDP" if message.flag("udp") else "not in UDP"
            yield check(message, "udp", expected, found, holds=message.flag("udp") == behind)


@rule("NAT-FOUND", "RFC 5555 4.2, 4.5", "the home agent finds the NAT that there is", sees="mobility")
def nat_detected(session: Session) -> Iterator[Check]:
    """Where the source address of the packet differs from the care-of address inside, somebody changed it on the way.
    A capture on the UE's side of the NAT cannot show that."""
    for answer in session.of("binding_acknowledgement"):
        update, told = session.update_of(answer), _tells_nat(answer)
        care_of = update.text("ipv4_care_of_address") if update else ""
        if update is not None and told is not None and care_of and update.source != care_of:
            wanted = f"a NAT: {update.source} is not {care_of}"
            yield check(answer, "nat_refresh", wanted, "a NAT" if told else "no NAT", holds=told)


@rule("NAT-KEEPALIVE", "RFC 5555 4.3", "the path through the NAT is kept open", severity="note", sees="mobility")
def keepalives(session: Session) -> Iterator[Check]:
    """The UE sends something through the NAT at least every refresh time. Bulk data does not show in what is judged,
    so a longer silence may be none."""
    interval: float | None = None
    last: Message | None = None
    for message in session.messages:
        if message.kind == "binding_acknowledgement" and (told := _tells_nat(message)) is not None:
            interval = (message.number("nat_refresh") or NATKATIMEOUT) if told else None
            interval = None if interval == NO_KEEPALIVE or not message.number("lifetime") else interval
        if message.get("destination_port") != DSMIPV6_PORT or not message.flag("udp"):
            continue
        if interval is not None and last is not None:
            passed = message.time - last.time
            yield check(message, "time", f"within {interval} s", f"{passed:.1f} s", holds=passed <= interval + DELAY)
        last = message


@rule("NAT-PORT", "RFC 5555 3.1, 4.2", "Binding Updates over IPv4 go to port 4191", sees="mobility")
def update_port(session: Session) -> Iterator[Check]:
    """They always go in UDP, so that every one of them shows whether there is a NAT."""
    for update in session.of("binding_update"):
        if update.flag("udp") or _is_ipv4(update.source):
            port = update.get("destination_port")
            yield check(update, "destination_port", DSMIPV6_PORT, port, holds=port == DSMIPV6_PORT)


@rule("IKE-4500", "RFC 5555 5, RFC 7296 2.23", "over IPv4 IKE goes on at port 4500", severity="warning")
def ike_port(session: Session) -> Iterator[Check]:
    """When both ends can traverse NATs, IKE_AUTH and what follows use port 4500 in IPv4 access, NAT or not."""
    able: set[tuple[str, bool]] = set()
    for message in session.messages:
        if not message.is_ike or not _is_ipv4(message.source):
            continue
        spi = message.text("spi_i")
        if message.kind == "ike_sa_init":
            if message.flag("nat_detection"):
                able.add((spi, message.flag("response")))
        elif {(spi, True), (spi, False)} <= able:
            port = message.number("destination_port" if message.flag("from_initiator") else "source_port")
            yield check(message, "port", NAT_T_PORT, port, holds=port == NAT_T_PORT)
