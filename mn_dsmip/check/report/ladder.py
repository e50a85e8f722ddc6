# SPDX-License-Identifier: GPL-2.0-or-later
"""What a ladder diagram shows of one UE: columns for the roles, and rows from top to bottom.

A row is a message, a message that is missing, or a number of packets of user data of which only the first ones are
drawn. Findings stand in the row of their message. Both drawings, the page's and the SVG, are made of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from mn_dsmip.check.flow.language import Flow, Step
from mn_dsmip.check.flow.match import Outcome
from mn_dsmip.check.model import Message
from mn_dsmip.check.numbers import FIRST_REJECTING_STATUS
from mn_dsmip.check.report import words
from mn_dsmip.check.report.findings import Finding, findings, wanted
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.session import Session
from mn_dsmip.check.verdict import Judgement, Record

ACCESS, DISCOVERY, SECURITY, REGISTRATION, BOUND, HANDOVER, DETACH = (
    "Access", "Home agent discovery", "IKEv2 and EAP", "Registration", "Bound", "Handover", "Detach",
)  # fmt: skip
ORDER = (ACCESS, DISCOVERY, SECURITY, REGISTRATION, BOUND, HANDOVER, DETACH)
TITLES = {
    "ue": "UE",
    "ha": "home agent",
    "dns": "DNS",
    "router": "router",
    "peer": "correspondent",
    "gateway": "other gateway",
}
DATA_IN_A_ROW = 8  # packets of user data that are drawn before they are only counted
MAX_ROWS = 400  # of one UE
MAX_COLUMNS = 6


@dataclass(frozen=True)
class Column:
    """One role with the addresses that it had."""

    role: str
    title: str
    addresses: tuple[str, ...]


@dataclass
class Row:
    """One line of the ladder; `start` and `end` are numbers of columns."""

    phase: str
    start: int
    end: int
    name: str
    gist: str = ""
    group: str = "data"
    frame: int | None = None
    time: float | None = None  # seconds since the first packet
    step: str = ""
    repeats: int | None = None  # the frame of which it is a repetition
    missing: bool = False
    more: int = 0  # packets that are only counted
    protection: str = ""
    message: Message | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def severity(self) -> str:
        """The worst of what was found."""
        return next((one.severity for one in self.findings), "")


@dataclass(frozen=True)
class Ladder:
    """The diagram of one UE; `cut` messages at its end are not in it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cut: int = 0

    @property
    def phases(self) -> list[tuple[str, int, int]]:
        """Each stretch of one phase: its name, its first row and the one after its last."""
        found: list[tuple[str, int, int]] = []
        for index, row in enumerate(self.rows):
            if found and found[-1][0] == row.phase:
                found[-1] = (row.phase, found[-1][1], index + 1)
            else:
                found.append((row.phase, index, index + 1))
        return found


def ladder(record: Record, flow: Flow, source: Source) -> Ladder:
    """The diagram of a session that was kept."""
    assert record.judgement is not None
    return _Builder(record, record.judgement, flow, source).ladder()


class _Builder:
    def __init__(self, record: Record, judgement: Judgement, flow: Flow, source: Source) -> None:
        self.record, self.judgement, self.source = record, judgement, source
        self.session = judgement.session
        results = judgement.match.results
        self.steps = {one.message.frame: one.step.name for one in results if one.message}
        self.repeats = {one.frame: other.frame for one, other in judgement.match.repeats}
        self.told: dict[int, list[Finding]] = {}
        self.missing: list[Finding] = []
        for one in findings(record, flow, source):
            if one.frame is not None:
                self.told.setdefault(one.frame, []).append(one)
            elif one.after is not None:
                self.missing.append(one)
        self.wanted = {
            f"step:{one.step.name}": one.step
            for one in results
            if one.outcome is Outcome.MISSING and isinstance(one.step, Step)
        }
        self.columns = _columns(self.session, getattr(judgement.match, "roles", {}))
        self.rows: list[Row] = []

    def ladder(self) -> Ladder:
        shown = [one for one in self.session.messages if self.is_drawn(one)]
        phases = dict(zip([one.frame for one in shown], _phases(shown, self.session), strict=True))
        run = cut = 0
        for message in shown:
            run = run + 1 if self.is_plain_data(message) else 0
            left_out = self.session.left_out.get(message.frame, 0)
            if left_out and run:
                run = max(run, DATA_IN_A_ROW + 1)
            if run > DATA_IN_A_ROW and self.rows:
                self.count(message, left_out + 1)
            elif len(self.rows) < MAX_ROWS:
                self.rows.append(self.row(message, phases[message.frame]))
            else:
                cut += 1
        self.insert_missing()
        return Ladder(self.record.title, tuple(self.columns), tuple(self.rows), cut)

    def is_drawn(self, message: Message) -> bool:
        """Neighbour discovery and the like belong to nobody's flow: they are drawn when something is told of them."""
        beside = message.kind == "plain" and message.text("icmp") in ("other", "") and not message.text("tcp")
        return not beside or message.frame in self.told or message.frame in self.steps

    def is_plain_data(self, message: Message) -> bool:
        noted = message.frame in self.told or message.frame in self.steps
        return words.group(message) == "data" and not noted

    def count(self, message: Message, number: int) -> None:
        last = self.rows[-1]
        if not last.more:
            self.rows.append(Row(last.phase, last.start, last.end, "", group="data", frame=message.frame))
            last = self.rows[-1]
        last.more += number
        last.name = f"{last.more} more packets of user data, frames {last.frame} to {message.frame}"

    def row(self, message: Message, phase: str) -> Row:
        protection = "ESP" if message.flag("protected") or message.kind == "esp" else ""
        protection = "SK" if message.flag("encrypted") else protection
        return Row(
            phase=phase,
            start=self.column(message.source, message),
            end=self.column(message.destination, message),
            name=words.name(message),
            gist=words.gist(message),
            group=words.group(message),
            frame=message.frame,
            time=self.source.at(message),
            step=self.steps.get(message.frame, ""),
            repeats=self.repeats.get(message.frame),
            protection=" ".join(filter(None, (protection, "UDP" if message.flag("udp") else ""))),
            message=message,
            findings=self.told.get(message.frame, []),
        )

    def column(self, address: str, message: Message) -> int:
        for index, one in enumerate(self.columns):
            if address in one.addresses:
                return index
        if message.kind == "router_advertisement" or _is_group(address):
            return 0 if address == message.destination else len(self.columns) - 1
        return 0 if self.session.is_ue(address) else self.role("ha")

    def insert_missing(self) -> None:
        """Each missing message where it was expected: after the last one of the step before it."""
        for one in self.missing:
            place = next(
                (
                    index
                    for index, row in enumerate(self.rows)
                    if row.frame is not None and row.frame > (one.after or 0)
                ),
                len(self.rows),
            )
            step = self.wanted.get(one.ident)
            start, end = (self.role(step.sender), self.role(step.receiver)) if step else (0, len(self.columns) - 1)
            before = self.rows[place - 1] if place else None
            phase = before.phase if before else self.rows[0].phase if self.rows else SECURITY
            name = words.name_of_step(step) if step else one.subject
            gist = wanted(step) if step else ""
            own = one.ident.partition(":")[2]
            self.rows.insert(
                place, Row(phase, start, end, name, gist, "missing", step=own, missing=True, findings=[one])
            )

    def role(self, role: str) -> int:
        roles = [one.role for one in self.columns]
        if role in roles:
            return roles.index(role)
        return 0 if role == "ue" else roles.index("ha")


def _columns(session: Session, roles: dict[str, str]) -> list[Column]:
    """UE first, the home agent behind all that the UE asks before it, correspondents last."""
    ue, ha = _ends(session)
    found: dict[str, list[str]] = {"ue": list(ue), "router": [], "dns": []}
    named = {address: role for role, address in roles.items() if role not in ("ue", "ha")}
    peers: list[str] = []
    for message in session.messages:
        for address in (message.source, message.destination):
            if address in ue or _is_group(address):
                continue
            if address in named:
                found.setdefault(named[address], []).append(address)
            elif address in ha:
                continue
            elif message.kind == "router_advertisement":
                found["router"].append(address)
            elif message.kind == "dns":
                found["dns"].append(address)
            elif message.is_ike:
                found.setdefault("gateway", []).append(address)
            elif words.group(message) == "discovery":
                found.setdefault("server", []).append(address)
            elif message.kind == "plain" and message.text("icmp") not in ("other", ""):
                peers.append(address)
    found["ha"] = list(ha)
    found["peer"] = peers
    columns = [Column(role, TITLES.get(role, role), tuple(dict.fromkeys(own))) for role, own in found.items() if own]
    return columns[: MAX_COLUMNS - 1] + columns[MAX_COLUMNS - 1 :][:1]


def _ends(session: Session) -> tuple[dict[str, None], dict[str, None]]:
    """Every address that the UE and its home agent had, over IPv4 too, in the order of the trace."""
    known = (*sorted(session.home_addresses), *sorted(session.ipv4_home_addresses), *_links(session))
    ue, ha = dict.fromkeys([session.care_of]), dict.fromkeys([session.home_agent])
    abandoned = {one.frame for one in session.abandoned}
    for message in session.messages:
        ends = (message.source, message.destination)
        if message.kind == "binding_acknowledgement" or (message.is_ike and not message.flag("from_initiator")):
            ends = ends[::-1]
        elif message.kind != "binding_update" and not message.is_ike:
            continue
        if message.frame not in abandoned and ends[0] not in ha and ends[1] not in ue:
            ue[ends[0]] = ha[ends[1]] = None
    return ue | dict.fromkeys(known), ha


def _links(session: Session) -> set[str]:
    """Link-local addresses that Router Advertisements were sent to."""
    return {one.destination for one in session.of("router_advertisement") if not _is_group(one.destination)}


def _is_group(address: str) -> bool:
    try:
        own = ip_address(address)
    except ValueError:
        return False
    return own.is_multicast or own.is_unspecified


def _phases(messages: Iterable[Message], session: Session) -> list[str]:
    """The phase that each message is in; what is periodic stays in the phase that it comes in."""
    found, phase, care_of = [], ACCESS, ""
    for message in messages:
        phase = _next_phase(phase, message, care_of)
        if message.kind == "binding_update":
            care_of = message.source
        found.append(phase)
        if message.kind == "binding_acknowledgement" and phase in (REGISTRATION, HANDOVER):
            accepted = message.number("status") < FIRST_REJECTING_STATUS and message.number("lifetime")
            phase = BOUND if accepted else phase
    return found


def _next_phase(phase: str, message: Message, care_of: str) -> str:
    before = ORDER.index(phase)
    if message.kind == "binding_revocation":
        return DETACH
    if message.kind == "binding_update" and not message.hidden:
        if not message.number("lifetime"):
            return DETACH
        if phase in (BOUND, HANDOVER):
            return HANDOVER if care_of and message.source != care_of else phase
        return REGISTRATION
    if message.is_ike:
        closing = phase == BOUND and message.get("delete") == "IKE"
        return DETACH if closing else SECURITY if before < ORDER.index(SECURITY) else phase
    if words.group(message) == "discovery":
        return DISCOVERY if before < ORDER.index(DISCOVERY) else phase
    if message.kind == "esp" and before < ORDER.index(REGISTRATION):
        return REGISTRATION
    return phase
