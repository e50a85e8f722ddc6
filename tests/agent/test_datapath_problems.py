# SPDX-License-Identifier: GPL-2.0-or-later
"""What data paths say when the machine lacks something, and netlink messages that are not what they should be."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mn_dsmip.agent.datapath import tun
from mn_dsmip.agent.datapath.base import Datapath
from mn_dsmip.agent.datapath.firewall import _owner
from mn_dsmip.agent.datapath.gateway import GatewayDatapath
from mn_dsmip.agent.datapath.netlink import build_attributes, parse_attributes, parse_messages
from mn_dsmip.agent.datapath.ue import UeDatapath
from mn_dsmip.agent.errors import EnvironmentProblem
from tests.agent.datapath_network import Namespace

Make = Callable[[], Datapath]
NEED_ROOT = "an agent needs root (CAP_NET_ADMIN and CAP_NET_RAW): start it with sudo"


def ue(interface: str = "lo", device: str = "dsmip0") -> UeDatapath:
    return UeDatapath(interface, device, "ue1", lambda access: None)


def gateway(device: str = "dsmip0") -> GatewayDatapath:
    return GatewayDatapath(device, IPv6Address("2001:db8::1"), None, [IPv6Network("2001:db8:1::/48")], "pgw")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    found = Namespace()
    yield found
    found.close()


def problem_of(datapath: Datapath, namespace: Namespace) -> str:
    """Why it does not open; nothing may be left of the attempt."""
    loop = asyncio.new_event_loop()
    before, descriptors = namespace.run("ip -o link; ip -6 rule; ip -6 route"), len(os.listdir("/proc/self/fd"))
    try:
        with namespace, pytest.raises(EnvironmentProblem) as problem:
            datapath.open(loop, lambda datagrams: None)
        assert namespace.run("ip -o link; ip -6 rule; ip -6 route") == before
        assert len(os.listdir("/proc/self/fd")) == descriptors
        datapath.close()
    finally:
        loop.close()
    return str(problem.value)


@pytest.mark.root
def test_an_interface_that_is_not_there(namespace: Namespace) -> None:
    text = problem_of(ue("eth7"), namespace)
    assert text.startswith("there is no interface eth7 (`access: interface:`); there are lo")


@pytest.mark.root
@pytest.mark.parametrize("make", [ue, gateway])
def test_a_device_that_somebody_has(namespace: Namespace, make: Make) -> None:
    namespace.run("ip tuntap add dev dsmip0 mode tun")
    expected = "there is an interface dsmip0 already: end the agent that has it, or choose another `tunnel: device:`"
    assert problem_of(make(), namespace) == expected


@pytest.mark.root
@pytest.mark.parametrize("make", [lambda: ue(device="a-name-too-long."), lambda: gateway("a-name-too-long.")])
def test_a_device_name_that_is_none(namespace: Namespace, make: Make) -> None:
    assert problem_of(make(), namespace) == "'a-name-too-long.' cannot name a device: 1 to 15 octets are expected"


@pytest.mark.root
@pytest.mark.parametrize("make", [ue, gateway])
def test_a_kernel_without_tun(namespace: Namespace, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun, "CLONE_DEVICE", "/nowhere/tun")
    assert problem_of(make(), namespace) == (
        "/nowhere/tun cannot be opened (No such file or directory): load the module with `modprobe tun`; "
        "a container needs `--device /dev/net/tun`"
    )


@pytest.mark.root
@pytest.mark.parametrize("make", [ue, gateway])
def test_without_root(namespace: Namespace, make: Make) -> None:
    """A child process gives up root and reports what it was told."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespace.__enter__()
            os.setresuid(65534, 65534, 65534)
            make().open(asyncio.new_event_loop(), lambda datagrams: None)
        except EnvironmentProblem as problem:
            os.write(writer, str(problem).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read().decode() == NEED_ROOT
    os.waitpid(child, 0)


@pytest.mark.parametrize("name", ["ue1", "a node, with (odd) characters; drop", "é" * 40, ""])
def test_firewalls_take_the_names_of_nodes(name: str) -> None:
    assert len(_owner(name)) <= 28
    assert _owner(name).isascii()
    assert _owner(name).isidentifier()
    assert _owner(name) != _owner(name + "x")


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=70)))
def test_attributes_come_back(attributes: dict[int, bytes]) -> None:
    assert parse_attributes(build_attributes(attributes)) == attributes


@given(st.binary(max_size=100))
def test_no_octets_upset_a_reader(octets: bytes) -> None:
    """The kernel sends none of these; a reader must still come to an end."""
    parse_attributes(octets)
    assert all(len(each.body) <= len(octets) for each in parse_messages(octets))
