# SPDX-License-Identifier: GPL-2.0-or-later
"""What the dissector shows of built packets, through tshark, in one pass and in two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dissectors.packets.carried_cases import EAP_AKA, ENCAPSULATED
from tests.dissectors.packets.case import Case
from tests.dissectors.packets.cases import CASES
from tests.dissectors.packets.forge import CARE_OF, HOME_ADDRESS, HOME_AGENT, write
from tests.dissectors.packets.mobility_cases import (
    ACKNOWLEDGEMENTS,
    AUTHENTICATED,
    CHECKSUMS,
    IPV4_ACKNOWLEDGEMENTS,
    REVOCATIONS,
)
from tests.dissectors.packets.tshark import SCRIPT, read, run

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
PASSES = {"one pass": (), "two passes": ("-2",)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("passes", PASSES.values(), ids=PASSES)
def test_fields_are_those_of_the_table(case: Case, passes: tuple[str, ...], tmp_path: Path) -> None:
    found = dict(enumerate(read(case, tmp_path, *passes), 1))
    assert found == case.expected


def test_names_instead_of_addresses_do_not_hide_the_checksum(tmp_path: Path) -> None:
    """With name resolution Wireshark's Lua gives names for addresses."""
    capture = write(tmp_path / "case.pcap", CHECKSUMS.frames)
    hosts = "".join(f"{address} name{i}\n" for i, address in enumerate((HOME_ADDRESS, HOME_AGENT, CARE_OF)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "hosts").write_text(hosts)
    shown = run(capture, "-N", "n", "-T", "fields", "-e", "dsmip.mh.checksum.status", "-e", "_ws.col.Source").stdout
    assert shown.splitlines()[:4] == ["1\tname0", "0\tname0", "1\tname1", "1\tname0"]


def test_wireshark_shows_nothing_less_than_without_the_dissector(tmp_path: Path) -> None:
    """Its own fields of the same frames stay as they were; what is new stands beside them."""
    for number, case in enumerate((CHECKSUMS, EAP_AKA)):
        capture = write(tmp_path / f"{number}.pcap", case.frames)
        keys = ["-o", f"uat:ikev2_decryption_table:{case.ike_keys}"] if case.ike_keys else []
        names = ("mip6.csum", "mip6.mhtype", "mip6.bu.seqnr", "eap.aka.subtype.value", "ipv6.src", "udp.payload")
        fields = [word for name in names for word in ("-e", name)]
        plain = run(capture, *keys, "-T", "fields", *fields, script=None).stdout
        assert run(capture, *keys, "-T", "fields", *fields).stdout.splitlines() != [""] * len(case.frames)
        if case is CHECKSUMS:
            plain = "\n".join(plain.splitlines()[:3])  # the fourth is what only the dissector opens
        assert plain.rstrip("\n") in run(capture, *keys, "-T", "fields", *fields).stdout


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            ACKNOWLEDGEMENTS,
            "MIPV6-AUTH-FAIL (146) [Wireshark's own name is not the registry's]",
        ),
        (ACKNOWLEDGEMENTS, "Status by the registry: sequence number out of window (135)\n"),
        (ACKNOWLEDGEMENTS, "(200): unassigned, refusing"),
        (IPV4_ACKNOWLEDGEMENTS, "IPv4 address acknowledgement by the RFC: prefix allocation unauthorized (133)"),
        (REVOCATIONS, "Revocation status by the registry: revocation failed, MN is attached (132)"),
    ],
)
def test_status_values_carry_the_names_of_the_registries(case: Case, words: str, tmp_path: Path) -> None:
    assert words in run(write(tmp_path / "case.pcap", case.frames), "-V", "-O", "dsmip").stdout


def test_names_of_the_registries_serve_in_filters(tmp_path: Path) -> None:
    capture = write(tmp_path / "case.pcap", ACKNOWLEDGEMENTS.frames)
    shown = run(capture, "-Y", 'dsmip.ba.status == "MIPV6-AUTH-FAIL"', "-T", "fields", "-e", "dsmip.ba.status").stdout
    assert shown.split() == ["146"]


def test_modules_alone_in_the_plugin_folder_do_nothing(tmp_path: Path) -> None:
    """Wireshark 4.0 loads every Lua file below its plugin folder, each by itself."""
    folder = tmp_path / "empty" / ".local" / "lib" / "wireshark" / "plugins" / "dsmip"
    shutil.copytree(SCRIPT.parent / "dsmip", folder)
    capture = write(tmp_path / "case.pcap", CHECKSUMS.frames)
    alone = run(capture, "-T", "fields", "-e", "frame.protocols", script=None)
    shutil.rmtree(folder)
    without = run(capture, "-T", "fields", "-e", "frame.protocols", script=None)
    assert (alone.stdout, alone.stderr) == (without.stdout, without.stderr)


def test_words_stand_beside_numbers(tmp_path: Path) -> None:
    capture = write(tmp_path / "case.pcap", EAP_AKA.frames)
    shown = run(capture, "-o", f"uat:ikev2_decryption_table:{EAP_AKA.ike_keys}", "-V", "-O", "dsmip").stdout
    assert "Notification: 1031 (not subscribed to the requested service)" in shown
    assert "Client error: unable to process packet (0)" in shown
    assert "Checkcode: empty, no identity round took place" in shown


def test_the_encapsulation_has_a_line_of_its_own(tmp_path: Path) -> None:
    capture = write(tmp_path / "case.pcap", ENCAPSULATED.frames)
    shown = run(capture, "-Y", "dsmip_udp", "-T", "fields", "-e", "frame.number", "-e", "frame.protocols").stdout
    assert [line.split("\t")[0] for line in shown.splitlines()] == ["1", "2", "3"]
    assert ":dsmip_udp:ipv6" in shown and ":dsmip_udp:ip:" in shown


def test_keys_in_the_configuration_folder_need_no_preference(tmp_path: Path) -> None:
    capture = write(tmp_path / "case.pcap", AUTHENTICATED.frames)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "dsmip_auth_keys").write_text(AUTHENTICATED.auth_keys)
    shown = run(capture, "-T", "fields", "-e", "dsmip.auth.status").stdout
    assert shown.splitlines() == ["1", "1", "0", "2", "1", "1"]


@pytest.mark.parametrize("folder", sorted(CAPTURES.glob("*/trace.pcapng")), ids=lambda path: path.parent.name)
def test_shipped_captures_with_their_key_folders_read_alike_in_both_passes(folder: Path, tmp_path: Path) -> None:
    """Their Decode As for port 4191 must not push the dissector aside; sums over home addresses are good."""
    capture = Path(shutil.copy(folder, tmp_path))
    shutil.copytree(folder.parent / "wireshark", tmp_path / "empty")
    names = ("dsmip.session", "dsmip.step", "dsmip.mh.checksum.status", "_ws.lua.error")
    options = ["-T", "fields", *(word for name in names for word in ("-e", name))]
    once, twice = (run(capture, *passes, *options).stdout.splitlines() for passes in PASSES.values())
    assert once == twice
    rows = [line.split("\t") for line in once]
    assert {row[2] for row in rows} <= {"", "1"}
    assert {row[3] for row in rows} == {""}
