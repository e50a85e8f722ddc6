# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys for Wireshark: with what the key log wrote, tshark opens every protected packet of a simulated life."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mn_dsmip.agent.keylog import KeyLog
from mn_dsmip.engine.ike.proposals import Profile, parse_offer
from mn_dsmip.engine.ue_states import UeState
from mn_dsmip.wire.ikev2_numbers import Protocol
from tests.engine.operator_network import Operator

RAW_IP = 101
"""LINKTYPE_RAW of pcap."""
SUITES = [
    ("aes128gcm16-prfsha256-curve25519", "aes256gcm16"),
    ("aes256gcm16-prfsha384-ecp256", "aes128gcm16"),
    ("aes128-sha1-prfsha1-modp2048", "aes128-sha1"),
    ("aes256-sha256-prfsha256-ecp256", "aes256-sha256"),
    ("aes128-sha384-prfsha384-ecp256", "aes128-sha384"),
    ("aes256-sha512-prfsha512-ecp256", "aes256-sha512"),
]


def life(ike: str, esp: str) -> Operator:
    """Attach and detach with one suite for IKE and one for ESP."""
    profile = Profile((parse_offer(ike, Protocol.IKE),), (parse_offer(esp, Protocol.ESP),))
    operator = Operator()
    operator.ike = replace(operator.ike, profile=profile)
    ue = operator.start().add_ue(profile=profile)
    assert operator.simulation.run(lambda: ue.state is UeState.ATTACHED)
    operator.simulation.do(operator.nodes[0], ue.detach)
    assert operator.simulation.run(lambda: ue.finished)
    return operator


def write_capture(path: Path, packets: list[tuple[float, bytes]]) -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
    records = [
        struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(packet), len(packet)) + packet
        for time, packet in packets
    ]
    path.write_bytes(head + b"".join(records))


def dissect(capture: Path, keys: Path, display_filter: str, *fields: str) -> list[list[str]]:
    """Fields of the packets that pass the filter; nothing that tshark says against the key tables is overlooked."""
    tshark = shutil.which("tshark")
    assert tshark, "tshark is missing: apt-get install tshark"
    command = [tshark, "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    done = subprocess.run(
        [*command, *(word for field in fields for word in ("-e", field))],
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(keys), "HOME": str(keys)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not [each for each in done.stderr.splitlines() if "root" not in each], done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def keys_of(operator: Operator, node: str, folder: Path) -> Path:
    """A key folder as the agent of ``node`` writes it."""
    log = KeyLog(folder)
    for _, event in operator.simulation.nodes[node].events:
        log.take(event)
    return folder


def check_opened(operator: Operator, keys: Path, folder: Path) -> None:
    """All IKE messages but IKE_SA_INIT, and all binding updates and acknowledgements, are open and intact."""
    capture = folder / "trace.pcap"
    write_capture(capture, operator.simulation.wire)
    fields = ("isakmp.exchangetype", "isakmp.enc.decrypted", "isakmp.ikev2.integrity_checksum")
    frames = dissect(capture, keys, "isakmp or esp", *fields, "esp.icv_good", "mip6.mhtype")
    protected = [each for each in frames if each[0] in ("35", "36", "37")]
    assert len(protected) >= 10 and all(decrypted and not damaged for _, decrypted, damaged, *_ in protected)
    bindings = [each[3:] for each in frames if not each[0]]
    assert bindings == [["1", "5"], ["1", "6"]] * 2  # BU and BA: registered, then no longer


@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_tshark_opens_everything_with_the_gateways_keys(tmp_path: Path, ike: str, esp: str) -> None:
    operator = life(ike, esp)
    check_opened(operator, keys_of(operator, "pgw", tmp_path / "wireshark"), tmp_path)


def test_either_ends_keys_will_do_and_both_do_no_harm(tmp_path: Path) -> None:
    operator = life(*SUITES[0])
    keys = keys_of(operator, "ue1", tmp_path / "wireshark")
    check_opened(operator, keys, tmp_path)
    check_opened(operator, keys_of(operator, "pgw", keys), tmp_path)


def test_without_keys_nothing_opens(tmp_path: Path) -> None:
    operator = life(*SUITES[0])
    with pytest.raises(AssertionError):
        check_opened(operator, keys_of(operator, "dns", tmp_path / "wireshark"), tmp_path)


def test_the_folder_is_private_and_keeps_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "wireshark"
    folder.mkdir()
    (folder / "preferences").write_text("gui.layout_type: 5\n")
    operator = life(*SUITES[0])
    keys_of(operator, "pgw", folder)
    assert (folder / "preferences").read_text() == "gui.layout_type: 5\n"
    assert (folder / "decode_as_entries").read_text() == "decode_as_entry: udp.port,4191,(none),IPv4\n"
    for name, lines in (("ikev2_decryption_table", 1), ("esp_sa", 4)):
        assert len((folder / name).read_text().splitlines()) == lines
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    keys_of(operator, "pgw", folder)
    assert len((folder / "esp_sa").read_text().splitlines()) == 8


def test_a_new_folder_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    KeyLog(tmp_path / "run" / "wireshark")
    assert stat.S_IMODE((tmp_path / "run" / "wireshark").stat().st_mode) == 0o700
