# SPDX-License-Identifier: GPL-2.0-or-later
"""What several tests of the dissector need to know of it."""

from __future__ import annotations

import subprocess

import pytest

from tests.dissectors.packets.tshark import SCRIPT


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every field and expert info of the dissector."""
    folder = tmp_path_factory.mktemp("names")
    listed = subprocess.run(
        ["tshark", "-G", "fields", "-X", f"lua_script:{SCRIPT}"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "WIRESHARK_CONFIG_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = [line.split("\t")[2] for line in listed.splitlines() if line.startswith("F\t")]
    ours = sorted({name for name in found if name.startswith("dsmip.")})
    assert {"dsmip.session", "dsmip.expert.ba.unsolicited"} <= set(ours)
    return ours
