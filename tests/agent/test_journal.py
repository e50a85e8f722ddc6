# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as JSON lines: every event of a whole life fits, and no secret gets in."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from mn_dsmip.agent.journal import Journal, describe
from mn_dsmip.engine.base import Event
from mn_dsmip.engine.effects import AttachFailed, AttachSucceeded, LeaseChanged
from mn_dsmip.engine.ike.events import EspKeysDerived, IkeKeysDerived
from mn_dsmip.engine.ue_states import UeState
from tests.engine.operator_network import Operator


def test_an_event_is_its_name_and_its_fields() -> None:
    event = AttachSucceeded(
        IPv6Address("2001:db8:aaaa::1"), IPv6Network("2001:db8:100::/64"), IPv6Address("2001:db8:100::7"),
        IPv4Address("10.45.0.1"), IPv6Address("2001:db8:f:1::10"), 3600,
    )  # fmt: skip
    assert describe(event) == {
        "event": "attach_succeeded",
        "home_agent": "2001:db8:aaaa::1",
        "home_prefix": "2001:db8:100::/64",
        "home_address": "2001:db8:100::7",
        "ipv4_home_address": "10.45.0.1",
        "care_of_address": "2001:db8:f:1::10",
        "lifetime": 3600,
    }
    assert describe(AttachFailed("SECURING", "no answer", "RFC 7296 2.4", None))["retry_after"] is None


class Colour(Enum):
    DARK_RED = 1


@dataclass(frozen=True)
class Inner:
    shown: bytes
    hidden: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EverythingHappened(Event):
    inner: Inner
    several: tuple[Inner, ...]
    colour: Colour
    words: dict[str, int]
    flag: bool
    share: float
    secret: bytes = field(repr=False)


def test_nested_values_become_plain_and_hidden_fields_stay_out() -> None:
    inner = Inner(b"\x01\x02", b"hide")
    event = EverythingHappened(inner, (inner,), Colour.DARK_RED, {"a": 1}, True, 0.5, b"hide")
    assert describe(event) == {
        "event": "everything_happened",
        "inner": {"shown": "0102"},
        "several": [{"shown": "0102"}],
        "colour": "dark_red",
        "words": {"a": 1},
        "flag": True,
        "share": 0.5,
    }


def secrets_in(event: object) -> Iterator[bytes]:
    """All octets in the fields that ``repr`` hides, at any depth."""
    if isinstance(event, tuple):
        for each in event:
            yield from secrets_in(each)
    for name, member in getattr(event, "__dataclass_fields__", {}).items():
        value = getattr(event, name)
        if isinstance(value, bytes) and not member.repr:
            yield value
        else:
            yield from secrets_in(value)


def test_a_whole_life_is_told_without_a_secret() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    sim, node = operator.simulation, operator.nodes[0]
    assert sim.run(lambda: ue.state is UeState.ATTACHED)
    sim.do(node, ue.refresh)
    sim.run(lambda: False, 1.0)
    sim.do(node, ue.detach)
    assert sim.run(lambda: ue.finished)
    events = [event for each in sim.nodes.values() for _, event in each.events]
    lines = [json.dumps(describe(event)) for event in events]

    (subscription,) = operator.subscriptions.values()
    keys = {subscription.credentials.k, subscription.credentials.opc}
    derived = [event for event in events if isinstance(event, IkeKeysDerived | EspKeysDerived)]
    for event in derived:
        keys.update(key for key in secrets_in(event) if key)
    assert len(derived) == 6 and len(keys) > 10  # an IKE SA and two child SAs, seen from both ends
    for line in lines:
        assert not [key.hex() for key in keys if key.hex() in line]
    names = {json.loads(line)["event"] for line in lines}
    assert {"attach_succeeded", "refresh_succeeded", "detach_finished", "ike_keys_derived", "sqn_advanced"} <= names


def test_a_line_says_when_and_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "ue.jsonl"
    journal = Journal(path)
    before = time.time()
    line = journal.write(LeaseChanged("1", "internet", IPv6Network("2001:db8::/64"), None), 12.3456789)
    assert path.read_bytes() == line
    entry = json.loads(line)
    assert entry["version"] == 1 and entry["event"] == "lease_changed"
    assert entry["monotonic"] == 12.345679 and before - 0.001 <= entry["time"] <= time.time()
    journal.write({"event": "agent_started", "name": "ue"}, 13.0)
    journal.close()
    assert [json.loads(each)["event"] for each in path.read_text().splitlines()] == ["lease_changed", "agent_started"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_journal_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    for number in (1, 2):
        journal = Journal(tmp_path / "ue.jsonl")
        journal.write({"event": "agent_started", "run": number}, 0.0)
        journal.close()
    assert [json.loads(line)["run"] for line in (tmp_path / "ue.jsonl").read_text().splitlines()] == [1, 2]


def test_without_a_path_there_are_lines_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    assert json.loads(journal.write({"event": "x"}, 1.0))["event"] == "x"
    journal.close()
    assert list(tmp_path.iterdir()) == []
