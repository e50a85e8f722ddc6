# SPDX-License-Identifier: GPL-2.0-or-later
"""The regular expressions of `matches`: Python's, matched in a time that grows with the length of the value.

Python's own matching tries one way after the other, which for `(a+)+b` and a few dozen letters takes years. Here all
ways are followed at once and nothing is tried again; look-around and back references, which need that, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

MOST_STATES = 2000  # of one expression: `[a-z]{1,63}` needs 63
MOST_KNOWN = 500  # steps that one expression remembers

_COUNTS = re.compile(r"\{(\d*)(?:(,)(\d*))?\}")
_ESCAPED = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|0[0-7]{0,2}|[dDwWsSntrfva\\]|[^0-9A-Za-z])", re.S
)
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.S)

Test = Callable[[str], object]  # of one character
Part = Callable[[int], int]  # adds the states of a part in front of a state; which one it begins with


class PatternError(ValueError):
    """What cannot be matched in a bounded time, and what to write instead."""


class Pattern:
    """One regular expression; `PatternError` where it asks for what is not offered, `re.error` where it is none."""

    def __init__(self, text: str) -> None:
        re.compile(text)
        self._text, self._at = text, 0
        self._states: list[tuple[Test | None, tuple[int, ...]]] = [(None, ())]
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._accept("^")  # the whole value has to match anyway
        self._start = self._closed({self._alternatives()(0)})

    def fullmatch(self, value: str) -> bool:
        """Whether the whole value is as the expression says."""
        here = self._start
        for character in value:
            there = self._known.get((here, character))
            if there is None:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                there = self._known[here, character] = self._step(here, character)
            if not there:
                return False
            here = there
        return 0 in here

    # Matching

    def _step(self, here: frozenset[int], character: str) -> frozenset[int]:
        found: set[int] = set()
        for state in here:
            test, following = self._states[state]
            if test is not None and test(character):
                found.update(following)
        return self._closed(found)

    def _closed(self, found: set[int]) -> frozenset[int]:
        """With the states that are reached without a character."""
        waiting = list(found)
        while waiting:
            test, following = self._states[waiting.pop()]
            if test is None:
                waiting += set(following) - found
                found.update(following)
        return frozenset(found)

    # Reading

    def _state(self, test: Test | None, *following: int) -> int:
        if len(self._states) >= MOST_STATES:
            raise PatternError(f"more than {MOST_STATES} repetitions of characters: write * or + for large numbers")
        self._states.append((test, following))
        return len(self._states) - 1

    def _accept(self, word: str) -> bool:
        found = self._text.startswith(word, self._at)
        self._at += len(word) * found
        return found

    def _alternatives(self) -> Part:
        ways = [self._sequence()]
        while self._accept("|"):
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else lambda to: self._state(None, *(way(to) for way in ways))

    def _sequence(self) -> Part:
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._text[self._at :] == "$":  # as ^ above
                self._at += 1
                break
            parts.append(self._repeated(self._one()))

        def sequence(to: int) -> int:
            for part in reversed(parts):
                to = part(to)
            return to

        return sequence

    def _repeated(self, part: Part) -> Part:
        low, high = self._counts()
        if (low, high) == (1, 1):
            return part
        self._accept("?")  # lazy or not is all the same to a whole match
        if self._text[self._at : self._at + 1] == "+":
            raise PatternError("possessive repetition (a + behind a repetition) is not offered")

        def repeated(to: int) -> int:
            end = to
            if high is None:
                to = self._state(None)
                self._states[to] = (None, (part(to), end))
            for _ in range((high or low) - low):
                to = self._state(None, part(to), end)
            for _ in range(low):
                to = self._state(None, part(to))
            return to

        return repeated

    def _counts(self) -> tuple[int, int | None]:
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._accept(sign):
                return counts
        found = _COUNTS.match(self._text, self._at)
        if found is None or found[0] == "{}":
            return 1, 1
        self._at = found.end()
        low = int(found[1] or 0)
        return low, (int(found[3]) if found[3] else None) if found[2] else low

    def _one(self) -> Part:
        """A group, a set or a character."""
        if self._accept("("):
            if self._text.startswith("?", self._at) and not self._accept("?:"):
                raise PatternError("of the extensions (?...) only (?:...) is offered: no look-around, names or flags")
            inside = self._alternatives()
            self._accept(")")
            return inside
        character = self._text[self._at]
        found = {"[": _SET, "\\": _ESCAPED}.get(character, _ANY).match(self._text, self._at)
        if character in "^$":
            raise PatternError(f"leave out '{character}': the whole value is compared, from its beginning to its end")
        if found is None:
            what = self._text[self._at : self._at + 2]
            raise PatternError(f"'{what}' is not offered: no back references, no boundaries of words or lines")
        self._at = found.end()
        test = _test(found[0])
        return lambda to: self._state(test, to)


_ANY = re.compile(".", re.S)


@lru_cache(maxsize=1024)
def _test(atom: str) -> Test:
    return re.compile(atom if atom[0] in "[.\\" else re.escape(atom)).fullmatch


@lru_cache(maxsize=256)
def pattern(text: str) -> Pattern:
    """The expression, read once."""
    return Pattern(text)
