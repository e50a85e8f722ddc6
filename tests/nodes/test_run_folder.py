# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of a run: always new, private where it must be, the caller's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mn_dsmip.nodes import SetupError
from mn_dsmip.nodes.home_operator import Operator, Subscriber, ha_apn
from mn_dsmip.nodes.run_folder import RunFolder


def test_two_runs_in_one_second_do_not_meet(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path, "s2c"), RunFolder(tmp_path, "s2c")
    assert first.path != second.path
    assert (tmp_path / "latest").resolve() == second.path
    assert not (tmp_path / "latest").readlink().is_absolute()


def test_a_topology_may_have_any_name(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "../my net").path.parent == tmp_path


def test_secrets_are_private_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = RunFolder(tmp_path, "x").write_private("ue1.yaml", {"k": "00"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.root
def test_everything_belongs_to_the_caller_of_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12346")
    folder = RunFolder(tmp_path / "runs", "x")
    folder.write_private("ue1.yaml", {})
    folder.give_back()
    paths = [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in paths} == {(12345, 12346)}


def test_a_network_code_of_two_digits_has_three_in_names() -> None:
    assert ha_apn("internet", "345", "12") == "internet.ha-apn.mnc012.mcc345.pub.3gppnetwork.org"
    assert ha_apn("internet", "345", "012") == ha_apn("internet", "345", "12")


def test_a_subscriber_keeps_its_keys_to_itself() -> None:
    subscriber = Subscriber("001010000000001")
    assert subscriber.k not in repr(subscriber)
    assert subscriber.opc not in repr(subscriber)
    assert (len(subscriber.k), len(subscriber.opc)) == (32, 32)


@pytest.mark.parametrize(("imsi", "digits"), [("00101x", 2), ("0010", 2), ("0" * 16, 2), ("001010000000001", 4)])
def test_what_is_no_imsi_is_refused(imsi: str, digits: int) -> None:
    with pytest.raises(SetupError):
        Subscriber(imsi, digits)


def test_two_ues_of_one_subscriber_share_its_keys_and_add_their_apns() -> None:
    operator = Operator()
    first = operator.subscribe(Subscriber("001010000000001"), "internet")
    second = operator.subscribe(Subscriber("001010000000001"), "ims")
    assert first is second
    assert operator.apns == {"001010000000001": {"internet", "ims"}}


def test_gateways_are_published_for_the_apns_they_serve() -> None:
    operator = Operator()
    for apn in ("internet", "ims"):
        operator.subscribe(Subscriber("001010000000001"), apn)
    operator.publish(["2001:db8::1"], lambda apn: apn == "ims")
    assert operator.home_agents == {ha_apn("internet", "001", "01"): [], ha_apn("ims", "001", "01"): ["2001:db8::1"]}
