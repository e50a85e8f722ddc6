# SPDX-License-Identifier: GPL-2.0-or-later
"""The strongSwan configuration of the README works as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.rows import STRONGSWAN
from tests.interop.serving import CORRESPONDENT, CORRESPONDENT_IPV4, GATEWAY, PSK, ping, serve

pytestmark = pytest.mark.root
README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"<!-- swanctl: a test loads it -->\n```\n(.*?)```", re.DOTALL)
SWANCTL = shutil.which("swanctl") or "/usr/sbin/swanctl"


@pytest.mark.feature("the README's swanctl.conf, loaded by swanctl", peer=STRONGSWAN, role="PDN GW", bullet="1.2")
def test_swanctl(meeting: Field, tmp_path: Path) -> None:
    text = README.read_text()
    found = BLOCK.search(text)
    assert found
    secret = "shared with the peers"
    assert f"ike: {{psk: {secret}}}" in text and f'"{secret}"' in found[1]
    configuration = tmp_path / "swanctl.conf"
    configuration.write_text(found[1])
    with (
        closing(serve(meeting, tmp_path, GATEWAY.replace(PSK, secret))) as gateway,
        closing(Charon(meeting.ue, tmp_path, libipsec=True)) as charon,
    ):
        swanctl = [SWANCTL, "--load-all", "--file", configuration, "--uri", f"unix://{charon.socket}"]
        done = subprocess.run(swanctl, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        assert "successfully loaded 1 connections" in done.stdout, done.stdout
        charon.initiate("user").result()
        (sa,) = charon.sas()
        ipv6, ipv4 = sorted(sa["local-vips"], key=len, reverse=True)
        ping(meeting, CORRESPONDENT, ipv6)
        ping(meeting, CORRESPONDENT_IPV4, ipv4)
        assert gateway.ask("status")["sessions"] == 1
