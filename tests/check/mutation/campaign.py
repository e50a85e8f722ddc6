# SPDX-License-Identifier: GPL-2.0-or-later
"""All mutants of one case, judged: one run of tshark over all changed packets, then everything in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mn_dsmip.check import reading
from mn_dsmip.check.context import Context
from mn_dsmip.check.flow.language import load
from mn_dsmip.check.model import Message
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.duplicates import Duplicates
from mn_dsmip.check.reading.keys import Keys as ReaderKeys
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.separate import sessions
from mn_dsmip.check.verdict import Verdict, judge_session
from tests.check.damage import ETHERNET, read_pcapng, write_pcapng
from tests.check.mutation.fields import field_mutants
from tests.check.mutation.layers import Keys, parse
from tests.check.mutation.structure import inserted, replaced

LATER = 4000.0  # seconds: more than the lifetime of any binding here
MANY = 100  # rules and steps told of one mutant at most


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant: killed when the verdict is no pass, noticed when a warning or note is new."""

    case: str
    name: str
    frame: int
    kind: str  # of the message that was changed
    verdict: str
    idents: tuple[str, ...]  # of steps and rules that are not as they were, in the order told

    @property
    def result(self) -> str:
        if self.verdict != "pass":
            return "killed"
        return "noticed" if self.idents else "survived"


class Made(NamedTuple):
    """A packet of a mutant: in place of one of the capture, or after it."""

    at: int
    name: str
    adds: bool
    octets: bytes


@dataclass
class Campaign:
    """A good case in memory."""

    folder: Path

    def __post_init__(self) -> None:
        self.keys = ReaderKeys.load(self.folder / "wireshark")
        self.flow = load(self.folder / "flow.yaml")
        self.records = list(read_pcapng((self.folder / "trace.pcapng").read_bytes()))
        self.messages = self._read([octets for _, octets in self.records])
        verdict = self._judged([one for one in self.messages if one])
        assert verdict.verdict == "pass", f"{self.folder.name} itself does not pass: nothing can be said of its mutants"
        self.good = set(self._problems(verdict))

    def _read(self, frames: list[bytes]) -> list[Message | None]:
        """The message of each frame, as if each were captured at its own time."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "frames.pcapng"
            file.write_bytes(write_pcapng([(1_800_000_000.0 + 0.01 * at, one) for at, one in enumerate(frames)]))
            packets = list(reading.read(file, self.keys, "tshark"))
        found: list[Message | None] = [None] * len(frames)
        for packet in packets:
            found[packet.frame - 1] = dissect(packet)
        for at, (time, _) in enumerate(self.records):
            message = found[at] if len(frames) == len(self.records) else None
            if message is not None:
                found[at] = replace(message, time=time)
        return found

    def _judged(self, messages: list[Message]) -> Verdict:
        verdict = Verdict(self.flow, keep=len(messages))
        context = Context(self.keys.mobility)
        for session in sessions(Duplicates()(replace(one, frame=at) for at, one in enumerate(messages, 1))):
            session.context = context
            verdict.add(judge_session(session, self.flow, RULES))
        return verdict

    @staticmethod
    def _problems(verdict: Verdict) -> Iterator[str]:
        for judgement in verdict.judgements:
            for one in judgement.problems:
                yield one.step.step.name if one.step else one.rule.ident if one.rule else "?"
            yield from (f"unseen {one.step.name}" for one in judgement.unseen_steps)
            yield from (f"unseen {one.rule.ident}" for one in judgement.unseen_rules)

    def run(self) -> Iterator[Outcome]:
        """Every mutant: first changed and added packets, then those dropped, repeated and moved."""
        made = list(self._made())
        for (at, name, adds, _), message in zip(made, self._read([one.octets for one in made]), strict=True):
            changed = [message and replace(message, time=self.records[at][0] + 0.001 * adds)]
            if adds:
                changed.insert(0, self.messages[at])
            yield self._outcome(at, name, [*self.messages[:at], *changed, *self.messages[at + 1 :]])
        for at, message in enumerate(self.messages):
            if message is not None:
                for name, messages in self._whole(at, message):
                    yield self._outcome(at, name, messages)

    def _made(self) -> Iterator[Made]:
        keys = Keys.load(self.folder / "wireshark")
        for at, (_, octets) in enumerate(self.records):
            packet, ethernet = parse(octets[ETHERNET:], keys), octets[:ETHERNET]
            for name, mutant in (*field_mutants(packet), *replaced(packet)):
                yield Made(at, name, False, ethernet + mutant.build())
            for name, more in inserted(packet):
                yield Made(at, name, True, ethernet + more)

    def _whole(self, at: int, message: Message) -> Iterator[tuple[str, list[Message | None]]]:
        before, after = self.messages[:at], self.messages[at + 1 :]
        yield "packet.dropped", [*before, *after]
        yield "packet.repeated", [*before, message, replace(message, time=message.time + 0.001), *after]
        if after:
            yield "packet.swapped", [*before, after[0], message, *after[1:]]
            yield "packet.last", [*before, *after, message]
            yield "packet.late", [*before, *(one and replace(one, time=one.time + LATER) for one in [message, *after])]

    def _outcome(self, at: int, name: str, messages: list[Message | None]) -> Outcome:
        verdict = self._judged([one for one in messages if one is not None])
        problems = dict.fromkeys(one for one in self._problems(verdict) if one not in self.good)
        original = self.messages[at]
        kind = original.kind if original else "nothing"
        return Outcome(self.folder.name, name, at + 1, kind, verdict.verdict, tuple(problems)[:MANY])


def damaged(folder: Path, frame: int, name: str, file: Path) -> Path:
    """A copy of a case's capture with one mutant of `field_mutants` or `replaced` in place of a frame."""
    keys = Keys.load(folder / "wireshark")
    records = list(read_pcapng((folder / "trace.pcapng").read_bytes()))
    time, octets = records[frame - 1]
    packet = parse(octets[ETHERNET:], keys)
    mutants = dict((*field_mutants(packet), *replaced(packet)))
    records[frame - 1] = (time, octets[:ETHERNET] + mutants[name].build())
    file.write_bytes(write_pcapng(records))
    return file
