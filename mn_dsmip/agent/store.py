# SPDX-License-Identifier: GPL-2.0-or-later
"""What must survive a restart: sequence numbers of AKA, pseudonyms, leases, the secret behind what looks random.

An append-only file of JSON lines: a change costs one write and one fsync however many subscribers there are. The file
is written anew when it is opened. A last line without its end was never relied on by anybody and is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Any

from ..engine.effects import LeaseChanged, PseudonymChanged, SqnAdvanced
from .errors import ConfigError

FORMAT_VERSION = 1
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
SECRET_LENGTH = 32
FILE_NAME = "state.jsonl"

Durable = SqnAdvanced | LeaseChanged | PseudonymChanged


class Store:
    """The state of one agent in ``folder``; ``ConfigError`` when what is there cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.sequence_numbers: dict[str, int] = {}
        self.leases: dict[tuple[str, str], LeaseChanged] = {}
        self.pseudonyms: dict[str, str] = {}
        self.interface_secret = b""
        self._path = folder / FILE_NAME
        try:
            folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with ExitStack() as opened:
                opened.callback(os.close, self._folder)
                self._lock(folder)
                self._load()
                self.interface_secret = self.interface_secret or secrets.token_bytes(SECRET_LENGTH)
                self._descriptor = self._rewrite()
                opened.pop_all()
        except OSError as problem:
            raise ConfigError(self._path, None, f"cannot be used: {problem.strerror}") from None

    def _lock(self, folder: Path) -> None:
        """Two agents with one state would use a sequence number twice; the lock goes with the process."""
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(folder, None, "another agent uses it: give each its own `state_dir`") from None

    def record(self, changes: Iterable[Durable]) -> None:
        """Make ``changes`` durable before returning."""
        lines = [self._line(each) for each in changes]
        if lines:
            _write_all(self._descriptor, b"".join(lines))
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file, and let other agents use it."""
        os.close(self._descriptor)
        os.close(self._folder)

    def _line(self, change: Durable) -> bytes:
        if isinstance(change, SqnAdvanced):
            self.sequence_numbers[change.imsi] = change.sqn
            entry: dict[str, Any] = {"imsi": change.imsi, "sqn": change.sqn}
        elif isinstance(change, PseudonymChanged):
            self.pseudonyms[change.imsi] = change.pseudonym
            entry = {"imsi": change.imsi, "pseudonym": change.pseudonym}
        else:
            key = (change.subscriber, change.apn)
            ipv4 = change.ipv4_home_address or getattr(self.leases.get(key), "ipv4_home_address", None)
            self.leases[key] = LeaseChanged(*key, change.prefix, ipv4)
            entry = {"subscriber": key[0], "apn": key[1], "prefix": str(change.prefix), "ipv4": ipv4 and str(ipv4)}
        return json.dumps(entry).encode() + b"\n"

    def _load(self) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as problem:
                raise ConfigError(
                    self._path, number, f"is damaged ({problem}); repair the line, or remove the file to start afresh"
                ) from None

    def _take(self, entry: dict[str, Any]) -> None:
        if "sqn" in entry:
            self.sequence_numbers[entry["imsi"]] = int(entry["sqn"])
        elif "pseudonym" in entry:
            self.pseudonyms[entry["imsi"]] = str(entry["pseudonym"])
        elif "subscriber" in entry:
            ipv4 = IPv4Address(entry["ipv4"]) if entry.get("ipv4") else None
            lease = LeaseChanged(entry["subscriber"], entry["apn"], IPv6Network(entry["prefix"]), ipv4)
            self.leases[lease.subscriber, lease.apn] = lease
        elif entry["version"] != FORMAT_VERSION:
            raise ValueError(f"version {entry['version']} is not understood")
        else:
            self.interface_secret = bytes.fromhex(entry["interface_secret"])

    def _rewrite(self) -> int:
        """Write everything into a new file, put it in the old one's place, and leave it open for appending."""
        head = {"version": FORMAT_VERSION, "interface_secret": self.interface_secret.hex()}
        lines = [json.dumps(head).encode() + b"\n"]
        lines += [self._line(SqnAdvanced(*each)) for each in list(self.sequence_numbers.items())]
        lines += [self._line(PseudonymChanged(*each)) for each in list(self.pseudonyms.items())]
        lines += [self._line(each) for each in list(self.leases.values())]
        fresh = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, _PRIVATE_FILE)
        try:
            _write_all(descriptor, b"".join(lines))
            os.fsync(descriptor)
            fresh.replace(self._path)
            os.fsync(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _write_all(descriptor: int, content: bytes) -> None:
    """A disk that is full takes a part, and says so only when asked to take the rest."""
    while content:
        content = content[os.write(descriptor, content) :]
