# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan with the ESP and the Mobile IPv6 of a real kernel: as a UE of our gateway, and as our UE's home agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel_lane.lane import Report, run_tests_in_the_lane

HERE = Path(__file__).parent
PEER = "strongSwan 5.9.8, Linux 6.1"
pytestmark = [pytest.mark.kernel_lane, pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def report(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """strongSwan and the kernel as a UE."""
    return run_tests_in_the_lane(clone, HERE / "strongswan_ue.py", tmp_path_factory.mktemp("lane"), seconds=150)


@pytest.fixture(scope="module")
def home_agent_report(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """strongSwan and the kernel as a home agent."""
    return run_tests_in_the_lane(clone, HERE / "strongswan_home_agent.py", tmp_path_factory.mktemp("lane"), seconds=150)


def row(words: str, role: str = "PDN GW") -> pytest.MarkDecorator:
    """A row of the table of independent peers."""
    return pytest.mark.feature(words, peer=PEER, role=role, bullet="3.2")


@row("MH child SA, `transport_proxy`, kernel ESP: established; keys of kernel, strongSwan and ours are the same")
def test_established(report: Report) -> None:
    report.demand("test_established")


@row("the kernel's Home Address option and ESP carry a Binding Update to us, our type 2 Routing Header the answer back")
def test_used(report: Report) -> None:
    report.demand("test_used")


@row("the same SAs after a change of the care-of address, keyed by the home address")
def test_moved(report: Report) -> None:
    report.demand("test_moved")


@row("MH child SA in the kernel: rekeyed by either end, used again, keys the same; IKE SA rekeyed, too")
def test_rekeyed(report: Report) -> None:
    report.demand("test_rekeyed", "test_rekeyed_by_us", "test_ike_rekeyed")


@row("MH child SA in the kernel: deleted; then the IKE SA, by either end")
def test_deleted(report: Report) -> None:
    report.demand("test_deleted", "test_ended_by_strongswan", "test_ended_by_us")


@row("every further ESP suite of ours in the kernel: keys the same, a Binding Update and its answer get through")
def test_suites(report: Report) -> None:
    report.demand("test_suites")


@row("user-plane child SA: kernel ESP tunnels carry ping, IPv6, IPv4, above the MTU; IKE on port 4500 without a NAT")
def test_user_plane(report: Report) -> None:
    report.demand("test_user_plane")


@row("user-plane child SA: the kernel's ESP in UDP, as past a NAT")
def test_user_plane_in_udp(report: Report) -> None:
    report.demand("test_user_plane_in_udp")


@row(
    "our ESP and Home Address option: a home agent's kernel opens our Binding Update, we its answer; same keys",
    "UE",
)
def test_our_ue_used(home_agent_report: Report) -> None:
    home_agent_report.demand("test_established", "test_used")


@row("MH child SA with a kernel's ESP: rekeyed by us and by strongSwan, used again, deleted by us", "UE")
def test_our_ue_rekeyed(home_agent_report: Report) -> None:
    home_agent_report.demand("test_rekeyed_by_us", "test_rekeyed_by_strongswan", "test_deleted_by_us")
