# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes, services, captures and prompt, with agents that do no protocol."""

from __future__ import annotations

import json
import stat
from ipaddress import IPv6Address, IPv6Network

import pytest

from tests.topologies.harness import Run

pytestmark = [pytest.mark.mininet, pytest.mark.root]
PRIVATE = ("ue1.yaml", "ue2.yaml", "ue3.yaml", "pgw.yaml", "pgw.subscribers.yaml")
DNS = "2001:db8:100:53::2"
ACCESS = IPv6Network("2001:db8:a::/64")


def test_the_run_ends_in_good_order(standin_run: Run) -> None:
    assert standin_run.status == 0, standin_run.output
    assert "*** Done" in standin_run.output
    assert "Traceback" not in standin_run.output


def test_the_folder_holds_what_the_readme_says(standin_run: Run) -> None:
    assert standin_run.traces() == ["ar-dns.pcapng", "ar-pgw.pcapng", "pgw-cn.pcapng", "trace.pcapng"]
    description = standin_run.description()
    assert description["version"] == 1
    assert description["topology"] == "s2c"
    assert description["parameters"] == {"ues": 3}
    assert description["nodes"]["pgw"]["home_agent"] == ["2001:db8:100:aa::1", "192.0.2.1"]
    assert description["nodes"]["ue2"]["imsi"] == "001010000000002"
    assert ["ar-eth2", "pgw-eth0"] in description["links"]
    assert set(description["versions"]) == {"mn_dsmip", "mininet", "python", "kernel"}


def test_secrets_are_for_their_owner_only(standin_run: Run) -> None:
    for name in PRIVATE:
        assert stat.S_IMODE((standin_run.folder / "config" / name).stat().st_mode) == 0o600


def test_ue_and_gateway_hold_the_same_keys(standin_run: Run) -> None:
    store = json.loads((standin_run.folder / "config/pgw.subscribers.yaml").read_text())
    for number, subscriber in enumerate(store, 1):
        own = json.loads((standin_run.folder / f"config/ue{number}.yaml").read_text())["subscriber"]
        assert own.items() <= subscriber.items()
        assert subscriber["apns"] == ["internet"]
    assert len({subscriber["k"] for subscriber in store}) == 3


def test_no_key_is_anywhere_else(standin_run: Run) -> None:
    keys = [each["k"] for each in json.loads((standin_run.folder / "config/pgw.subscribers.yaml").read_text())]
    public = [standin_run.output, (standin_run.folder / "run.json").read_text()]
    assert not [key for key in keys for text in public if key in text]


def test_the_trace_begins_before_the_first_router_advertisement(standin_run: Run) -> None:
    advertisements = standin_run.frames(
        "icmpv6.type == 134", "icmpv6.opt.rdnss", "icmpv6.opt.prefix", "icmpv6.opt.prefix.flag.a"
    )
    assert advertisements
    for servers, prefix, autonomous in advertisements:
        assert servers == DNS
        assert prefix == "2001:db8:a::"
        assert autonomous == "1"
    first_use = standin_run.frames("ipv6.addr == 2001:db8:a::/64", "frame.number")[0]
    first_advertisement = standin_run.frames("icmpv6.type == 134", "frame.number")[0]
    assert int(first_advertisement[0]) < int(first_use[0])


def test_every_ue_waits_for_its_care_of_address(standin_run: Run) -> None:
    targets = [
        IPv6Address(each[0])
        for each in standin_run.frames("icmpv6.type == 135 and ipv6.src == ::", "icmpv6.nd.ns.target_address")
    ]
    assert len({target for target in targets if target in ACCESS}) == 3


def test_the_trace_ends_with_what_attached_ues_sent_last(standin_run: Run) -> None:
    senders = {
        interface["mac"]
        for name in ("ue1", "ue2")
        for interface in standin_run.description()["nodes"][name]["interfaces"].values()
    }
    assert {each[0] for each in standin_run.frames("udp.port == 9", "eth.src")} == senders


def test_traces_are_in_order_and_name_their_interface(standin_run: Run) -> None:
    for trace in standin_run.traces():
        times = [float(each[0]) for each in standin_run.frames("frame", "frame.time_epoch", trace=trace)]
        assert times == sorted(times)
        assert standin_run.count("frame.cap_len != frame.len", trace) == 0
    assert {each[0] for each in standin_run.frames("frame", "frame.interface_name")} == {"ar-eth0"}


def test_checksums_are_those_of_the_wire(standin_run: Run) -> None:
    assert standin_run.count("udp", "ar-dns.pcapng") >= 8
    for trace in standin_run.traces():
        assert standin_run.count("udp.checksum.status == 0 or icmpv6.checksum.status == 0 or _ws.malformed", trace) == 0


def test_nothing_of_ipv4_is_on_the_access_link(standin_run: Run) -> None:
    assert standin_run.count("arp or ip") == 0


def test_the_namespace_of_mn_is_not_touched(standin_run: Run) -> None:
    own = [line for line in standin_run.lines("") if "scope" in line and (" s1 " in line or "s1-eth" in line)]
    assert own == []
    assert "default via" not in standin_run.output.partition("2001:db8:a::/64 dev ue2-eth0")[0]


def test_the_zone_is_answered_with_authority(standin_run: Run) -> None:
    assert standin_run.lines("LOOKUP") == [
        "LOOKUP AAAA NOERROR authoritative 2001:db8:100:aa::1",
        "LOOKUP A NOERROR authoritative 192.0.2.1",
        "LOOKUP SRV NOERROR authoritative 0 0 500 internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org.",
        "LOOKUP AAAA NXDOMAIN authoritative",
    ]


def test_the_prompt_shows_and_steers_agents(standin_run: Run) -> None:
    header = next(line for line in standin_run.output.splitlines() if line.startswith("node "))
    assert header.startswith("node  state     home address")
    assert standin_run.lines("ue1 ")[0].split()[:3] == ["ue1", "ATTACHED", "2001:db8:100:8000::1"]
    assert standin_run.lines("ue3 ")[-1].split()[:2] == ["ue3", "IDLE"]
    assert "no UE or gateway is called 'nobody'; there is: pgw, ue1, ue2, ue3" in standin_run.output
    assert "usage: dsmip" in standin_run.output


def test_the_prompt_names_nodes_by_their_addresses(standin_run: Run) -> None:
    assert standin_run.lines("203.0.113.2 is 203.0.113.2")
    assert standin_run.lines("-6 2001:db8:100:cc::2")
    assert standin_run.lines("198.51.100.1")


def test_the_prompt_shows_the_trace_so_far(standin_run: Run) -> None:
    assert "Router Advertisement" in standin_run.output
