# SPDX-License-Identifier: GPL-2.0-or-later
"""The topology with our agents: what the trace shows of attach, traffic, refresh and detach."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.topologies.harness import ROOT, Run, isolated, run_mn

pytestmark = [pytest.mark.mininet, pytest.mark.root, pytest.mark.slow]

OWN_CONFIGURATION = Path(__file__).with_name("own_configuration.py")
CORRESPONDENT = "2001:db8:100:cc::2"
CORRESPONDENT_IPV4 = "203.0.113.2"
HOME_AGENT = "2001:db8:100:aa::1"
ACCESS = "2001:db8:a::/64"
BINDING = "mip6.mhtype == 5 or mip6.mhtype == 6"
INFORMATIONAL, DELETE = "37", "42"
ECHO = "icmpv6.type == 128 or icmpv6.type == 129"
ECHO_IPV4 = "icmp.type == 8 or icmp.type == 0"
BAD_CHECKSUMS = "udp.checksum.status == 0 or icmpv6.checksum.status == 0 or icmp.checksum.status == 0"
KERNEL_ERRORS = "icmpv6.type in {1..4} or icmp.type in {3,4,5,11,12}"


def assert_passed(run: Run) -> None:
    assert run.status == 0, run.output
    assert run.lines("FAIL") == []
    assert "*** Done" in run.output
    assert "Traceback" not in run.output


def assert_ends_with_deregistration(run: Run, care_of_address: str) -> None:
    """TS 24.303 A.5: Binding Update with lifetime 0, its acknowledgement, then DELETE and its answer."""
    filters = f"({BINDING} or isakmp) and ipv6.addr == {care_of_address}"
    fields = ("mip6.bu.lifetime", "mip6.ba.lifetime", "mip6.ba.status", "isakmp.exchangetype", "isakmp.flag_r")
    last = run.frames(filters, *fields)[-4:]
    assert last == [
        ["0", "", "", "", ""],
        ["", "0", "0", "", ""],
        ["", "", "", INFORMATIONAL, "0"],
        ["", "", "", INFORMATIONAL, "1"],
    ]
    deletes = run.frames(f"isakmp.delete.protoid == 1 and ipv6.src == {care_of_address}", "isakmp.typepayload")
    assert DELETE in deletes[-1][0]


def care_of_addresses(run: Run) -> list[str]:
    """The outer source of each UE's first Binding Update, in order of time."""
    sources = [each[0].split(",")[0] for each in run.frames("mip6.mhtype == 5", "ipv6.src")]
    return list(dict.fromkeys(sources))


def test_the_bootstrap_passes(bootstrap_run: Run, three_run: Run) -> None:
    assert_passed(bootstrap_run)
    assert_passed(three_run)
    assert len(bootstrap_run.lines("ok    ")) == 1 + 4 + 1 + 1
    assert len(three_run.lines("ok    ")) == 3 * 7


def test_each_ue_has_a_prefix_and_addresses_of_its_own(three_run: Run) -> None:
    homes = [
        line.split(": ", 1)[1].split(" at ")[0].split(" and ")
        for line in three_run.lines("ok    ")
        if "attaches" in line
    ]
    assert len({ip_network(f"{ipv6}/64", strict=False) for ipv6, _ in homes}) == 3
    assert all(ip_address(ipv6) in ip_network("2001:db8:100:8000::/49") for ipv6, _ in homes)
    assert len({ipv4 for _, ipv4 in homes}) == 3
    assert all(ip_address(ipv4) in ip_network("198.51.100.0/24") for _, ipv4 in homes)


def test_the_trace_ends_with_the_deregistration_after_a_detach(bootstrap_run: Run, three_run: Run) -> None:
    for run, number in ((bootstrap_run, 1), (three_run, 3)):
        addresses = care_of_addresses(run)
        assert len(addresses) == number
        for address in addresses:
            assert_ends_with_deregistration(run, address)


def test_the_trace_ends_with_the_deregistration_when_the_prompt_ends(prompt_run: Run) -> None:
    assert prompt_run.status == 0, prompt_run.output
    addresses = care_of_addresses(prompt_run)
    assert len(addresses) == 2
    for address in addresses:
        assert_ends_with_deregistration(prompt_run, address)


def test_pings_are_inside_the_tunnel_and_nowhere_else(bootstrap_run: Run) -> None:
    """Outer addresses first: care-of address and home agent, home address and correspondent inside."""
    (care_of,) = care_of_addresses(bootstrap_run)
    home, home_ipv4 = next(
        line.split(": ", 1)[1].split(" at ")[0].split(" and ")
        for line in bootstrap_run.lines("ok    ")
        if "attaches" in line
    )
    seen = {
        tuple(each)
        for each in bootstrap_run.frames(ECHO, "icmpv6.type", "ipv6.src", "ipv6.dst")
        if CORRESPONDENT in str(each)
    }
    up = (f"{care_of},{home}", f"{HOME_AGENT},{CORRESPONDENT}")
    down = (f"{HOME_AGENT},{CORRESPONDENT}", f"{care_of},{home}")
    assert seen == {("128", *up), ("129", *down), ("128", *down), ("129", *up)}
    seen = {
        tuple(each) for each in bootstrap_run.frames(ECHO_IPV4, "icmp.type", "ipv6.src", "ipv6.dst", "ip.src", "ip.dst")
    }
    up, down = (
        (care_of, HOME_AGENT, home_ipv4, CORRESPONDENT_IPV4),
        (HOME_AGENT, care_of, CORRESPONDENT_IPV4, home_ipv4),
    )
    assert seen == {("8", *up), ("0", *down), ("8", *down), ("0", *up)}


def test_pings_as_a_person_types_them_go_through_the_tunnel_too(prompt_run: Run) -> None:
    assert prompt_run.output.count("1 received") == 3, prompt_run.output
    assert prompt_run.count(f"({ECHO} or {ECHO_IPV4}) and not (ipv6.addr == {HOME_AGENT})") == 0
    assert prompt_run.count(f"({ECHO} or {ECHO_IPV4}) and ipv6.addr == {HOME_AGENT}") == 6


def test_behind_the_gateway_pings_have_no_tunnel(bootstrap_run: Run) -> None:
    outer = bootstrap_run.frames(
        f"({ECHO}) and ipv6.addr == {CORRESPONDENT}", "ipv6.src", "ipv6.dst", trace="pgw-cn.pcapng"
    )
    assert len(outer) == 4
    assert not [each for each in outer if any("," in text for text in each)]
    assert bootstrap_run.count(ECHO_IPV4, trace="pgw-cn.pcapng") == 4


def test_no_kernel_answers_for_an_agent(bootstrap_run: Run, three_run: Run, prompt_run: Run) -> None:
    for run in (bootstrap_run, three_run, prompt_run):
        for trace in run.traces():
            assert run.frames(KERNEL_ERRORS, "frame.number", "ipv6.src", "icmpv6.type", trace=trace) == []


def test_traces_are_well_formed(three_run: Run) -> None:
    for trace in three_run.traces():
        assert three_run.frames("_ws.malformed", "frame.number", trace=trace) == []
        assert three_run.frames(BAD_CHECKSUMS, "frame.number", trace=trace) == []
        times = [float(each[0]) for each in three_run.frames("frame", "frame.time_epoch", trace=trace)]
        assert times == sorted(times)


def test_plain_tshark_shows_everything_decrypted(three_run: Run) -> None:
    assert three_run.count("isakmp.exchangetype >= 35 and not isakmp.enc.decrypted") == 0
    assert three_run.count('isakmp.id.data.fqdn == "internet"') >= 3
    assert three_run.count("esp and not mipv6") == 0
    assert three_run.count("mip6.mhtype == 5") >= 9
    assert three_run.count("mip6.mhtype == 6") == three_run.count("mip6.mhtype == 5")


def test_the_verdict_is_pass(bootstrap_run: Run, three_run: Run) -> None:
    for run in (bootstrap_run, three_run):
        judged = subprocess.run(
            [sys.executable, "-m", "mn_dsmip.check", str(run.folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert judged.returncode == 0, judged.stdout + judged.stderr
        assert (run.folder / "verdict.json").exists()


def test_the_prompt_attaches_on_command_and_shows_it(prompt_run: Run) -> None:
    rows = [line.split() for line in prompt_run.lines("ue1 ")]
    assert rows[0][1] == "IDLE"
    assert rows[-1][1] == "ATTACHED"
    assert ip_address(rows[-1][4]) in ip_network(ACCESS)
    assert rows[-1][5] == HOME_AGENT
    assert "Binding Update" in prompt_run.output


@pytest.mark.parametrize(
    ("topo", "name", "realm", "pool"),
    [
        pytest.param(
            "s2c,apn=ims.corp,mcc=345,mnc=12,access=2001:db8:f:1::/64,prefix=2001:db8:4000::/36,ipv4=10.45.0.0/24",
            "ims.corp.ha-apn.mnc012.mcc345.pub.3gppnetwork.org",
            "0345120000000001@nai.epc.mnc012.mcc345.3gppnetwork.org",
            "2001:db8:4800::/37",
            id="other-prefixes-apn-and-operator",
        ),
        pytest.param(
            "s2c,suite=legacy,mcc=310,mnc=410,lifetime=60,ipv4=no",
            "internet.ha-apn.mnc410.mcc310.pub.3gppnetwork.org",
            "0310410000000001@nai.epc.mnc410.mcc310.3gppnetwork.org",
            "2001:db8:100:8000::/49",
            id="legacy-suite-and-three-digits",
        ),
    ],
)
def test_parameters_change_what_is_on_the_wire(
    tmp_path_factory: pytest.TempPathFactory, topo: str, name: str, realm: str, pool: str
) -> None:
    run = run_mn(tmp_path_factory.mktemp("runs"), topo, "--test", "bootstrap")
    assert_passed(run)
    assert {each[0] for each in run.frames("dns.flags.response == 0", "dns.qry.name")} == {name}
    assert run.frames("isakmp.id.data.user_fqdn", "isakmp.id.data.user_fqdn")[0][0] == realm
    home = next(line for line in run.lines("ok    ") if "attaches" in line).split(": ", 1)[1].split()[0]
    assert ip_address(home) in ip_network(pool)
    (care_of,) = care_of_addresses(run)
    assert_ends_with_deregistration(run, care_of)


@pytest.mark.usefixtures("bootstrap_run", "three_run")
def test_nothing_of_a_run_is_in_the_machines_resolver_or_routes() -> None:
    assert "2001:db8:" not in Path("/etc/resolv.conf").read_text()
    routes = subprocess.run(["ip", "-6", "route"], capture_output=True, text=True, check=True).stdout
    assert "2001:db8:" not in routes


def test_nodes_take_whole_configurations_that_init_wrote(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    subprocess.run([sys.executable, "-m", "mn_dsmip", "init", samples], cwd=ROOT, capture_output=True, check=True)
    ue = samples / "ue.yaml"
    ue.write_text(ue.read_text().replace("interface: eth0", "interface: ue1-eth0"))
    words = [sys.executable, str(OWN_CONFIGURATION), str(samples), str(tmp_path / "runs")]
    done = subprocess.run(isolated(words), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (home,) = (line.split()[1] for line in done.stdout.splitlines() if line.startswith("HOME"))
    assert ip_address(home) in ip_network("2001:db8:100::/48")
