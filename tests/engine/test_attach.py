# SPDX-License-Identifier: GPL-2.0-or-later
"""UE and PDN GW over the in-memory network: attach, traffic, refresh, detach, on good days and on bad ones."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from mn_dsmip.crypto.certs import issue
from mn_dsmip.engine.base import ProtocolError
from mn_dsmip.engine.effects import (
    AttachFailed,
    AttachSucceeded,
    DetachFinished,
    RefreshSucceeded,
    SetMtu,
    SqnAdvanced,
    StateChanged,
)
from mn_dsmip.engine.gateway_policy import ApnPools
from mn_dsmip.engine.ike.aka_common import AKA_PRIME
from mn_dsmip.engine.ike.events import Timers
from mn_dsmip.engine.ike.proposals import PROFILES
from mn_dsmip.engine.mip.events import BindingRemoved, Registered
from mn_dsmip.engine.ue import UserEquipment
from mn_dsmip.engine.ue_states import TABLE, Step, UeState
from tests.engine.hosts import echo_request, ipv4, ipv6
from tests.engine.operator_network import (
    APN,
    CORRESPONDENT,
    CORRESPONDENT_IPV4,
    DNS_SERVER,
    FQDN,
    HOME_AGENT,
    HOME_PREFIXES,
    NOW,
    Operator,
    certificates,
)
from tests.engine.simulation import Conditions

SETTLED = (UeState.ATTACHED, UeState.FAILED)


def attached(operator: Operator, ue: UserEquipment, limit: float = 300.0) -> bool:
    """Let time pass until the UE is attached or has failed."""
    operator.simulation.run(lambda: ue.state in SETTLED, limit)
    return ue.state is UeState.ATTACHED


def test_the_whole_life_of_a_pdn_connection() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    sim, node = operator.simulation, operator.nodes[0]

    # UE --- DNS, IKE_SA_INIT, IKE_AUTH with EAP-AKA, CREATE_CHILD_SA, BU ---> PDN GW
    assert attached(operator, ue)
    (succeeded,) = node.seen(AttachSucceeded)
    assert isinstance(succeeded, AttachSucceeded)
    assert succeeded.home_prefix.subnet_of(IPv6Network(HOME_PREFIXES)) and succeeded.home_prefix.prefixlen == 64
    assert succeeded.home_address in succeeded.home_prefix
    assert succeeded.ipv4_home_address == IPv4Address("10.45.0.1")
    (mtu,) = node.seen(SetMtu)
    assert mtu == SetMtu(1460)
    (binding,) = operator.gateway.home_agent.bindings()
    assert binding.care_of_address == succeeded.care_of_address

    # UE === ping over both families, through the tunnel ===> CN
    for source, destination in (
        (str(succeeded.home_address), CORRESPONDENT),
        (str(succeeded.ipv4_home_address), CORRESPONDENT_IPV4),
    ):
        node.home.clear()
        sim.apply(node, echo_request(source, destination))
        assert sim.run(lambda: len(node.home) == 1, 5)
    # any other address of the home prefix works too (implicit mode, R)
    node.home.clear()
    sim.apply(node, echo_request(str(succeeded.home_prefix[0x77]), CORRESPONDENT))
    assert sim.run(lambda: len(node.home) == 1, 5)

    # CN === ping ===> UE
    node.home.clear()
    sim.send(echo_request(CORRESPONDENT, str(succeeded.home_address)))
    sim.send(echo_request(CORRESPONDENT_IPV4, str(succeeded.ipv4_home_address)))
    assert sim.run(lambda: len(node.home) == 2, 5)

    # UE --- BU ---> PDN GW
    sim.do(node, ue.refresh)
    assert sim.run(lambda: bool(node.seen(RefreshSucceeded)), 5)

    # UE --- BU lifetime 0, DELETE ---> PDN GW
    sim.do(node, ue.detach)
    assert sim.run(lambda: ue.finished, 10)
    assert node.seen(DetachFinished) == [DetachFinished(confirmed=True)]
    assert operator.gateway.finished and operator.gateway_node.seen(BindingRemoved)
    assert len(operator.gateway.policy.leases.prefixes[APN]) == 1, "kept through the grace"
    sim.run(lambda: False, 30)
    assert len(operator.gateway.policy.leases.prefixes[APN]) == 0
    assert not ue.counters and not operator.gateway.counters


def test_a_binding_is_refreshed_by_itself_before_it_ends() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue)
    operator.simulation.run(lambda: False, 4 * 3600)
    refreshed = [each for each in operator.nodes[0].seen(Registered) if isinstance(each, Registered) and each.refreshed]
    assert ue.state is UeState.ATTACHED and len(refreshed) >= 7
    assert not operator.gateway_node.seen(BindingRemoved)


def test_two_ues_get_different_prefixes_and_reach_each_other() -> None:
    operator = Operator().start()
    first, second = operator.add_ue(), operator.add_ue()
    assert attached(operator, first) and attached(operator, second)
    addresses = [str(ue.status(0)["home_address"]) for ue in (first, second)]
    assert first.status(0)["home_prefix"] != second.status(0)["home_prefix"]
    operator.simulation.apply(operator.nodes[0], echo_request(*addresses))
    assert operator.simulation.run(lambda: len(operator.nodes[1].home) == 1, 5)


def test_the_same_subscriber_gets_its_prefix_back() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue)
    before = ue.status(0)
    operator.simulation.do(operator.nodes[0], ue.detach)
    operator.simulation.run(lambda: False, 60)
    operator.add_ue()
    assert attached(operator, operator.ues[1])
    operator.simulation.do(operator.nodes[0], ue.attach)
    assert attached(operator, ue)
    after = ue.status(0)
    assert (after["home_prefix"], after["home_address"]) == (before["home_prefix"], before["home_address"])


@pytest.mark.parametrize("profile", ["modern", "legacy"])
@pytest.mark.parametrize("flavour", ["aka", "aka-prime"])
def test_every_profile_and_both_eap_methods(profile: str, flavour: str) -> None:
    operator = Operator()
    operator.ike = replace(operator.ike, profile=PROFILES[profile])
    operator.start()
    changes = {"flavour": AKA_PRIME, "network_name": b"WLAN"} if flavour == "aka-prime" else {}
    assert attached(operator, operator.add_ue(profile=PROFILES[profile], **changes))


def test_a_pre_shared_key_instead_of_eap() -> None:
    operator = Operator(psk=b"a shared secret").start()
    ue = operator.add_ue(psk=b"a shared secret")
    assert attached(operator, ue)


def test_the_usim_resynchronises() -> None:
    operator = Operator().start()
    ue = operator.add_ue(attach=False)
    assert ue.config.usim
    ue.config.usim.sqn = 1000
    operator.simulation.do(operator.nodes[0], ue.attach)
    assert attached(operator, ue)
    assert operator.gateway_node.seen(SqnAdvanced)[-1] == SqnAdvanced(ue.config.imsi, 1001)


def test_large_packets_pass_and_oversized_ones_are_reported() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue)
    sim, node = operator.simulation, operator.nodes[0]
    home, home4 = str(ue.status(0)["home_address"]), str(ue.status(0)["ipv4_home_address"])
    fits = echo_request(home, CORRESPONDENT, data=bytes(1460 - 48))
    sim.apply(node, fits)
    assert sim.run(lambda: node.home and len(node.home[0]) == 1460, 5)

    # one octet more: Packet Too Big to the application, nothing on the wire
    node.home.clear()
    on_wire = len(sim.wire)
    sim.apply(node, echo_request(home, CORRESPONDENT, data=bytes(1461 - 48)))
    (error,) = node.home
    assert error[40] == 2 and int.from_bytes(error[44:48], "big") == 1460 and len(sim.wire) == on_wire

    # the same from the correspondent, and over IPv4 with "don't fragment"
    operator.correspondent.received.clear()
    sim.send(echo_request(CORRESPONDENT, home, data=bytes(1461 - 48)))
    assert sim.run(lambda: any(packet[40] == 2 for packet in operator.correspondent.received if packet[6] == 58), 5)
    node.home.clear()
    addresses = IPv4Address(home4).packed, IPv4Address(CORRESPONDENT_IPV4).packed
    sim.apply(node, ipv4(*addresses, 17, bytes(1450), flags=0x4000))
    (error,) = node.home
    assert (error[9], error[20], error[21], int.from_bytes(error[26:28], "big")) == (1, 3, 4, 1460)

    # without it the outer packet travels in fragments and arrives whole
    operator.correspondent.received.clear()
    large = ipv4(*addresses, 17, bytes(1450))
    sim.apply(node, large)
    assert sim.run(lambda: large in operator.correspondent.received, 5)


def test_a_smaller_path_is_learned_from_packet_too_big() -> None:
    operator = Operator().start()
    ue = operator.add_ue()
    assert attached(operator, ue)
    sim, node = operator.simulation, operator.nodes[0]
    home = str(ue.status(0)["home_address"])

    def narrow_link(packet: bytes) -> list[bytes]:
        if len(packet) <= 1400 or packet[6] != 41:
            return [packet]
        quoted = (1400).to_bytes(4, "big") + packet[:1000]
        from tests.engine.hosts import ICMPV6, with_checksum

        source, router = packet[8:24], IPv6Address("2001:db8:f:1::1").packed
        sim.deliver(ipv6(router, source, ICMPV6, with_checksum(router, source, ICMPV6, b"\x02\0\0\0" + quoted, 2)))
        return []

    sim.tamper = narrow_link
    request = echo_request(home, CORRESPONDENT, data=bytes(1400 - 48))
    sim.apply(node, request)
    assert sim.run(lambda: any(p[6] == 58 and p[40] == 2 for p in node.home), 5), "relayed to the inner source"
    (error,) = [p for p in node.home if p[40] == 2]
    assert int.from_bytes(error[44:48], "big") == 1360


def test_a_gateway_that_vanishes_is_noticed_and_found_again() -> None:
    operator = Operator().start()
    ue = operator.add_ue(timers=Timers(liveness=20))
    assert attached(operator, ue)
    sim, node = operator.simulation, operator.nodes[0]
    prefix = ue.status(0)["home_prefix"]
    sim.tamper = lambda packet: []  # the gateway's power is cut
    assert sim.run(lambda: ue.state is UeState.FAILED, 300)
    assert "does not answer" in str(node.seen(AttachFailed)[0])
    operator.start()  # it comes back and knows nothing
    sim.tamper = None
    assert sim.run(lambda: ue.state is UeState.ATTACHED, 600)
    assert ue.status(0)["home_prefix"] == prefix


def test_failures_are_explained() -> None:
    def reason(operator: Operator, **changes: object) -> str:
        operator.start()
        ue = operator.add_ue(**changes)
        assert not attached(operator, ue)
        (failed,) = operator.nodes[0].seen(AttachFailed)[:1]
        assert isinstance(failed, AttachFailed)
        return f"{failed.state}: {failed.reason}"

    unknown = Operator()
    unknown.dns.records.clear()
    assert reason(unknown).startswith(f"DISCOVERING: {FQDN}. does not exist")
    silent = Operator()
    silent.dns.records[FQDN + ".", "AAAA"] = ["2001:db8:dead::1"]
    assert reason(silent) == "SECURING: the gateway does not answer IKE_SA_INIT"
    nobodys = Operator()
    nobodys.dns.records[FQDN + ".", "AAAA"] = ["ff02::1", "::1"]
    assert reason(nobodys).endswith(f"{FQDN}. has no AAAA record with an address of a home agent")
    other = Operator()
    other.ike = replace(other.ike, profile=PROFILES["legacy"])
    assert "refused our IKE proposal (NO_PROPOSAL_CHOSEN): we offered AES-GCM-16-256" in reason(other)
    assert "may not use" not in reason(Operator(apns={APN: ApnPools(IPv6Network("2001:db8:100::/64"))}), apn="ims")


def test_the_next_home_agent_is_tried() -> None:
    operator = Operator()
    operator.dns.records[FQDN + ".", "AAAA"] = ["2001:db8:dead::1", HOME_AGENT]
    operator.start()
    assert attached(operator, operator.add_ue())


def test_the_next_target_of_a_service_is_tried() -> None:
    # RFC 2782: dead.example has no host at its address, none.example no address, pgw.example answers
    operator, domain = Operator(), FQDN.partition(".ha-apn.")[2]
    authority = certificates()[0]
    operator.ike = replace(operator.ike, identity=issue(authority, ["pgw.example"], NOW))
    targets = ["3 0 500 pgw.example.", "1 0 500 dead.example.", "2 0 500 none.example."]
    operator.dns.records = {
        (f"_mip6._ipv6.{domain}.", "SRV"): targets,
        ("dead.example.", "AAAA"): ["ff02::1", "2001:db8:dead::1", "::1"],
        ("pgw.example.", "AAAA"): [HOME_AGENT],
    }
    operator.start()
    ue = operator.add_ue(srv_fallback=True)
    assert attached(operator, ue), ue.status(0.0)
    states = [each.new for each in operator.nodes[0].seen(StateChanged) if isinstance(each, StateChanged)]
    assert states == [
        "DISCOVERING", "SECURING", "DISCOVERING", "SECURING", "ADDRESSING", "REGISTERING", "ATTACHED",
    ]  # fmt: skip


def test_nothing_may_be_asked_at_the_wrong_moment() -> None:
    operator = Operator().start()
    ue = operator.add_ue(attach=False)
    with pytest.raises(ProtocolError, match="no binding to refresh in state IDLE"):
        ue.refresh(0.0)
    assert attached(operator, ue) is False
    operator.simulation.do(operator.nodes[0], ue.attach)
    assert attached(operator, ue)
    with pytest.raises(ProtocolError, match="ATTACH is not possible in state ATTACHED"):
        ue.attach(operator.simulation.now)


@pytest.mark.parametrize("state", UeState)
@pytest.mark.parametrize("step", Step)
def test_every_pair_of_the_table(state: UeState, step: Step) -> None:
    from mn_dsmip.engine.base import Machine

    machine = Machine(TABLE, state)
    if (state, step) in TABLE:
        assert machine.step(step) is TABLE[state, step]
    else:
        with pytest.raises(ProtocolError):
            machine.step(step)
        assert machine.state is state


def test_the_same_seed_gives_the_same_bytes() -> None:
    def wire(seed: int) -> list[tuple[float, bytes]]:
        operator = Operator(seed, Conditions(loss=0.2, duplication=0.1, jitter=0.05)).start()
        ue = operator.add_ue()
        attached(operator, ue)
        return operator.simulation.wire

    assert certificates()
    assert wire(7) == wire(7)
    assert wire(7) != wire(8)


def test_a_dns_server_of_the_configuration() -> None:
    operator = Operator().start()
    ue = operator.add_ue(dns_servers=(IPv6Address("2001:db8::dead"), IPv6Address(DNS_SERVER)))
    assert attached(operator, ue)


SEEDS = 2000
LOSSES = (0.0, 0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize("loss", LOSSES)
def test_attach_through_a_bad_network(loss: float) -> None:
    """Up to 20 % loss nearly all attach; beyond that a UE is attached or says why not (and would try again)."""
    count = SEEDS // len(LOSSES)
    successes = 0
    for seed in range(count):
        conditions = Conditions(loss=loss, duplication=loss / 2, jitter=0.1 * (loss > 0))
        operator = Operator(seed, conditions).start()
        ue = operator.add_ue()
        attached(operator, ue, limit=600)
        assert ue.state in SETTLED
        if ue.state is UeState.ATTACHED:
            successes += 1
            (binding,) = operator.gateway.home_agent.bindings()
            assert str(binding.home_address) == ue.status(0)["home_address"]
        else:
            (failed,) = operator.nodes[0].seen(AttachFailed)
            assert isinstance(failed, AttachFailed)
            assert "answer" in failed.reason and failed.retry_after
    assert successes >= 0.99 * count if loss <= 0.2 else successes > 0
    print(f"loss {loss:.0%}: {successes} of {count} attached at the first attempt")


def test_a_gateway_without_memory_gives_the_prefix_that_the_ue_had() -> None:
    operator = Operator().start()
    other, ue = operator.add_ue(attach=False), operator.add_ue(timers=Timers(liveness=20))
    assert attached(operator, ue)
    operator.simulation.do(operator.nodes[0], other.attach)
    assert attached(operator, other)
    prefix = other.status(0)["home_prefix"]
    operator.simulation.tamper = lambda packet: []
    assert operator.simulation.run(lambda: other.state is ue.state is UeState.FAILED, 400)
    operator.simulation.tamper = None
    operator.start()
    operator.simulation.do(operator.nodes[0], other.attach)
    assert attached(operator, other)
    assert other.status(0)["home_prefix"] == prefix
