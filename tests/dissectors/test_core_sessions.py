# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions and deviations that the dissector tells of built captures, in one pass and in two."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from tests.dissectors.packets import forge
from tests.dissectors.packets.signalling import NOTIFY, Ue
from tests.dissectors.packets.tshark import run

PASSES = {"one pass": (), "two passes": ("-2",)}
NAMES = ("session", "step", "request_in", "retransmission_of")
FIRST, SECOND = Ue(b"\x01" * 8), Ue(b"\x02" * 8)


@pytest.fixture(params=PASSES.values(), ids=PASSES)
def passes(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def table(folder: Path, frames: list[bytes], *options: str) -> list[str]:
    """For each frame: session, step, request_in, retransmission_of."""
    capture = forge.write(folder / "case.pcap", frames)
    fields = [word for name in NAMES for word in ("-e", f"dsmip.{name}")]
    shown = run(capture, "-T", "fields", "-E", "separator=/s", *fields, *options).stdout
    return [line.strip() for line in shown.split("\n")[: len(frames)]]


def problems(folder: Path, frames: list[bytes], *options: str) -> dict[int, list[str]]:
    """Names of expert infos by frame, those of missing ESP left out: nothing here has any."""
    capture = forge.write(folder / "case.pcap", frames)
    found: dict[int, list[str]] = {}
    fields = [word for name in EXPERTS for word in ("-e", f"dsmip.expert.{name}")]
    shown = run(capture, "-T", "fields", *fields, *options).stdout
    for number, line in enumerate(shown.split("\n")[: len(frames)], 1):
        names = [name for name, cell in zip(EXPERTS, line.split("\t"), strict=True) if cell]
        if names:
            found[number] = names
    return found


EXPERTS = (
    "ba.unsolicited", "ba.sequence", "ba.lifetime", "ba.refused", "bu.sequence", "hoa.outside", "sa.wrong",
    "option.missing", "option.extra", "order", "keepalive.late", "ike.error", "after_detach",
)  # fmt: skip


def behind_nat() -> tuple[Ue, Ue]:
    shared = IPv4Address("203.0.113.5")
    return (
        Ue(b"\x0a" * 8, shared, 1024, IPv6Address("2001:db8:1:1::100"), b"\xa0" * 8),
        Ue(b"\x0b" * 8, shared, 1025, IPv6Address("2001:db8:1:2::200"), b"\xb0" * 8),
    )


def test_ues_behind_one_address_are_told_apart_by_their_ike_sas(tmp_path: Path, passes: tuple[str, ...]) -> None:
    one, two = behind_nat()
    frames = [frame for pair in zip(one.bootstrap(b"one@x"), two.bootstrap(b"two@x"), strict=True) for frame in pair]
    frames += [two.update(1, port=2001), one.update(1, port=2002), one.answer(1, port=2002), two.answer(1, port=2001)]
    frames += [one.update(2, port=40000), one.answer(2, port=40000)]  # the NAT gave another port
    rows = table(tmp_path, frames, *passes, "-o", one.keys, "-o", two.keys)
    assert rows == [
        "1 2", "2 2", "1 2 1", "2 2 2", "1 3", "2 3", "1 3 5", "2 3 6", "1 5", "2 5", "1 5 9", "2 5 10",
        "2 6", "1 6", "1 6 14", "2 6 13", "1 7", "1 7 17",
    ]  # fmt: skip


def test_without_keys_nobody_is_guessed_behind_one_address(tmp_path: Path, passes: tuple[str, ...]) -> None:
    one, two = behind_nat()
    frames = [*one.bootstrap(b"one@x"), *two.bootstrap(b"two@x"), one.update(1), two.update(1), one.answer(1)]
    rows = table(tmp_path, frames, *passes)
    assert [row.split()[0] for row in rows] == ["1"] * 6 + ["2"] * 6 + ["3", "4", "3"]


def test_without_keys_a_lone_ue_is_followed_by_its_care_of_address(tmp_path: Path, passes: tuple[str, ...]) -> None:
    rows = table(tmp_path, [*FIRST.bootstrap(b"one@x"), FIRST.update(1), FIRST.answer(1)], *passes)
    assert rows[6:] == ["1 6", "1 6 7"]


def test_a_restart_on_another_spi_is_the_same_session(tmp_path: Path, passes: tuple[str, ...]) -> None:
    quiet = [forge.frame(bytes(forge.IPv6(src="2001:db8::1", dst="2001:db8::2")))] * 600
    frames = [FIRST.init(), FIRST.init(), *quiet, SECOND.init(), SECOND.init(answer=True)]
    rows = table(tmp_path, frames, *passes)
    assert [rows[0], rows[1], rows[602], rows[603]] == ["1 2", "1 2  1", "1 2", "1 2 603"]


def test_two_connections_of_one_ue_are_two_sessions(tmp_path: Path, passes: tuple[str, ...]) -> None:
    frames = [FIRST.init(), SECOND.init(), FIRST.init(answer=True), SECOND.init(answer=True)]
    assert table(tmp_path, frames, *passes) == ["1 2", "2 2", "1 2 1", "2 2 2"]


def test_a_capture_that_starts_in_the_middle(tmp_path: Path, passes: tuple[str, ...]) -> None:
    frames = [FIRST.answer(7), FIRST.update(8), FIRST.update(9), FIRST.answer(9), FIRST.ike(37, 5)]
    assert table(tmp_path, frames, *passes) == ["1 6", "1 6", "1 6  2", "1 6 3", "1"]


def test_icmp_errors_repeat_nothing(tmp_path: Path, passes: tuple[str, ...]) -> None:
    quoted = FIRST.init()[14:]
    error = forge.IPv6(src=str(forge.HOME_AGENT), dst=str(forge.CARE_OF), nh=58) / forge.Raw(
        bytes([1, 4, 0, 0, 0, 0, 0, 0]) + quoted
    )
    assert table(tmp_path, [FIRST.init(), forge.frame(bytes(error))], *passes) == ["1 2", ""]


def test_a_quoted_binding_update_gets_no_line_of_its_own(tmp_path: Path, passes: tuple[str, ...]) -> None:
    error = forge.IPv6(src=str(forge.HOME_AGENT), dst=str(forge.CARE_OF), nh=58) / forge.Raw(
        bytes([1, 4, 0, 0, 0, 0, 0, 0]) + FIRST.update(1)[14:]
    )
    capture = forge.write(tmp_path / "case.pcap", [FIRST.update(1), forge.frame(bytes(error))])
    assert run(capture, *passes, "-Y", "dsmip", "-T", "fields", "-e", "frame.number").stdout == "1\n"
    assert run(capture, *passes, "-Y", "mip6.mhtype", "-T", "fields", "-e", "frame.number").stdout == "1\n2\n"


def test_options_that_the_capture_cut_off_are_not_missed(tmp_path: Path, passes: tuple[str, ...]) -> None:
    asked = ("-T", "fields", "-e", "dsmip.expert.option.missing")
    without = FIRST.update(1, options=bytes([1, 4, 0, 0, 0, 0]))
    for snaplen, found in ((len(without), True), (len(without) - 4, False)):
        capture = forge.write(tmp_path / "case.pcap", [without], snaplen)
        assert bool(run(capture, *passes, *asked).stdout.strip()) is found


DEVIATIONS: dict[str, tuple[list[bytes], dict[int, list[str]]]] = {
    "nothing wrong": ([FIRST.update(1), FIRST.answer(1)], {}),
    "acknowledgement of nothing": ([FIRST.answer(1)], {1: ["ba.unsolicited"]}),
    "another sequence number": ([FIRST.update(1), FIRST.answer(2)], {2: ["ba.sequence"]}),
    "more lifetime": ([FIRST.update(1), FIRST.answer(1, lifetime=901)], {2: ["ba.lifetime"]}),
    "refused": ([FIRST.update(1), FIRST.answer(1, status=132)], {2: ["ba.refused"]}),
    "older sequence": ([FIRST.update(9), FIRST.answer(9), FIRST.update(8)], {3: ["bu.sequence"]}),
    "no care-of address": ([FIRST.update(1, options=bytes([1, 4, 0, 0, 0, 0]))], {1: ["option.missing"]}),
    "IPv4 care-of address in IPv6": (
        [FIRST.update(1, options=bytes(2) + bytes([3, 16]) + forge.CARE_OF.packed + bytes([32, 6, 0, 0, 1, 2, 3, 4]))],
        {1: ["option.extra"]},
    ),
    "error notification": ([FIRST.init(), FIRST.init(answer=True), FIRST.ike(35, 1), FIRST.ike(
        35, 1, (NOTIFY, b"\0\0\0\x18"), answer=True)], {4: ["ike.error"]}),
    "authentication before the answer": ([FIRST.init(), FIRST.ike(35, 1)], {2: ["order"]}),
    "traffic after detach": (
        [
            FIRST.update(1), FIRST.answer(1), FIRST.update(2, lifetime=0), FIRST.answer(2, lifetime=0),
            forge.frame(bytes(forge.IPv6(src=str(forge.CARE_OF), dst=str(forge.HOME_AGENT), nh=41) / forge.IPv6(
                src=str(forge.HOME_ADDRESS), dst="2001:db8:cc::1", nh=59))),
        ],
        {5: ["after_detach"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEVIATIONS)
def test_deviations(name: str, tmp_path: Path) -> None:
    frames, expected = DEVIATIONS[name]
    assert problems(tmp_path, frames, "-o", FIRST.keys) == expected
