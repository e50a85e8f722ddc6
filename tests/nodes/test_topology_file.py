# SPDX-License-Identifier: GPL-2.0-or-later
"""topos/s2c.py as `mn` reads it: found from anywhere, numbered, routed, and strict about its parameters."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip import nodes
from tests.nodes.custom_file import read

READ = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from custom_file import read
print(read(pathlib.Path(sys.argv[2]))["nodes"].__file__)
"""


@pytest.fixture(scope="module")
def custom(clone: Path) -> dict[str, Any]:
    return read(clone / "topos" / "s2c.py")


def build(custom: dict[str, Any], **parameters: Any) -> Any:
    return custom["topos"]["s2c"](**parameters)


def refusal(custom: dict[str, Any], capsys: pytest.CaptureFixture[str], **parameters: Any) -> str:
    with pytest.raises(SystemExit) as end:
        build(custom, **parameters)
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_it_gives_mn_what_mn_asks_for(custom: dict[str, Any]) -> None:
    assert set(custom["topos"]) == {"s2c"}
    assert custom["tests"] == {"bootstrap": nodes.bootstrap}
    assert (custom["Mininet"], custom["CLI"]) == (nodes.Network, nodes.DsmipCLI)
    assert (custom["cleanup"], custom["validate"]) == (nodes.cleanup, nodes.validate)


def test_addresses_and_routes_follow_from_the_prefixes(custom: dict[str, Any]) -> None:
    topo = build(custom, ues=2)
    assert sorted(topo.hosts()) == ["ar", "cn", "dns", "pgw", "ue1", "ue2"]
    assert topo.nodeInfo("ar")["addresses"] == {
        "ar-eth0": ["2001:db8:a::1/64"],
        "ar-eth1": ["2001:db8:100:53::1/64"],
        "ar-eth2": ["2001:db8:100:1::1/64"],
    }
    assert topo.nodeInfo("cn")["addresses"] == {"cn-eth0": ["2001:db8:100:cc::2/64", "203.0.113.2/24"]}
    assert topo.nodeInfo("cn")["routes"] == [("::/0", "2001:db8:100:cc::1"), ("0.0.0.0/0", "203.0.113.1")]
    assert set(topo.nodeInfo("ar")["routes"]) == {
        ("2001:db8:100:cc::/64", "2001:db8:100:1::2"),
        ("2001:db8:100:aa::1/128", "2001:db8:100:1::2"),
        ("2001:db8:100:8000::/49", "2001:db8:100:1::2"),
    }
    assert "addresses" not in topo.nodeInfo("ue1")
    assert "routes" not in topo.nodeInfo("ue1")


def test_other_prefixes_move_everything(custom: dict[str, Any]) -> None:
    topo = build(custom, access="2001:db8:f:1::/64", prefix="2001:db8:4000::/36", ipv4="10.45.0.0/16")
    assert topo.nodeInfo("ar")["addresses"]["ar-eth0"] == ["2001:db8:f:1::1/64"]
    gateway = topo.nodeInfo("pgw")
    assert (gateway["address"], gateway["home"]) == ("2001:db8:4000:aa::1", "2001:db8:4800::/37")
    assert gateway["ipv4_home"] == "10.45.0.0/16"


@pytest.mark.parametrize(
    ("parameters", "imsi", "digits"),
    [
        ({}, "001010000000001", 2),
        ({"mcc": 1, "mnc": 1}, "001010000000001", 2),  # `mn` reads mcc=001,mnc=01 as numbers
        ({"mcc": 345, "mnc": 12}, "345120000000001", 2),
        ({"mcc": 345, "mnc": 12, "mnc_digits": 3}, "345012000000001", 3),
        ({"mcc": "345", "mnc": "012"}, "345012000000001", 3),
        ({"mcc": 310, "mnc": 410}, "310410000000001", 3),
    ],
)
def test_imsis_begin_with_the_operator(
    custom: dict[str, Any], parameters: dict[str, Any], imsi: str, digits: int
) -> None:
    ue = build(custom, **parameters).nodeInfo("ue1")
    assert (ue["subscriber"], ue["mnc_digits"]) == (imsi, digits)


def test_parameters_reach_the_nodes(custom: dict[str, Any]) -> None:
    topo = build(custom, suite="legacy", lifetime=120, attach="no", apn="ims.corp", ipv4="no", keylog="no")
    ue, gateway = topo.nodeInfo("ue1"), topo.nodeInfo("pgw")
    assert (ue["profile"], ue["lifetime"], ue["attach"], ue["apn"]) == ("legacy", 120, "manual", "ims.corp")
    assert (ue["ipv4_home"], gateway["ipv4_home"], gateway["keylog"]) == (False, None, False)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"ues": 0}, "ues=0: expected 1 to 200"),
        ({"attach": "maybe"}, "attach=maybe: expected yes or no"),
        ({"suite": "best"}, "suite=best: expected modern or legacy"),
        ({"apn": "-x"}, "apn=-x: expected labels"),
        ({"mnc": 1234}, "mnc=1234: expected 3 digits, and 2 or 3 digits"),
        ({"mcc": "x"}, "mcc=x,mnc=01"),
        ({"prefix": "2001:db8:1:2::/64"}, "expected /48 or shorter"),
        ({"access": "2001:db8::1/64"}, "has host bits set"),
        ({"ipv4": "300.0.0.0/8"}, "300.0.0.0"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    custom: dict[str, Any], capsys: pytest.CaptureFixture[str], parameters: dict[str, Any], words: str
) -> None:
    assert words in refusal(custom, capsys, **parameters)


def test_it_is_found_from_any_folder_and_from_a_wheel(clone: Path, tmp_path: Path) -> None:
    """A wheel carries it as mn_dsmip/data/topos/s2c.py; either place must lead to the package around it."""
    site = tmp_path / "site-packages"
    shutil.copytree(clone / "mn_dsmip", site / "mn_dsmip")
    (site / "mn_dsmip/data/topos").mkdir(parents=True)
    shutil.copy(clone / "topos/s2c.py", site / "mn_dsmip/data/topos")
    for file, package in ((clone / "topos/s2c.py", clone), (site / "mn_dsmip/data/topos/s2c.py", site)):
        words = [sys.executable, "-Ic", READ, clone / "tests/nodes", file]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == str(package / "mn_dsmip/nodes/__init__.py"), done.stderr
