# SPDX-License-Identifier: GPL-2.0-or-later
"""Remarks that need more than a Mobility Header: each on a built capture, and silence on its good twin."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from tests.dissectors.packets import forge
from tests.dissectors.packets.signalling import CREATE_CHILD_SA, HOME_AGENT, IDENTITY_I, IKE_AUTH, Ue
from tests.dissectors.packets.tshark import run

EAP, CONFIGURATION, SECURITY_ASSOCIATION, NONCE, ESP = 48, 47, 33, 40, 50
REFRESH_REQUEST, ERROR = 0, 7
UE = Ue(b"\x01" * 8)
OTHER = Ue(
    b"\x02" * 8, IPv6Address("2001:db8:f:1::77"), home_address=IPv6Address("2001:db8:1:7::100"), spi_r=b"\x88" * 8
)
BEHIND_NAT = replace(UE, address=IPv4Address("203.0.113.5"), port=1024)


def remarks(
    folder: Path, frames: list[bytes], *options: str, times: list[float] | None = None, snaplen: int = 262144
) -> dict[int, str]:
    """The words of each frame's first remark, those of missing ESP left out: nothing here but one case has any."""
    capture = forge.write(folder / "case.pcap", frames, snaplen=snaplen, times=times)
    keys = [word for ue in (UE, OTHER) for word in ("-o", ue.keys)]
    shown = run(capture, *keys, *options, "-T", "fields", "-E", "aggregator=|", "-e", "dsmip.expert").stdout
    found = {}
    for number, line in enumerate(shown.split("\n")[: len(frames)], 1):
        words = [each for each in line.split("|") if each and not each.startswith("Without ESP")]
        if words:
            found[number] = words[0]
    return found


def secured(ue: Ue, *more: tuple[int, bytes]) -> list[bytes]:
    """A bootstrap whose last IKE_AUTH answer holds some payloads more."""
    frames = ue.bootstrap(b"\1" * 3)
    frames[2] = ue.ike(IKE_AUTH, 1, (IDENTITY_I, b"\3\0\0\0ue@example.net"))
    frames[3] = ue.ike(IKE_AUTH, 1, *more, (39, b"\2\0\0\0"), answer=True)
    return frames


def home_prefix(prefix: str) -> tuple[int, bytes]:
    """CFG_REPLY with MIP6_HOME_PREFIX."""
    value = struct.pack("!I", 3600) + IPv6Address(prefix).packed + b"\x40"
    return CONFIGURATION, b"\2\0\0\0" + struct.pack("!HH", 16, len(value)) + value


@pytest.mark.parametrize(("prefix", "wrong"), [("2001:db8:9:9::", True), (None, False)])
def test_home_address_outside_the_prefix(tmp_path: Path, prefix: str | None, wrong: bool) -> None:
    own = str(IPv6Address(int(UE.home_address) >> 64 << 64))
    found = remarks(tmp_path, [*secured(UE, home_prefix(prefix or own)), UE.update(1), UE.answer(1)])
    assert (7 in found) == wrong, found
    assert not wrong or found[7] == (
        f"{UE.home_address} is not in the home network prefix {prefix}/64 (TS 24.303 5.1.3.2)"
    )


@pytest.mark.parametrize(("code", "wrong"), [(4, True), (3, False)])
def test_eap_failure(tmp_path: Path, code: int, wrong: bool) -> None:
    found = remarks(tmp_path, secured(UE, (EAP, bytes((code, 1, 0, 4))))[:4])
    assert found == ({4: "EAP Failure: the network did not accept the UE (RFC 3748 4.2)"} if wrong else {})


@pytest.mark.parametrize("wrong", [True, False])
def test_wrong_key(tmp_path: Path, wrong: bool) -> None:
    frames = UE.bootstrap(b"ue@example.net")[:3]
    if wrong:  # what comes of a wrong key is noise, and payload lengths in it lead nowhere
        at = len(frames[2]) - 22
        frames[2] = frames[2][:at] + b"\xff" * 20 + frames[2][at + 20 :]
    found = remarks(tmp_path, frames)
    assert (3 in found) == wrong, found
    assert not wrong or found[3].startswith("Decrypted IKEv2 makes no sense")


@pytest.mark.parametrize("wrong", [True, False])
def test_binding_error(tmp_path: Path, wrong: bool) -> None:
    kind, body = (ERROR, b"\1\0" + UE.home_address.packed) if wrong else (REFRESH_REQUEST, b"\0\0")
    header = forge.mobility(kind, body, HOME_AGENT, forge.CARE_OF)
    packet = forge.IPv6(src=str(HOME_AGENT), dst=str(forge.CARE_OF), nh=135) / forge.Raw(header)
    found = remarks(tmp_path, [UE.update(1), forge.frame(bytes(packet))])
    assert list(found) == [2] * wrong
    assert not wrong or found[2].startswith("Binding Error 1: ")


@pytest.mark.parametrize(("seconds", "late"), [(45.0, True), (29.0, False)])
def test_keepalive_later_than_allowed(tmp_path: Path, seconds: float, late: bool) -> None:
    ue = BEHIND_NAT
    frames = [*ue.bootstrap(b"ue@example.net"), ue.update(1), ue.answer(1), ue._carry(b"\xff", False, (4191, 4191))]
    times = [0.1 * number for number in range(8)]
    found = remarks(tmp_path, frames, times=[*times, times[-1] + seconds])
    assert (9 in found) == late, found
    assert not late or found[9] == "Silent for 45 s, the NAT's binding is good for 30 s (RFC 5555 4.3)"


def child(ue: Ue, spi: bytes, answer: bool) -> bytes:
    """CREATE_CHILD_SA with the ESP SPI of its sender."""
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + 4 + 8, 1, 3, 4, 1) + spi + struct.pack("!BBHBBH", 0, 0, 8, 1, 0, 11)
    selectors = (
        (44, forge.selector(135, 0, 65535, ue.home_address)),
        (45, forge.selector(135, 0, 65535, HOME_AGENT)),
    )
    return ue.ike(CREATE_CHILD_SA, 2, (SECURITY_ASSOCIATION, proposal), *selectors, answer=answer)


def in_esp(ue: Ue, spi: bytes, sequence: int) -> bytes:
    """A Binding Update under ESP with NULL encryption and no authentication."""
    body = struct.pack("!HHH", sequence, 0xD400, 900) + bytes(2) + bytes([3, 16]) + forge.CARE_OF.packed
    header = forge.mobility(forge.UPDATE, body, ue.home_address, HOME_AGENT)
    padding = -(len(header) + 2) % 4
    sealed = spi + struct.pack("!I", sequence) + header + bytes(range(1, padding + 1)) + bytes((padding, 135))
    option = bytes([ESP, 2, 1, 2, 0, 0, 0xC9, 16]) + ue.home_address.packed
    return forge.frame(bytes(forge.IPv6(src=str(ue.address), dst=str(HOME_AGENT), nh=60) / forge.Raw(option + sealed)))


@pytest.mark.parametrize("wrong", [True, False])
def test_security_association_of_another(tmp_path: Path, wrong: bool) -> None:
    spis = (b"\xaa\0\0\1", b"\xbb\0\0\2")
    frames = []
    for ue, spi in zip((UE, OTHER), spis, strict=True):
        frames += [*secured(ue)[:4], child(ue, b"\xcc\0\0" + spi[3:], False), child(ue, spi, True)]
    frames.append(in_esp(OTHER, spis[0] if wrong else spis[1], 1))
    tables = [
        word for spi in spis
        for word in ("-o", f'uat:esp_sa:"IPv6","*","*","0x{spi.hex()}","NULL","","NULL",""')
    ]  # fmt: skip
    found = remarks(tmp_path, frames, *tables, "-o", "esp.enable_encryption_decode:TRUE")
    assert (13 in found) == wrong, found
    assert not wrong or found[13] == f"This SA is for the home address {UE.home_address} (RFC 4877 4.2)"


@pytest.mark.parametrize(("spi", "seen", "wrong"), [(1, True, False), (3, True, True), (3, False, False)])
def test_security_association_that_was_not_set_up(tmp_path: Path, spi: int, seen: bool, wrong: bool) -> None:
    """Nothing is said where some IKEv2 was not decrypted: it may have set the SA up."""
    spis = [bytes([0xAA, 0, 0, number]) for number in range(4)]
    frames = [*secured(UE)[:4], child(UE, b"\xcc\0\0\1", False), child(UE, spis[1], True)]
    if not seen:
        frames.append(replace(UE, spi_r=b"\x77" * 8).ike(CREATE_CHILD_SA, 3, (NONCE, bytes(16))))
    frames.append(in_esp(UE, spis[spi], 1))
    table = ["-o", f'uat:esp_sa:"IPv6","*","*","0x{spis[spi].hex()}","NULL","","NULL",""']
    found = remarks(tmp_path, frames, *table, "-o", "esp.enable_encryption_decode:TRUE")
    assert (len(frames) in found) == wrong, found
    assert not wrong or found[len(frames)].startswith("Binding Update on an SA that IKEv2 has not set up")


@pytest.mark.parametrize("snaplen", [98, 110])
def test_an_option_that_was_not_captured_is_not_missing(tmp_path: Path, snaplen: int) -> None:
    frames = [UE.update(1)]
    assert remarks(tmp_path, frames, snaplen=snaplen) == {}
