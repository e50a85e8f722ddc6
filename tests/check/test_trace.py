# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading captures: what tshark shows, and what is said when a capture cannot be used."""

from __future__ import annotations

import gc
import json
import os
import struct
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from mn_dsmip.check import cli
from mn_dsmip.check import reading as trace
from mn_dsmip.check.model import Message
from mn_dsmip.check.reading.keys import Keys, KeysError
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.rules.rule import judge
from mn_dsmip.check.separate import separate
from tests.check.conftest import Case, messages_of
from tests.check.forge import PUBLISHED, Forger, Frame, write_capture

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "check_bootstrap.json").read_text())
BY_IDENT = {rule.ident: rule for rule in RULES}


def test_forged_messages_are_the_published_vectors() -> None:
    frames = {one.name: one.packet for one in Forger().whole().frames}
    for name, text in VECTORS.items():
        if name in frames:
            packet = frames[name]
            assert (packet if name in ("bu-1", "ba-1") else packet[48:]) == bytes.fromhex(text), name
    assert len(set(VECTORS) & set(frames)) == 14


def test_fields_of_a_binding_update(good: list[Message]) -> None:
    update = good[15]
    assert (update.kind, update.source, update.destination) == (
        "binding_update",
        "2001:db8:f:1::10",
        "2001:db8:aaaa::1",
    )
    expected = {
        "protected": True,
        "spi": 0xD0000002,
        "sequence": 1,
        "lifetime": 900,
        "home_address": "2001:db8:1:1::100",
        "alternate_care_of_address": "2001:db8:f:1::10",
        "options": ("IPV4_HOME_ADDRESS", "ALTERNATE_CARE_OF_ADDRESS"),
        "ipv4_home_address": "0.0.0.0",
        "mobile_router": True,
        "overwrite": False,
    }
    assert {name: update.get(name) for name in expected} == expected
    assert update.text("octets").startswith("3b04050011b70001d40003841d068000")


def test_configuration_attributes_are_paired_by_position(good: list[Message]) -> None:
    """A request has types without values: pairing types and values by their index would give wrong ones."""
    request, reply = good[7], good[12]
    assert request.get("cfg_attributes") == ("MIP6_HOME_PREFIX", "INTERNAL_IP6_DNS")
    assert request.get("home_prefixes") == ()
    assert reply.get("home_prefixes") == ("2001:db8:1:1::/64",)
    assert reply.get("home_prefix_lifetimes") == (86400,)
    assert reply.get("cfg_dns_servers") == ("2001:db8:aaaa::53",)
    assert reply.get("ts_i") == ("2001:db8:1:1::/64",)
    assert reply.get("ts_r") == ("2001:db8:aaaa::1",)


def test_eap_inside_ike(good: list[Message]) -> None:
    assert [good[place].get("eap_code") for place in (8, 9, 10)] == ["request", "response", "success"]
    assert (good[9].get("eap_type"), good[9].get("eap_subtype")) == ("AKA", "Challenge")


def test_hostile_identity_is_harmless(forged: Case, tmp_path: Path) -> None:
    """Neither escape sequences for the terminal nor octets that are no text get into the report."""
    capture = forged.damaged()
    hostile = b"\x03\0\0\0\x1b[31mred\n\xff\xc3"
    capture.edit_ike(8, lambda payloads: [(kind, hostile if kind == 35 else body) for kind, body in payloads])
    (session,) = separate(messages_of(capture.save(tmp_path / "hostile.pcapng"), forged.keys))
    assert session.title.startswith("?[31mred\\n\ufffd\ufffd, APN internet")


def test_inner_and_outer_addresses(good: list[Message]) -> None:
    ping = good[17]
    assert (ping.kind, ping.source, ping.get("inner_source")) == (
        "tunnelled",
        "2001:db8:f:1::10",
        "2001:db8:1:1::100",
    )
    assert (good[19].get("inner_version"), good[19].get("inner_source")) == (4, "10.45.0.2")


def test_clear_messages_and_ipv4_access(tmp_path: Path) -> None:
    """BU and BA in the clear, over IPv6 and in UDP 4191 over IPv4: read, and their checksums verified."""
    names = ("clear-bu-3", "clear-ba-3", "clear-bu-ipv4", "clear-ba-ipv4")
    frames = [Frame(1.0 + index, name, bytes.fromhex(VECTORS[name])) for index, name in enumerate(names)]
    write_capture(tmp_path / "clear.pcapng", frames)
    messages = messages_of(tmp_path / "clear.pcapng", None)
    assert [one.kind for one in messages] == ["binding_update", "binding_acknowledgement"] * 2
    assert [one.flag("udp") for one in messages] == [False, False, True, True]
    assert [one.number("sequence") for one in messages] == [3, 3, 2, 2]
    assert messages[2].get("ipv4_care_of_address") == "198.51.100.10"
    assert (messages[2].get("source_port"), messages[3].get("destination_port")) == (4191, 40000)
    assert messages[3].get("options") == ("IPV4_ADDRESS_ACKNOWLEDGEMENT", "NAT_DETECTION")
    for session in separate(messages):
        result = judge(BY_IDENT["MH-CHECKSUM"], session)
        assert (result.outcome, judge(BY_IDENT["MH-CLEAR"], session).outcome) == ("passed", "violated")


def test_no_key_and_wrong_key_are_told_apart(forged: Case, tmp_path: Path) -> None:
    for table, old, new in (("ikev2_decryption_table", ",29fd", ",30fd"), ("esp_sa", '"0x0c1b', '"0x1c1b')):
        (tmp_path / table).write_text((forged.keys / table).read_text().replace(old, new))
    for keys, reason in ((None, "no key for ESP SPI 0xd0000002"), (tmp_path, "wrong key for ESP SPI 0xd0000002")):
        (session,) = separate(messages_of(forged.capture, keys))
        assert reason in session.hidden_mobility
        assert session.hidden_ike


def test_icv_right_but_content_garbage_is_a_wrong_key(tmp_path: Path) -> None:
    """Wireshark says [correct] when only SK_e is wrong; the payloads then make no sense."""
    from tests.check.seal import IkeKeys, Key

    subscriber = PUBLISHED
    integrity = bytes(range(32))
    right = Key(bytes(range(16)), integrity, ("sha256", 16))
    header = subscriber.spi_i + subscriber.spi_r + struct.pack("!BBBBI", 0, 0x20, 35, 0x08, 1)
    message = IkeKeys(right, right).seal(header, 35, bytes(16), struct.pack("!BBH", 0, 0, 12) + b"\x02\0\0\0name")
    forger = Forger()
    forger.ike("ike-auth", message, True)
    write_capture(tmp_path / "cbc.pcapng", forger.frames)
    found = []
    for key in (bytes(range(16)), bytes(range(1, 17))):
        line = f"{subscriber.spi_i.hex()},{subscriber.spi_r.hex()},{key.hex()},{key.hex()}"
        line += f',"AES-CBC-128 [RFC3602]",{integrity.hex()},{integrity.hex()},"HMAC_SHA2_256_128 [RFC4868]"\n'
        (tmp_path / "ikev2_decryption_table").write_text(line)
        (session,) = separate(messages_of(tmp_path / "cbc.pcapng", tmp_path))
        found.append((session.messages[0].get("payloads"), session.hidden_ike))
    assert found[0] == (("IDi",), "")
    assert found[1] == (None, "wrong key for IKE SA 1122334455667788: nothing under it opens")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.pcapng", b"", "the file is empty"),
        ("text.pcap", b"no capture at all\n" * 9, "isn't a capture file in a format TShark understands"),
        ("cut.pcapng", None, "cut short in the middle of a packet"),
        ("broken.pcapng", b"", ""),
    ],
)
def test_damaged_file_is_one_line_and_status_2(
    name: str, content: bytes | None, says: str, forged: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never a shorter capture, never a traceback, also none out of pyshark's destructor."""
    whole = forged.capture.read_bytes()
    if name == "broken.pcapng":
        at = whole.index(struct.pack("!I", 6), 1500)  # the length of a block
        content = whole[: at + 4] + b"\xff" * 4 + whole[at + 8 :]
    (tmp_path / name).write_bytes(whole[:1500] if content is None else content)
    assert cli.main([str(tmp_path / name), "--keys", str(forged.keys)]) == 2
    gc.collect()
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"mn-dsmip check: {tmp_path / name}: ")
    assert says in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("size", range(60, 4700, 480))
def test_every_truncation_is_noticed(size: int, forged: Case, tmp_path: Path) -> None:
    """Cut in the middle of a block, the file is refused: never a shorter capture."""
    (tmp_path / "cut.pcapng").write_bytes(forged.capture.read_bytes()[:size])
    with pytest.raises(trace.TraceError, match=r"cut\.pcapng: tshark: appears to have been cut short"):
        messages_of(tmp_path / "cut.pcapng", forged.keys)


def test_missing_file_and_missing_tshark(
    forged: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(tmp_path / "absent.pcap")]) == 2
    assert capsys.readouterr().err == f"mn-dsmip check: {tmp_path / 'absent.pcap'}: there is no such file\n"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main([str(forged.capture)]) == 2
    assert capsys.readouterr().err == (
        "mn-dsmip check: tshark is missing: install it (Debian, Ubuntu: apt install tshark)\n"
    )


def test_reading_stops_cleanly_half_way(forged: Case) -> None:
    packets = trace.read(forged.capture, Keys())
    assert next(packets).frame == 1
    packets.close()  # type: ignore[attr-defined]  # a generator
    gc.collect()


def test_the_users_own_wireshark_is_left_alone(forged: Case, tmp_path: Path) -> None:
    """Neither read (a broken preference would stop tshark) nor written to; the environment is as before."""
    home = tmp_path / "home"
    for folder in (".config/wireshark", ".local/lib/wireshark/plugins"):
        (home / folder).mkdir(parents=True)
    (home / ".local/lib/wireshark/plugins/shout.lua").write_text('error("the personal plugin was loaded")\n')
    (home / ".config/wireshark/esp_sa").write_text("this is no table\n")
    before = sorted(home.rglob("*"))
    script = (
        "import os, sys; from mn_dsmip.check import main; before = dict(os.environ);"
        f"status = main([{str(forged.capture)!r}]); assert dict(os.environ) == before; sys.exit(status)"
    )
    environment = {**os.environ, "HOME": str(home)}
    for name in ("XDG_CONFIG_HOME", "WIRESHARK_CONFIG_DIR"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", script],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the personal plugin was loaded" not in done.stderr
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("esp_sa", "a,b,c\n", "esp_sa:1: expected 8 columns, found 3"),
        ("esp_sa", '# x\n"IPv6","*","*","spi","NULL","","NULL",""\n', "esp_sa:2: expected a hexadecimal SPI"),
        ("ikev2_decryption_table", "zz,b,c,d,e,f,g,h\n", "ikev2_decryption_table:1: expected a hexadecimal SPI"),
        ("other", "", "holds none of ikev2_decryption_table, esp_sa"),
    ],
)  # fmt: skip
def test_broken_key_tables(file: str, content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(KeysError, match=says):
        Keys.load(tmp_path)
    with pytest.raises(KeysError, match="there is no such folder of keys"):
        Keys.load(tmp_path / "absent")


def test_foreign_captures(foreign_captures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody's traces of ours: a verdict or one line, never a traceback."""
    captures = sorted(foreign_captures.glob("*/*.pcap"))
    assert captures
    for capture in captures:
        assert cli.main([str(capture)]) in (1, 2), capture.name
        output = capsys.readouterr()
        assert output.out.startswith(("FAIL", "INCONCLUSIVE")) or output.err.count("\n") == 1, capture.name


@pytest.mark.parametrize(("name", "outcome"), [("mip6-good-mh-chksum", "passed"), ("mip6-bad-mh-chksum", "violated")])
def test_foreign_checksums(foreign_captures: Path, name: str, outcome: str) -> None:
    (session,) = separate(messages_of(foreign_captures / "zeek" / f"{name}.pcap", None))
    assert judge(BY_IDENT["MH-CHECKSUM"], session).outcome == outcome


def test_routing_header_changes_the_checksum(good: list[Message]) -> None:
    """The pseudo-header holds the home address, not the care-of address (RFC 6275 6.1.1)."""
    answer = good[16]
    assert answer.get("end_destination") == "2001:db8:1:1::100"
    assert IPv6Address(answer.destination) == PUBLISHED.care_of
