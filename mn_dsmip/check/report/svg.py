# SPDX-License-Identifier: GPL-2.0-or-later
"""The ladder as an SVG of its own, for slides and documents."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape

from mn_dsmip.check.report.ladder import Ladder, Row
from mn_dsmip.check.report.source import printable

WIDTH, MARGIN, LEFT, RIGHT = 1180, 16, 90, 130  # pixels
HEAD, ROW, LINE = 104, 40, 15
CHARACTER = 6.1  # pixels of one at 11 pixels of height, about
COLOURS = {
    "access": "#64748b",
    "discovery": "#0f766e",
    "ike": "#1d4ed8",
    "mobility": "#7c3aed",
    "data": "#6b7280",
    "error": "#c2410c",
    "missing": "#dc2626",
}
TOLD = {"violation": "#dc2626", "warning": "#b45309", "note": "#475569"}
PHASES = ("#f8fafc", "#eef2f7")
STYLE = """text{font:12px system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#0f172a}
.small{font-size:11px;fill:#475569}.name{font-weight:600}.role{font-weight:700;font-size:13px}
.halo{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"""


def svg(ladder: Ladder) -> str:
    """A whole drawing."""
    return "\n".join(_Drawing(ladder).lines()) + "\n"


class _Drawing:
    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        room = WIDTH - 2 * MARGIN - LEFT - RIGHT
        step = room / len(ladder.columns)
        self.x = [MARGIN + LEFT + step * (index + 0.5) for index in range(len(ladder.columns))]
        self.notes = [list(_notes(row)) for row in ladder.rows]
        self.tops: list[float] = []
        y = float(HEAD)
        for notes in self.notes:
            self.tops.append(y)
            y += ROW + len(notes) * LINE + (6 if notes else 0)
        self.bottom = y + 8

    def lines(self) -> Iterator[str]:
        height = self.bottom + 28
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">'
        yield f"<title>{_text(self.ladder.title)}</title><style>{STYLE}</style>"
        yield f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>'
        yield self.put(MARGIN, 24, self.ladder.title, "role")
        yield from self.bands()
        for x, column in zip(self.x, self.ladder.columns, strict=True):
            yield f'<line x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{self.bottom:.1f}" stroke="#cbd5e1"/>'
            yield self.put(x, 62, column.title, "role", "middle")
            yield self.put(x, 78, column.addresses[0] if column.addresses else "", "small halo", "middle")
        for row, top, notes in zip(self.ladder.rows, self.tops, self.notes, strict=True):
            yield from self.row(row, top)
            yield from self.told(row, top, notes)
        if self.ladder.cut:
            yield self.put(MARGIN, self.bottom + 16, f"{self.ladder.cut} more messages are not drawn", "small")
        yield "</svg>"

    def bands(self) -> Iterator[str]:
        for index, (name, first, after) in enumerate(self.ladder.phases):
            top = self.tops[first]
            end = self.tops[after] if after < len(self.tops) else self.bottom
            yield (
                f'<rect class="phase" x="{MARGIN}" y="{top:.1f}" width="{WIDTH - 2 * MARGIN}" '
                f'height="{end - top:.1f}" fill="{PHASES[index % 2]}"/>'
            )
            yield self.put(WIDTH - MARGIN - 6, top + 13, name, "small", "end")

    def row(self, row: Row, top: float) -> Iterator[str]:
        y = top + 27
        if row.time is not None:
            yield self.put(MARGIN + 6, y - 4, f"{row.time:.3f} s", "small")
            yield self.put(MARGIN + 6, y + 9, f"frame {row.frame}", "small")
        start, end = self.x[row.start], self.x[row.end]
        if row.more or row.start == row.end:
            yield self.put((start + end) / 2, y, row.name, "small halo", "middle")
            return
        colour = TOLD["violation"] if row.severity == "violation" else COLOURS[row.group]
        dash = ' stroke-dasharray="6 4"' if row.missing or row.repeats else ""
        tip = -7 if end > start else 7
        kind = "arrow missing" if row.missing else "arrow"
        yield f'<g class="{kind}"><title>{_text(f"{row.name}: {row.gist}")}</title>'
        yield f'<line x1="{start:.1f}" y1="{y}" x2="{end:.1f}" y2="{y}" stroke="{colour}" stroke-width="1.6"{dash}/>'
        yield f'<path d="M{end:.1f} {y}l{tip} -4v8z" fill="{colour}"/>'
        yield from self.labels(row, min(start, end), max(start, end), y)
        yield "</g>"

    def labels(self, row: Row, left: float, right: float, y: float) -> Iterator[str]:
        """Above the arrow, to the side with more room when the arrow is short."""
        told = f"{row.name} (missing)" if row.missing else row.name
        told += f", repeats frame {row.repeats}" if row.repeats else ""
        room = max(right - left, WIDTH - RIGHT - left if left < WIDTH / 2 else right - LEFT) - 12
        at, anchor = (left + 8, "start") if left < WIDTH / 2 else (right - 8, "end")
        yield self.put(at, y - 5, told, "name halo", anchor)
        if not row.missing:
            short = textwrap.shorten(row.gist, max(int(room / CHARACTER), 12), placeholder=" …")
            yield self.put(at, y + 12, short, "small halo", anchor)

    def told(self, row: Row, top: float, notes: list[str]) -> Iterator[str]:
        colour = TOLD.get(row.severity, TOLD["note"])
        if notes:
            height = len(notes) * LINE + 4
            yield (
                f'<g class="finding"><rect x="{MARGIN + LEFT:.1f}" y="{top + ROW + 2:.1f}" rx="4" '
                f'width="{WIDTH - 2 * MARGIN - LEFT - 8}" height="{height}" fill="{colour}" fill-opacity=".1"/>'
            )
            for index, note in enumerate(notes):
                yield (
                    f'<text x="{MARGIN + LEFT + 8}" y="{top + ROW + 14 + index * LINE:.1f}" style="fill:{colour}">'
                    f"{_text(note)}</text>"
                )
            yield "</g>"

    @staticmethod
    def put(x: float, y: float, told: str, kind: str, anchor: str = "start") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{_text(told)}</text>'


def _notes(row: Row) -> Iterator[str]:
    for one in row.findings:
        yield from textwrap.wrap(f"{one.severity}: {one.in_place}", int((WIDTH - LEFT - 60) / CHARACTER / 1.06))


def _text(told: str) -> str:
    return escape(printable(told))
