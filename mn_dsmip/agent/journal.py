# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as JSON lines: for the journal file, and for whoever listens on the control socket."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from ..crypto.groups import Group
from ..crypto.suites import Encryption, Integrity, Prf
from ..engine.base import Event
from ..engine.ike.proposals import Chosen

FORMAT_VERSION = 1
_PRIVATE_FILE = 0o600


def describe(event: Event) -> dict[str, Any]:
    """An event as JSON can hold it: its name in snake_case and its fields, secrets left out."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    fields = _plain(event)
    assert isinstance(fields, dict)
    return {"event": name, **fields}


def _plain(value: Any) -> Any:  # whatever a field of an event may hold
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IPv4Address | IPv6Address | IPv4Network | IPv6Network | Chosen):
        return str(value)
    if isinstance(value, Encryption | Integrity | Prf | Group):
        return value.name
    if dataclasses.is_dataclass(value):  # fields that `repr` hides are secrets
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value) if each.repr}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return str(value)


class Journal:
    """Writes one line an event; without a path it only makes the lines."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE_FILE)

    def write(self, event: Event | Mapping[str, Any], monotonic: float) -> bytes:
        """Note ``event``; the line is returned for other listeners."""
        content = describe(event) if isinstance(event, Event) else dict(event)
        entry = {"version": FORMAT_VERSION, "time": round(time.time(), 6), "monotonic": round(monotonic, 6), **content}
        line = json.dumps(entry).encode() + b"\n"
        if self._descriptor is not None:
            os.write(self._descriptor, line)
        return line

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
