# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` and `mn-dsmip ue` against each other on a real link: a whole life, ends, restarts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.agent.control import CommandFailed
from mn_dsmip.wire.ip import ESP, ICMPV6, IPIP, IPV6_IN
from tests.agent.two_namespaces import CORRESPONDENT, CORRESPONDENT_IPV4, HOME_AGENT, Field, field

pytestmark = pytest.mark.root


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Field]:
    with field(tmp_path / "bench") as built:
        yield built


def is_between(packet: bytes, one: str, other: str) -> bool:
    return {packet[8:24], packet[24:40]} == {IPv6Address(one).packed, IPv6Address(other).packed}


def kernel_errors(packets: list[bytes]) -> list[str]:
    """ICMPv6 errors on the link, whoever sent them (RFC 4443 2.1)."""
    return [packet.hex() for packet in packets if packet[6] == ICMPV6 and packet[40] < 128]


def traces_in(network: Field) -> str:
    """Everything in the UE's namespace that an agent could leave behind."""
    return network.ue_namespace.run(
        "ip -o link show type tun", "ip -6 rule", "ip -4 rule", "ip -4 route show table all dev ue-eth0",
        "nft list ruleset", "ip6tables-legacy -t raw -S",
    )  # fmt: skip


def test_the_whole_life_of_a_pdn_connection(network: Field, record_property: Callable[[str, object], None]) -> None:
    before = traces_in(network)
    gateway, ue = network.agent("gateway"), network.agent("ue")

    # UE --- RA, DNS, IKE, BU ---> PDN GW
    attached = network.await_entry("ue", "attach_succeeded")
    assert attached["home_agent"] == HOME_AGENT and attached["ipv4_home_address"] == "10.45.0.1"
    status, binding = network.ask("ue", "status"), network.ask("gateway", "status")["bindings"][0]
    assert (status["name"], status["role"], status["state"]) == ("ue", "ue", "attached")
    for key in ("home_prefix", "home_address", "ipv4_home_address", "care_of_address"):
        assert status[key] == binding[key] == attached[key]

    # UE === applications ===> CN, through the tunnel only
    home, care_of = attached["home_address"], attached["care_of_address"]
    run = network.ue_namespace.run
    for target in (
        CORRESPONDENT,
        CORRESPONDENT_IPV4,
        f"-I {home} {CORRESPONDENT}",
        f"-I 10.45.0.1 {CORRESPONDENT_IPV4}",
    ):
        run(f"ping -c1 -W5 {target}")
    network.pgw_namespace.run(
        f"ping -c1 -W5 -I {CORRESPONDENT} {home}", f"ping -c1 -W5 -I {CORRESPONDENT_IPV4} 10.45.0.1"
    )
    run(f"ping -c3 -i0.2 -W5 -s 3000 {CORRESPONDENT}")  # the first may be lost to path MTU discovery
    run(f"ping -c1 -W5 -I {care_of} {HOME_AGENT}")  # the care-of address stays the kernel's own
    carried = network.ask("ue", "status")["packets"]
    assert carried["up"] >= 9 and carried["down"] >= 7

    assert network.ask("ue", "refresh")["event"] == "refresh_succeeded"
    assert network.ask("ue", "detach") == {"event": "detach_finished", "confirmed": True}
    assert network.ask("gateway", "status")["bindings"] == []
    network.ask("ue", "attach")
    assert network.ask("ue", "status")["home_address"] == home
    record_property("note", (
        f"agents: ready after {gateway.took:.2f} s (gateway) and {ue.took:.2f} s (UE), "
        f"{gateway.resident():.0f} and {ue.resident():.0f} MiB resident"
    ))  # fmt: skip
    assert max(gateway.resident(), ue.resident()) < 60

    assert ue.end() == (0, "") and gateway.end() == (0, "")
    packets = network.tap.packets()
    assert kernel_errors(packets) == []
    assert not [packet for packet in packets if is_between(packet, home, CORRESPONDENT)]
    tunnelled = [packet for packet in packets if packet[6] in (IPV6_IN, IPIP)]
    assert len(tunnelled) >= 16 and all(is_between(packet, care_of, HOME_AGENT) for packet in tunnelled)
    assert len([packet for packet in packets if packet[6] == ESP or packet[40] == ESP]) >= 3
    assert traces_in(network) == before


def test_an_orderly_end_detaches(network: Field) -> None:
    gateway, ue = network.agent("gateway"), network.agent("ue")
    network.await_entry("ue", "attach_succeeded")
    assert ue.end(signal.SIGINT) == (0, "")
    names = [entry["event"] for entry in network.journal("ue")]
    assert names[0] == "agent_started" and names[-1] == "agent_stopped"
    assert next(each for each in network.journal("ue") if each["event"] == "detach_finished")["confirmed"]
    assert network.ask("gateway", "status")["sessions"] == 0
    assert gateway.end() == (0, "")


def test_a_gateway_that_ends_tells_its_ues(network: Field) -> None:
    gateway, ue = network.agent("gateway"), network.agent("ue")
    network.await_entry("ue", "attach_succeeded")
    assert gateway.end() == (0, "")
    failed = network.await_entry("ue", "attach_failed")
    assert failed["reason"] == "the gateway ended the PDN connection"
    assert network.ask("ue", "status")["state"] == "failed"
    assert ue.end() == (0, "")


def test_a_killed_ue_starts_again(network: Field) -> None:
    gateway, ue = network.agent("gateway"), network.agent("ue")
    first = network.await_entry("ue", "attach_succeeded")
    ue.end(signal.SIGKILL)
    ue = network.agent("ue")  # finds what is left of itself: rules, sequence number, home address
    second = network.await_entry("ue", "attach_succeeded", 2)
    assert second["home_address"] == first["home_address"]
    network.ue_namespace.run(f"ping -c1 -W5 {CORRESPONDENT}", f"ping -c1 -W5 {CORRESPONDENT_IPV4}")
    assert len(network.ask("gateway", "status")["bindings"]) == 1
    assert ue.end() == (0, "") and gateway.end() == (0, "")


def test_a_killed_gateway_starts_again(network: Field) -> None:
    gateway, ue = network.agent("gateway"), network.agent("ue")
    first = network.await_entry("ue", "attach_succeeded")
    gateway.end(signal.SIGKILL)
    gateway = network.agent("gateway")  # it knows nobody any more, but whose prefix and sequence number is which
    assert ue.end() == (0, "")  # the goodbye is not answered, and ends nevertheless
    ue = network.agent("ue")
    second = network.await_entry("ue", "attach_succeeded", 2)
    assert second["home_address"] == first["home_address"]
    numbers = [entry["sqn"] for entry in network.journal("gateway") if entry["event"] == "sqn_advanced"]
    assert len(numbers) == 2 and numbers[0] < numbers[1]  # nothing to resynchronise
    assert ue.end() == (0, "") and gateway.end() == (0, "")


def test_two_agents_of_one_configuration(network: Field) -> None:
    network.agent("gateway")
    state = network.samples.folder / "state/gateway"
    second = network.start(
        network.pgw_namespace, [sys.executable, "-m", "mn_dsmip", "gateway", str(network.samples.gateway)]
    )
    output, _ = second.child.communicate(timeout=30)
    assert second.child.returncode == 2
    assert output.decode() == f"mn-dsmip: {state}: another agent uses it: give each its own `state_dir`\n"
    assert network.ask("gateway", "ping") == {}


def test_commands_and_events(network: Field) -> None:
    network.samples.add("ue.yaml", "attach: manual\n")
    network.agent("gateway")
    ue = network.agent("ue")
    socket = str(network.samples.folder / "state/ue/control.sock")
    words = [sys.executable, "-m", "mn_dsmip"]
    follower = network.start(network.ue_namespace, [*words, "events", "--socket", socket])
    with pytest.raises(CommandFailed, match="^there is no binding to refresh in state IDLE$"):
        network.ask("ue", "refresh")
    done = subprocess.run([*words, "attach", "--socket", socket], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["event"] == "attach_succeeded"
    assert ue.end() == (0, "")
    output, _ = follower.child.communicate(timeout=30)
    names = [json.loads(line)["event"] for line in output.splitlines()]
    assert "detach_finished" in names
    done = subprocess.run([*words, "status", "--socket", socket], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"mn-dsmip: no agent answers at {socket} (No such file or directory); is it running?\n"


def test_new_keys_on_command(network: Field) -> None:
    gateway = network.agent("gateway")
    network.agent("ue")
    attached = network.await_entry("ue", "attach_succeeded")
    assert network.ask("ue", "rekey")["event"] == "ike_sa_rekeyed"
    network.ue_namespace.run(f"ping -c1 -W5 {CORRESPONDENT}")

    socket = network.samples.folder / "state/gateway/control.sock"
    for words, status in ((["--subscriber", "001010000000001"], 0), (["--subscriber", "001010000000002"], 1)):
        command = [sys.executable, "-m", "mn_dsmip", "rekey", "--socket", str(socket), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr == "mn-dsmip: 001010000000002 has no session here\n"
    network.await_entry("gateway", "ike_sa_rekeyed", 2)
    assert network.ask("ue", "refresh")["lifetime"] == 3600
    assert network.ask("ue", "status")["home_address"] == attached["home_address"]
    assert gateway.end()[0] == 0
