# SPDX-License-Identifier: GPL-2.0-or-later
"""What survives: written before it is relied on, whole after every crash, refused when damaged."""

from __future__ import annotations

import os
import stat
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.agent.errors import ConfigError
from mn_dsmip.agent.store import FILE_NAME, Store
from mn_dsmip.engine.effects import LeaseChanged, SqnAdvanced

IMSI = "001010000000001"
LEASE = LeaseChanged(IMSI, "internet", IPv6Network("2001:db8:100:1::/64"), None)


def reopened(folder: Path) -> tuple[dict[str, int], dict[tuple[str, str], LeaseChanged], bytes]:
    store = Store(folder)
    store.close()
    return store.sequence_numbers, store.leases, store.interface_secret


def test_a_new_store_is_private_and_has_a_secret_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ue"
    store = Store(folder)
    store.close()
    assert len(store.interface_secret) == 32
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert reopened(folder) == ({}, {}, store.interface_secret)
    assert Store(tmp_path / "other").interface_secret != store.interface_secret


def test_sequence_numbers_and_leases_survive(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record([SqnAdvanced(IMSI, 32), SqnAdvanced("001010000000002", 64)])
    store.record([SqnAdvanced(IMSI, 96), LEASE])
    store.record([LeaseChanged(IMSI, "internet", LEASE.prefix, IPv4Address("10.45.0.1"))])
    store.close()
    numbers, leases, _ = reopened(tmp_path)
    assert numbers == {IMSI: 96, "001010000000002": 64}
    assert leases == {
        (IMSI, "internet"): LeaseChanged(IMSI, "internet", LEASE.prefix, IPv4Address("10.45.0.1")),
    }


def test_an_ipv4_address_stays_when_only_the_prefix_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record([LeaseChanged(IMSI, "internet", LEASE.prefix, IPv4Address("10.45.0.1")), LEASE])
    store.close()
    _, leases, _ = reopened(tmp_path)
    assert leases[IMSI, "internet"].ipv4_home_address == IPv4Address("10.45.0.1")


def test_what_is_recorded_is_on_disk_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    synced: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append((tmp_path / FILE_NAME).read_text()), sync(fd)))
    store.record([SqnAdvanced(IMSI, 32)])
    assert len(synced) == 1 and synced[0].endswith(f'{{"imsi": "{IMSI}", "sqn": 32}}\n')
    store.record([])  # nothing to say, nothing to wait for
    assert len(synced) == 1
    store.close()


def test_opening_writes_the_file_anew_without_what_is_superseded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for sqn in range(32, 3232, 32):
        store.record([SqnAdvanced(IMSI, sqn)])
    store.close()
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 101
    reopened(tmp_path)
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 2


@given(cut=st.integers(min_value=0, max_value=400))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_crash_while_writing_loses_at_most_what_nobody_relied_on(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each ``record`` returns after its line is on disk; a cut anywhere leaves all lines before it."""
    folder = tmp_path_factory.mktemp("state")
    store = Store(folder)
    ends = {}
    for sqn in (32, 64, 96, 128):
        store.record([SqnAdvanced(IMSI, sqn)])
        ends[sqn] = (folder / FILE_NAME).stat().st_size
    store.close()
    content = (folder / FILE_NAME).read_bytes()[:cut]
    (folder / FILE_NAME).write_bytes(content)
    expected = max((sqn for sqn, end in ends.items() if end <= len(content)), default=None)
    numbers, _, _ = reopened(folder)
    assert numbers.get(IMSI) == expected


def test_a_crash_while_the_file_is_written_anew_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.record([SqnAdvanced(IMSI, 32)])
    store.close()
    before = (tmp_path / FILE_NAME).read_bytes()

    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert reopened(tmp_path)[0] == {IMSI: 32}


def test_a_full_disk_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    room = [10]
    write = os.write

    def cramped(fd: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = write(fd, content[: room[0]])
        room[0] -= taken
        return taken

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", cramped)
        with pytest.raises(OSError, match="No space left on device"):
            store.record([SqnAdvanced(IMSI, 32)])
    store.close()
    assert reopened(tmp_path)[0] == {}  # the torn line was relied on by nobody


DAMAGED = [
    ("nonsense", "is damaged (Expecting value: line 1 column 1 (char 0))"),
    ('{"imsi": "001010000000001", "sqn": "x"}', "is damaged (invalid literal for int() with base 10: 'x')"),
    ('{"version": 2}', "is damaged (version 2 is not understood)"),
    ('{"sqn": 5}', "is damaged ('imsi')"),
    ("[]", "is damaged (list indices must be integers or slices, not str)"),
    (
        '{"subscriber": "1", "apn": "a", "prefix": "2001:db8::1/64"}',
        "is damaged (2001:db8::1/64 has host bits set)",
    ),
]


@pytest.mark.parametrize(("line", "expected"), DAMAGED)
def test_a_damaged_line_is_named_and_nothing_is_changed(tmp_path: Path, line: str, expected: str) -> None:
    reopened(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text() + line + "\n")
    before = path.read_text()
    with pytest.raises(ConfigError) as refused:
        Store(tmp_path)
    assert str(refused.value) == f"{path}:2: {expected}; repair the line, or remove the file to start afresh"
    assert path.read_text() == before


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as refused:
        Store(tmp_path / "file")
    assert str(refused.value) == f"{tmp_path}/file/{FILE_NAME}: cannot be used: File exists"


def test_one_agent_at_a_time(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with pytest.raises(ConfigError) as refused:
        Store(tmp_path)
    assert str(refused.value) == f"{tmp_path}: another agent uses it: give each its own `state_dir`"
    first.close()
    Store(tmp_path).close()
