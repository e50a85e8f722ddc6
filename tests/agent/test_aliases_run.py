# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents with `ike.pseudonyms` and `ike.fast_reauth`: what each attach says in IDi, across restarts of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mn_dsmip.agent.store import FILE_NAME
from tests.agent.two_namespaces import Field, Process, field

pytestmark = pytest.mark.root
IMSI = "001010000000001"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Field]:
    with field(tmp_path / "bench") as built:
        built.samples.edit("gateway.yaml", "# pseudonyms: false ", "pseudonyms: true  # ")
        built.samples.edit("gateway.yaml", "# fast_reauth: false ", "fast_reauth: true  # ")
        yield built


def vectors(network: Field) -> int:
    """How many the gateway has made so far."""
    return (network.samples.folder / "state/gateway" / FILE_NAME).read_text().count('"sqn"')


def attach(network: Field, count: int) -> None:
    """The UE's attachment of that number, by a new process or by command."""
    network.await_entry("ue", "attach_succeeded", count)
    assert network.await_entry("gateway", "ike_sa_established", count)["identity"] == IMSI


def end(*agents: Process) -> None:
    for agent in agents:
        code, said = agent.end()
        assert code == 0, said


def test_names_across_restarts(network: Field) -> None:
    gateway, ue = network.agent("gateway"), network.agent("ue")
    attach(network, 1)
    first = network.await_entry("ue", "pseudonym_changed")
    assert first["imsi"] == IMSI
    assert first["pseudonym"].startswith("2")
    assert IMSI not in first["pseudonym"]
    assert vectors(network) == 1

    # the same process again: fast, without the USIM and without a new pseudonym
    assert network.ask("ue", "detach")["confirmed"]
    network.ask("ue", "attach")
    attach(network, 2)
    assert vectors(network) == 1

    # another process: by the pseudonym that it kept
    end(ue)
    ue = network.agent("ue")
    attach(network, 3)
    assert network.await_entry("ue", "pseudonym_changed", 2)["pseudonym"] != first["pseudonym"]

    # a gateway that was restarted knows the pseudonym; no identity is asked for
    end(ue, gateway)
    gateway = network.agent("gateway")
    sequence = vectors(network)
    ue = network.agent("ue")
    attach(network, 4)
    assert vectors(network) == sequence + 1
    counters = network.ask("gateway", "status")["counters"]
    assert not [name for name in counters if name.startswith("eap")], counters
    end(ue, gateway)
