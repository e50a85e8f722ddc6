# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests with independent peers; their tools come with `make setup`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.interop.peers import charon, hostapd
from tests.interop.peers.network import Field, field, nat_field


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root"):
        for tool in (charon.DAEMON, hostapd.DAEMON, "gcc"):
            if shutil.which(tool) is None:
                pytest.skip(f"needs {tool}: sudo make setup")


@pytest.fixture
def meeting() -> Iterator[Field]:
    """Two namespaces and a cable, for one test."""
    with field() as found:
        yield found


@pytest.fixture(scope="module")
def shared_meeting() -> Iterator[Field]:
    """The same for all tests of a module."""
    with field() as found:
        yield found


@pytest.fixture
def nat_meeting() -> Iterator[Field]:
    """With a NAT in the middle."""
    with nat_field() as found:
        yield found
