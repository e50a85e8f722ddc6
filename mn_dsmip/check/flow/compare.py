# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparisons of flow files: one function each, from the field's value and the value wanted to yes or no."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address

from mn_dsmip.check.flow.pattern import pattern
from mn_dsmip.check.model import Value, flatten
from mn_dsmip.check.session import within

Test = Callable[[Value | None], bool]  # of a field's value; None: the message has no such field


class Truth(Enum):
    """What is known of a statement about a message."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def _equal(actual: Value | None, wanted: Value) -> bool:
    """Equal as values; addresses also when they are written differently."""
    if isinstance(actual, tuple) and isinstance(wanted, tuple):
        return len(actual) == len(wanted) and all(_equal(*pair) for pair in zip(actual, wanted, strict=False))
    if isinstance(actual, tuple) and len(actual) == 1:
        return _equal(actual[0], wanted)
    if isinstance(actual, str) and isinstance(wanted, str):
        return actual == wanted or _address(actual) == _address(wanted) is not None
    return actual == wanted and isinstance(actual, bool) == isinstance(wanted, bool)


@lru_cache(maxsize=4096)
def _address(text: str) -> object | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def normal(value: Value | None) -> object:
    """Equal for two values that `is` takes for the same; other values may have the same one, too."""
    if isinstance(value, tuple):
        return normal(value[0]) if len(value) == 1 else len(value)
    if isinstance(value, str):
        return _address(value) or value
    return value


def _ordered(test: Callable[[int, int], bool]) -> Callable[[Value | None, Value], bool]:
    return lambda actual, wanted: isinstance(actual, int) and isinstance(wanted, int) and test(actual, wanted)


def _contains(actual: Value | None, wanted: Value) -> bool:
    return all(_any(one, actual if actual is not None else ()) for one in flatten(wanted))


def _any(actual: Value, wanted: Value) -> bool:
    return any(_equal(actual, one) for one in flatten(wanted))


def _lacks(actual: Value | None, wanted: Value) -> bool:
    return not any(_any(one, wanted) for one in flatten(actual))


def _in_prefix(actual: Value | None, wanted: Value) -> bool:
    """Every address of the field lies in one of the prefixes; a field without any does not."""
    addresses = [str(one) for one in flatten(actual)]
    prefixes = [str(one) for one in flatten(wanted)]
    return bool(addresses) and all(any(_within(one, prefix) for prefix in prefixes) for one in addresses)


_within = lru_cache(maxsize=4096)(within)

_TESTS: dict[str, Callable[[Value | None, Value], bool]] = {
    "is": _equal,
    "is_not": lambda actual, wanted: not _equal(actual, wanted),
    "lt": _ordered(lambda actual, wanted: actual < wanted),
    "le": _ordered(lambda actual, wanted: actual <= wanted),
    "gt": _ordered(lambda actual, wanted: actual > wanted),
    "ge": _ordered(lambda actual, wanted: actual >= wanted),
    "one_of": lambda actual, wanted: actual is not None and all(_any(one, wanted) for one in flatten(actual)),
    "contains": _contains,
    "contains_any": lambda actual, wanted: any(_any(one, wanted) for one in flatten(actual)),
    "lacks": _lacks,
    "in_prefix": _in_prefix,
    "matches": lambda actual, wanted: actual is not None and pattern(str(wanted)).fullmatch(str(actual)),
    "count": lambda actual, wanted: len(list(flatten(actual))) == wanted,
    "present": lambda actual, wanted: (actual is not None) is bool(wanted),
}


def compare(operator: str, actual: Value | None, wanted: Value) -> Truth:
    """Whether a field's value (None: the message has no such field) is as wanted."""
    return Truth.YES if _TESTS[operator](actual, wanted) else Truth.NO


def test_of(operator: str, wanted: Value) -> Test:
    """The comparison with a value that is known beforehand."""
    general = _TESTS[operator]
    if operator == "is" and isinstance(wanted, bool):
        return lambda actual: actual is wanted or (isinstance(actual, tuple) and _equal(actual, wanted))
    if operator == "is" and isinstance(wanted, int):
        return lambda actual: (actual.__class__ is int and actual == wanted) or general(actual, wanted)
    if operator in ("contains", "contains_any", "lacks", "one_of"):
        return _of_words(operator, wanted) or (lambda actual: general(actual, wanted))
    if operator == "matches":
        expression = pattern(str(wanted))
        return lambda actual: actual is not None and expression.fullmatch(str(actual))
    return lambda actual: general(actual, wanted)


def _of_words(operator: str, wanted: Value) -> Test | None:
    """The same by sets, when all that is wanted are words other than addresses."""
    words = frozenset(flatten(wanted))
    if not words or not all(isinstance(one, str) and _address(one) is None for one in words):
        return None
    general = _TESTS[operator]
    ways: dict[str, Callable[[tuple[Value, ...]], bool]] = {
        "contains": words.issubset,
        "contains_any": lambda actual: not words.isdisjoint(actual),
        "lacks": words.isdisjoint,
        "one_of": words.issuperset,
    }
    way = ways[operator]
    return lambda actual: way(actual) if isinstance(actual, tuple) else general(actual, wanted)
