# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.topologies.harness import Run, run_mn

LOOKUP = Path(__file__).with_name("lookup.py")
HOME_AGENT = "internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"
SCRIPT = f"""dsmip
sh ip -6 -o address
sh ip -6 route show table all
sh cat /proc/net/igmp
ue1 ip -4 -o address show dev ue1-eth0
ue2 ip -6 route
ue1 {{python}} {LOOKUP} {{server}} {HOME_AGENT} AAAA
ue1 {{python}} {LOOKUP} {{server}} {HOME_AGENT} A
ue1 {{python}} {LOOKUP} {{server}} _mip6._ipv6.{HOME_AGENT} SRV
ue1 {{python}} {LOOKUP} {{server}} nobody.{HOME_AGENT} AAAA
dsmip detach ue3
dsmip detach nobody
dsmip nonsense
dsmip trace ue2
ue1 echo cn is cn
ue1 echo -6 cn
cn echo ue1
"""


TYPED = """dsmip
dsmip attach ue1
dsmip attach ue2
ue1 ping -c1 -W5 cn
ue2 ping -6 -c1 -W5 cn
cn ping -c1 -W5 ue2
dsmip
dsmip trace ue1
"""


@pytest.fixture(scope="session")
def standin_run(tmp_path_factory: pytest.TempPathFactory, clone: Path) -> Run:
    """Three stand-in UEs, started, asked at the prompt, and stopped in good order."""
    script = SCRIPT.format(python=clone / ".venv/bin/python", server="2001:db8:100:53::2")
    return run_mn(tmp_path_factory.mktemp("runs"), "s2c,ues=3", standin=True, script=script)


@pytest.fixture(scope="session")
def bootstrap_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One UE bootstraps, carries traffic, refreshes and detaches."""
    return run_mn(tmp_path_factory.mktemp("runs"), "s2c", "--test", "bootstrap")


@pytest.fixture(scope="session")
def three_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three UEs do the same."""
    return run_mn(tmp_path_factory.mktemp("runs"), "s2c,ues=3", "--test", "bootstrap")


@pytest.fixture(scope="session")
def prompt_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One UE attaches on command, one pings as a person types it, neither detaches before the end."""
    return run_mn(tmp_path_factory.mktemp("runs"), "s2c,ues=2,attach=no", script=TYPED)
