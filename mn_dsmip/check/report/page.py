# SPDX-License-Identifier: GPL-2.0-or-later
"""One self-contained page for people: what is wrong, a ladder of every UE, its time line and bindings, coverage.

Nothing is loaded from anywhere; the policy in its head lets only our own script run. Whatever was on the wire is text.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path

import mn_dsmip
from mn_dsmip.check.flow.language import show
from mn_dsmip.check.model import Message
from mn_dsmip.check.report.findings import Detail, Finding, findings, folded
from mn_dsmip.check.report.ladder import Ladder, Row, ladder
from mn_dsmip.check.report.source import Source, frames, printable
from mn_dsmip.check.report.story import Span, bindings, seconds, spans
from mn_dsmip.check.report.text import HEADINGS, NO_KEYS, NOTHING, WORDS
from mn_dsmip.check.rules import coverage as asked_for
from mn_dsmip.check.rules.coverage import FAILED, Covered, counted
from mn_dsmip.check.verdict import PASS, Record, Verdict

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src"
MAX_ROWS = 500  # UEs in the table
STATES = {
    FAILED: "fail", asked_for.WARNED: "warning", asked_for.PASSED: "pass", asked_for.UNSEEN: "inconclusive",
    asked_for.NOT_EXERCISED: "note", asked_for.UNCHECKED: "note", asked_for.INVISIBLE: "note",
}  # fmt: skip
PHASE_TONES = {
    "Access": "access",
    "Home agent discovery": "discovery",
    "IKEv2 and EAP": "ike",
    "Registration": "mobility",
    "Bound": "data",
    "Handover": "mobility",
    "Detach": "mobility",
}


def page(verdict: Verdict, source: Source, covered: list[Covered]) -> str:
    """The whole document; `covered` are the requirements to end with."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = f"{WORDS[verdict.verdict]}: {source.capture.name} against {verdict.flow.name}"
    shown = [one for one in _ordered(verdict) if one.judgement is not None]
    numbers = {len(one.columns) for one in (ladder(record, verdict.flow, source) for record in shown)}
    style = (HERE / "page.css").read_text(encoding="utf-8") + "".join(map(_rails, sorted(numbers)))
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY} \'sha256-{allowed}\'">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<link rel="icon" href="data:,"><title>{text(title)}</title><style>{style}</style></head><body><main>',
        *_summary(verdict, source),
        *(part for one in shown for part in _Ue(one, verdict, source).parts()),
        *_coverage(covered),
        f'<p class="soft small">Made by mn-dsmip {text(mn_dsmip.__version__)}.</p>',
        f"</main><script>{script}</script></body></html>\n",
    ]
    return "\n".join(filter(None, parts))


def text(told: object) -> str:
    """Any value as text of the page."""
    return escape(printable(str(told)))


def _rails(columns: int) -> str:
    """The life lines of ladders with so many columns."""
    places = [f"{(index + 0.5) / columns:.2%}" for index in range(columns)]
    lines = ",".join(f"linear-gradient(var(--rail),var(--rail)) {place} 0/1px 100% no-repeat" for place in places)
    return f".of{columns} .row .lane{{background:{lines}}}\n"


def _summary(verdict: Verdict, source: Source) -> Iterator[str]:
    word = verdict.verdict
    yield '<header class="card">'
    yield f'<div class="head"><span class="badge large {word}">{WORDS[word]}</span>'
    yield f"<h1>{text(source.capture.name)} against {text(verdict.flow.name)}</h1></div>"
    yield f'<p class="soft">{text(verdict.flow.title)}</p>' if verdict.flow.title else ""
    counts = ", ".join(f"{verdict.counts[one]} {one}" for one in WORDS if verdict.counts[one])
    facts = {
        "capture": source.capture,
        "flow": verdict.flow.file,
        "packets judged": source.packets,
        "keys": source.keys or NO_KEYS,
        "UEs": f"{len(verdict.records)}: {counts}" if len(verdict.records) != 1 else "",
    }
    yield _facts(facts)
    if not verdict.found:
        yield f'<p class="finding violation">{NOTHING}</p>'
    if len(verdict.records) > 1:
        yield from _ues(verdict)
    yield "</header>"


def _ordered(verdict: Verdict) -> list[Record]:
    """Those that do not pass first."""
    return sorted(verdict.records, key=lambda one: (one.verdict == PASS, one.number))


def _facts(facts: dict[str, object]) -> str:
    told = (f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items() if value)
    return f'<dl class="facts">{"".join(told)}</dl>'


def _ues(verdict: Verdict) -> Iterator[str]:
    ordered = _ordered(verdict)
    shown = sum(one.judgement is not None for one in ordered)
    yield "<h3>UEs</h3>"
    if shown < len(ordered):
        yield (
            f'<p class="finding note">This page shows {shown} of {len(ordered)} UEs in full, those that do not pass '
            "first. <code>mn-dsmip report --ues N</code> shows more; <code>mn-dsmip check --format json</code> tells "
            "of all.</p>"
        )
    rows = []
    for one in ordered[:MAX_ROWS]:
        number = f'<a href="#ue{one.number}">UE {one.number}</a>' if one.judgement else f"UE {one.number}"
        badge = f'<span class="badge {one.verdict}">{WORDS[one.verdict]}</span>'
        cells = (number, badge, f"{one.steps_done} of {one.steps_asked}", str(one.count("violation") or "–"))
        rows.append((*cells, f"{one.frames[0]}–{one.frames[1]}", text(one.title)))
    yield table(("", "verdict", "steps", "wrong", "frames", "who"), rows)
    if ordered[MAX_ROWS:]:
        yield f'<p class="soft">... and {len(ordered) - MAX_ROWS} more.</p>'


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already; narrow windows show each row as a block."""
    names = "".join(f"<th>{text(one)}</th>" for one in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-name="{text(name)}">{cell}</td>' for name, cell in zip(head, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<table class="wide"><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>'


def finding(one: Finding, anchor: str) -> str:
    """One finding with all that is known of it."""
    place = f' <span class="soft small">{text(one.place)}</span>' if one.place else ""
    show_it = f' <a class="small" href="#{anchor}f{one.frame}">show</a>' if one.frame is not None else ""
    items = [_detail(each) for each in one.details] or [f'<span class="soft small">{text(one.clause)}</span>']
    items += [f"nearest candidate: {text(one.nearest)}"] if one.nearest else []
    items += [f'<span class="soft">{text(one.why)}</span>'] if one.why else []
    items += [f"the same in {len(one.alike)} more: frame {frames(list(one.alike))}"] if one.alike else []
    told = "".join(f"<li>{item}</li>" for item in items)
    return (
        f'<div class="finding {one.severity}"><b>{text(one.subject)}</b>: {text(one.about)}{show_it}{place}'
        f"<ul>{told}</ul>{_look(one.look) if one.look else ''}</div>"
    )


def _note(one: Finding) -> str:
    """A finding in its place in the ladder: in short."""
    told = [_detail(each) for each in one.details] or [
        f'{text(one.about)} <span class="soft small">{text(one.clause)}</span>'
    ]
    told += [f"nearest candidate: {text(one.nearest)}"] if one.nearest else []
    subject = one.subject.partition(" (")[0]
    return f'<div class="finding {one.severity}"><b>{text(subject)}</b>: {"; ".join(told)}</div>'


def _detail(one: Detail) -> str:
    return (
        f'{text(one.field)}: expected {text(one.expected)}; actual <span class="actual">{text(one.actual)}</span> '
        f'<span class="soft small">{text(one.clause)}</span>'
    )


class _Ue:
    """The section of one UE."""

    def __init__(self, record: Record, verdict: Verdict, source: Source) -> None:
        self.record, self.verdict, self.source = record, verdict, source
        self.anchor = f"ue{record.number}"
        self.ladder: Ladder = ladder(record, verdict.flow, source)

    def parts(self) -> Iterator[str]:
        record = self.record
        yield f'<section class="card ue" id="{self.anchor}">'
        yield f'<div class="head"><h2>UE {record.number}</h2>'
        yield f'<span class="badge {record.verdict}">{WORDS[record.verdict]}</span></div>'
        yield self.facts()
        yield from self.findings()
        yield from self.unseen()
        yield from self.times()
        yield from self.drawing()
        yield from self.bindings()
        yield "</section>"

    def facts(self) -> str:
        record = self.record
        assert record.judgement is not None
        session = record.judgement.session
        return _facts(
            {
                "who": record.title.partition(", care-of address")[0],
                "care-of address": ", ".join(sorted(session.care_of_addresses)),
                "home agent": record.home_agent,
                "home network prefix": ", ".join(record.home_prefixes),
                "home address": ", ".join((*record.home_addresses, *sorted(session.ipv4_home_addresses))),
                "steps": f"{record.steps_done} of {record.steps_asked} as expected",
                "messages": f"{record.messages}, frames {record.frames[0]} to {record.frames[1]}",
            }
        )

    def findings(self) -> Iterator[str]:
        found = findings(self.record, self.verdict.flow, self.source)
        for severity, heading in HEADINGS.items():
            mine = folded(one for one in found if one.severity == severity)
            if mine:
                yield f'<h3>{heading}</h3><ol class="findings">'
                yield from (f"<li>{finding(one, self.anchor)}</li>" for one in mine)
                yield "</ol>"

    def unseen(self) -> Iterator[str]:
        grouped: dict[str, list[str]] = {}
        for one in self.record.unseen:
            grouped.setdefault(one.reason, []).append(f"{one.kind} {one.name}")
        if grouped:
            yield '<h3>What could not be judged</h3><ol class="findings">'
            for reason, names in grouped.items():
                yield f'<li><div class="finding warning"><b>{text(reason)}</b>: {text(", ".join(names))}</div></li>'
            yield "</ol>"

    # -- time line

    def times(self) -> Iterator[str]:
        found = spans(self.ladder)
        if not found:
            return
        start, end = found[0].first, max(one.last for one in found)
        whole = max(end - start, 1e-9)
        wrong = [row.time for row in self.ladder.rows if row.severity == "violation" and row.time is not None]
        yield '<h3>Time line</h3><div class="times">'
        for one in found:
            yield self.time(one, start, whole, wrong)
        yield f'<div class="time soft"><span>all of it</span><span>from {start:.3f} s to {end:.3f} s after the first '
        yield f'packet of the capture</span><span class="number">{seconds(whole)}</span></div></div>'

    @staticmethod
    def time(span: Span, start: float, whole: float, wrong: list[float]) -> str:
        left, width = (span.first - start) / whole, (span.last - span.first) / whole
        mine = [(one - start) / whole for one in wrong if span.first <= one <= span.last]
        ticks = "".join(f'<span class="tick" style="left:{place:.3%}"></span>' for place in dict.fromkeys(mine))
        return (
            f'<div class="time {PHASE_TONES.get(span.name, "data")}"><span>{text(span.name)}</span><span class="track">'
            f'<span class="bar" style="left:min({left:.3%}, 100% - 4px);width:{width:.3%}"></span>{ticks}</span>'
            f'<span class="number">{span.duration}</span></div>'
        )

    # -- ladder

    def drawing(self) -> Iterator[str]:
        yield "<h3>Ladder</h3>"
        yield '<div class="tools"><button data-open hidden>open or close all messages</button>'
        yield '<button data-hide="data" aria-pressed="false" hidden>hide user data</button>'
        yield '<button data-hide="repeats" aria-pressed="false" hidden>hide repetitions</button></div>'
        yield f'<div class="ladder of{len(self.ladder.columns)}"><div class="grid roles"><span class="when"></span>'
        heads = "".join(
            f'<span class="role"><b>{text(one.title)}</b><span>{text(one.addresses[0])}</span></span>'
            for one in self.ladder.columns
        )
        yield f'<span class="lane">{heads}</span><span class="side"></span></div>'
        for name, first, after in self.ladder.phases:
            yield f'<div class="phase"><h4>{text(name)}</h4>'
            yield from map(self.row, self.ladder.rows[first:after])
            yield "</div>"
        if self.ladder.cut:
            yield f'<p class="counted">... and {self.ladder.cut} more messages, which are not drawn.</p>'
        yield "</div>"

    def row(self, row: Row) -> str:
        kinds = [row.group, "repeat" if row.repeats else "", "missing" if row.missing else ""]
        kinds.append(f"has-{row.severity}" if row.severity else "")
        kind = " ".join(filter(None, ("row", *kinds)))
        if row.more:
            return f'<div class="{kind}"><div class="counted lane">{text(row.name)}</div></div>'
        when = "" if row.time is None else f"<b>{row.time:.3f} s</b>frame {row.frame}"
        summary = (
            f'<span class="when">{when}</span><span class="lane">{self.arrow(row)}</span>'
            f'<span class="side">{text(row.step)}{" " + _pills(row)}</span>'
        )
        notes = "".join(map(_note, row.findings))
        anchor = f' id="{self.anchor}f{row.frame}"' if row.frame is not None else ""
        if row.message is None:
            return f'<div class="{kind}"><div class="grid">{summary}</div>{notes}</div>'
        summary = f'<summary><div class="grid">{summary}</div>{notes}</summary>'
        return f'<details class="{kind}"{anchor}>{summary}{_content(row.message, self.source)}</details>'

    def arrow(self, row: Row) -> str:
        columns = len(self.ladder.columns)
        first, last = sorted((row.start, row.end))
        left, right = (first + 0.5) / columns, 1 - (last + 0.5) / columns
        side = "left" if left <= right or first == 0 else "right"
        way = "rightwards" if row.end > row.start else "leftwards"
        gist = f' <span class="gist">{text(row.gist)}</span>' if row.gist else ""
        return (
            f'<span class="label {side}" style="--left:{left:.2%};--right:{right:.2%};display:block">'
            f'<span class="name">{text(row.name)}</span>{gist}</span>'
            f'<span class="arrow {way} {row.group}" style="--left:{left:.2%};--width:{1 - left - right:.2%};'
            'display:block"></span>'
        )

    # -- bindings

    def bindings(self) -> Iterator[str]:
        assert self.record.judgement is not None
        found = bindings(self.record.judgement.session, self.source)
        if not found:
            return
        yield "<h3>Bindings</h3>"
        rows = [
            (
                f'<a href="#{self.anchor}f{one.frame}">frame {one.frame}</a>',
                f"{one.time:.3f} s",
                text(one.what),
                text(one.care_of),
                str(one.sequence),
                f"{one.asked} s",
                text(one.flags),
                f'<span class="tone {"pass" if one.good else "fail"}">{text(one.status)}</span>',
                text(one.granted),
            )
            for one in found
        ]
        head = ("", "time", "what", "care-of address", "sequence", "asked", "flags", "status", "granted")
        yield table(head, rows)


def _coverage(covered: list[Covered]) -> Iterator[str]:
    """A table of requirements for each document, folded up where all is well."""
    if not covered:
        return
    yield '<section class="card" id="coverage"><h2>Coverage by clause</h2>'
    yield '<p class="soft">What the standards ask for, by how it fared in this capture.</p>'
    counts = counted(covered)
    shares = "".join(
        f'<span class="{STATES[state]}" style="flex:{counts[state]}" title="{counts[state]} {state}"></span>'
        for state in STATES
        if counts[state]
    )
    yield f'<div class="shares">{shares}</div><p class="small">{_counts(counts)}</p>'
    for document, group in groupby(sorted(covered, key=_document), key=_document):
        own = list(group)
        opened = " open" if any(one.state == FAILED for one in own) else ""
        yield f'<details class="document"{opened}><summary><b>{text(document)}</b> '
        yield f'<span class="small">{_counts(counted(own))}</span></summary>'
        yield table(("", "clause", "", "requirement"), map(_requirement, own)) + "</details>"
    yield "</section>"


def _document(one: Covered) -> str:
    return " ".join(one.requirement.clause.replace(",", " ").split()[:2])


def _requirement(one: Covered) -> tuple[str, ...]:
    asked = one.requirement
    told = asked.unseen or asked.unchecked or ", ".join(one.checks or asked.checked_by)
    return (
        text(asked.ident),
        text(asked.clause.removeprefix(_document(one)).strip() or "–"),
        f'<span class="tone {STATES[one.state]}">{one.state}</span>',
        f'{text(asked.text)} <span class="soft small">{text(told)}</span>',
    )


def _counts(counts: Counter[str]) -> str:
    told = (f'<span class="tone {STATES[one]}">{counts[one]} {one}</span>' for one in STATES if counts[one])
    return " · ".join(told)


def _pills(row: Row) -> str:
    told = [row.protection] if row.protection else []
    told += [f"repeats frame {row.repeats}"] if row.repeats else []
    told += ["missing"] if row.missing else []
    return " ".join(f'<span class="pill">{text(one)}</span>' for one in told)


def _content(message: Message, source: Source) -> str:
    """All that was read of a message, and how to see the rest of it."""
    fields: list[tuple[str, object]] = [("source", message.source), ("destination", message.destination)]
    fields += [(name, show(value)) for name, value in message.fields.items()]
    fields += [("not seen", message.hidden)] if message.hidden else []
    rows = "".join(f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in fields)
    return f'<div class="content"><table>{rows}</table>{_look(source.tshark(message.frame))}</div>'


def _look(command: str) -> str:
    return f'<div class="look"><code>{text(command)}</code><button data-copy hidden>copy</button></div>'
