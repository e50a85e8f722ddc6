# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of flow files: kinds of messages with their fields, and comparisons.

`FIELDS` has every kind of message with its fields; `reading.fields` lists them where they are read.
"""

from __future__ import annotations

from mn_dsmip.check.reading.fields import FIELDS

__all__ = ["FIELDS", "OPERATORS", "SEVERITIES", "UNITS"]

# Comparison: what an expectation with it reads like, before the value.
OPERATORS = {
    "is": "",
    "is_not": "not ",
    "lt": "less than ",
    "le": "at most ",
    "gt": "more than ",
    "ge": "at least ",
    "one_of": "one of ",
    "contains": "with ",
    "contains_any": "with one of ",
    "lacks": "without ",
    "in_prefix": "in ",
    "matches": "matching ",
    "count": "exactly this many: ",
    "present": "present: ",
}
SEVERITIES = ("violation", "warning", "note")
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "units": 4.0}  # units: of lifetimes, RFC 6275 6.1.7
