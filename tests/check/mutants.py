# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to spoil a good trace, and what the checker must say first about each.

A mutant is made on any trace of attach, refresh and detach; what it must say word by word holds for the forged one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tests.check import damage
from tests.check.damage import Damaged, Payloads
from tests.check.packets import DESTINATION_OPTIONS, MOBILITY, home_address_option, icmpv6, ipv6, mobility

SA_INIT, AUTH, CHILD, INFORMATIONAL = 34, 35, 36, 37
BU, BA = 5, 6
ID_I, AUTHENTICATION, NOTIFY, DELETE, CONFIGURATION, EAP = 35, 39, 41, 42, 47, 48
ELSEWHERE = IPv6Address("2001:db8:bad::100")


@dataclass(frozen=True)
class Mutant:
    """What to do, and what must come of it: the step or rule, and the words about the field."""

    name: str
    spoil: Callable[[Damaged], None]
    ident: str
    says: str
    also: str = ""

    @property
    def sealed(self) -> bool:
        """Whether it is changed inside the encryption and sealed again."""
        return MUTANTS.index(self) < FIRST_UNSEALED


def _ike(number: int, exchange: int, response: bool, edit: Callable[[Payloads], Payloads]) -> Callable[[Damaged], None]:
    return lambda trace: trace.edit_ike(trace.ike(exchange, response)[number], edit)


def _mobility(number: int, kind: int, edit: Callable[[bytearray], None]) -> Callable[[Damaged], None]:
    return lambda trace: trace.edit_mobility(trace.mobility(kind)[number], edit)


def _change(kind: int, edit: Callable[[bytes], bytes]) -> Callable[[Payloads], Payloads]:
    return lambda payloads: [(one, edit(body) if one == kind else body) for one, body in payloads]


def _without(kind: int, start: bytes = b"") -> Callable[[Payloads], Payloads]:
    return lambda payloads: [one for one in payloads if one[0] != kind or not one[1].startswith(start)]


def _ends(trace: Damaged) -> damage.Located:
    place = damage.locate(trace.frame(trace.mobility(BU)[0]).data)
    assert place is not None
    return place


def _other_prefix(body: bytes) -> bytes:
    at = body.index(b"\x00\x10\x00\x15") + 8
    return body[:at] + IPv6Address("2001:db8:2:2::").packed + body[at + 16 :]


def _second_prefix(body: bytes) -> bytes:
    at = body.index(b"\x00\x10\x00\x15")
    return body + body[at : at + 8] + IPv6Address("2001:db8:2:2::").packed + b"\x40"


def _home_address_outside(trace: Damaged) -> None:
    trace.edit_home_address(trace.mobility(BU)[0], ELSEWHERE)


def _other_spi(trace: Damaged) -> None:
    down = trace.frame(trace.mobility(BA)[0])
    place = damage.locate(down.data)
    assert place is not None
    spi = int.from_bytes(down.data[place.offset : place.offset + 4], "big")
    trace.edit_mobility(trace.mobility(BU)[0], spi=spi, esp_sequence=1000)


def _clear_update(trace: Damaged) -> None:
    ends = _ends(trace)
    body = struct.pack("!HHH", 9, 0xD400, 900) + b"\x01\0\x03\x10" + ends.source.packed
    header = mobility(ends.home_source, ends.destination, BU, body)
    packet = home_address_option(ends.home_source, MOBILITY) + header
    trace.insert(trace.mobility(BA)[0], ipv6(ends.source, ends.destination, DESTINATION_OPTIONS, packet))


def _outside_tunnel(trace: Damaged) -> None:
    echo = struct.pack("!BBHHH", 128, 0, 0, 7, 7) + b"outside"
    trace.insert(trace.mobility(BA)[0], icmpv6(_ends(trace).home_source, IPv6Address("2001:db8:c::2"), echo))


def _home_test_init(trace: Damaged) -> None:
    ends = _ends(trace)
    header = mobility(ends.home_source, ends.destination, 1, bytes(10))
    inner = ipv6(ends.home_source, ends.destination, MOBILITY, header)
    trace.insert(trace.mobility(BA)[0], ipv6(ends.source, ends.destination, 41, inner))


def _parameter_problem(trace: Damaged) -> None:
    update = trace.mobility(BU)[0]
    ends = _ends(trace)
    quoted = trace.frame(update).data[damage.ETHERNET :]
    error = struct.pack("!BBHI", 4, 2, 0, 48) + quoted
    trace.insert(update, icmpv6(ends.destination, ends.source, error))


def _flip(trace: Damaged) -> None:
    def edit(data: bytearray) -> None:
        data[-20] ^= 0x55

    trace.edit_bytes(trace.ike(AUTH, True)[1], edit)


def _other_dns_answer(trace: Damaged) -> None:
    home_agent = _ends(trace).destination.packed

    def edit(data: bytearray) -> None:
        data[:] = data.replace(home_agent, IPv6Address("2001:db8:aaaa::2").packed)

    for number in trace.ports(53):
        trace.edit_bytes(number, edit)


def _without_refresh(trace: Damaged) -> None:
    trace.drop(trace.mobility(BU)[1], trace.mobility(BA)[1])


def _early_update(trace: Damaged) -> None:
    trace.move(trace.mobility(BU)[0], trace.ike(AUTH, True)[-1])


def _data_after_detach(trace: Damaged) -> None:
    trace.move(trace.tunnelled()[-1], trace.mobility(BA)[-1])


def _wrong_checksum(trace: Damaged) -> None:
    trace.edit_mobility(trace.mobility(BU)[0], damage.write(4, "!H", 0xDEAD), fix=False)


MUTANTS = (
    # -- changed inside the encryption and sealed again
    Mutant(
        "acknowledgement-sequence",
        _mobility(0, BA, damage.set_sequence(BA, 7)),
        "registration-acknowledged",
        "sequence: expected 1 ($sequence); actual 7",
        "I2",
    ),
    Mutant(
        "home-address-outside-prefix",
        _home_address_outside,
        "registration",
        "home_address: expected one of 2001:db8:1:1::100 ($homeaddress); actual 2001:db8:bad::100",
        "I6",
    ),
    Mutant("update-on-another-spi", _other_spi, "MH-SA", "spi: expected 0xd0000001 or 0xd0000002; actual 0xc0000002"),
    Mutant(
        "lifetime-above-asked",
        _mobility(0, BA, damage.set_lifetime(901)),
        "registration-acknowledged",
        "lifetime: expected more than 0 and at most 900 ($lifetime); actual 901",
        "I4",
    ),
    Mutant(
        "status-not-home-subnet",
        _mobility(0, BA, damage.set_status(132)),
        "registration-acknowledged",
        "status: expected one of 0, 1; actual 132",
    ),
    Mutant(
        "update-without-r",
        _mobility(0, BU, damage.clear_flag(0x0400)),
        "registration",
        "mobile_router: expected yes; actual no",
        "BU-FLAGS",
    ),
    Mutant(
        "refresh-with-o",
        _mobility(1, BU, damage.set_flag(0x0040)),
        "refresh",
        "overwrite: expected no; actual yes",
        "BU-OVERWRITE-REFRESH",
    ),
    Mutant(
        "update-forces-udp",
        _mobility(0, BU, damage.set_flag(0x0100)),
        "registration",
        "force_udp: expected no; actual yes",
        "BU-FLAGS",
    ),
    Mutant(
        "other-care-of-address",
        _mobility(0, BU, damage.write_option(3, 2, ELSEWHERE.packed)),
        "registration",
        "alternate_care_of_address: expected 2001:db8:f:1::10 ($careof); actual 2001:db8:bad::100",
        "I9",
    ),
    Mutant(
        "refresh-of-another-ipv4-address",
        _mobility(1, BU, damage.write_option(29, 4, IPv4Address("10.45.0.99").packed)),
        "BU-IPV4",
        "ipv4_home_address: expected 10.45.0.2, as registered; actual 10.45.0.99",
    ),
    Mutant(
        "old-sequence-in-refresh",
        _mobility(1, BU, damage.set_sequence(BU, 1)),
        "I3",
        "sequence: expected newer than 1; actual 1",
        "refresh-acknowledged",
    ),
    Mutant("wrong-mobility-checksum", _wrong_checksum, "MH-CHECKSUM", "checksum: expected 0x11b7; actual 0xdead"),
    Mutant(
        "another-home-prefix",
        _ike(-1, AUTH, True, _change(CONFIGURATION, _other_prefix)),
        "SA-HNP",
        "ts_i: expected inside 2001:db8:2:2::/64; actual 2001:db8:1:1::/64",
        "I6",
    ),
    Mutant(
        "two-home-prefixes",
        _ike(-1, AUTH, True, _change(CONFIGURATION, _second_prefix)),
        "ike-auth-home-prefix",
        "home_prefixes: expected exactly this many: 1; actual 2001:db8:1:1::/64, 2001:db8:2:2::/64",
        "I5",
    ),
    Mutant(
        "no-home-prefix-asked-for",
        _ike(0, AUTH, False, _change(CONFIGURATION, lambda body: body[:4] + b"\0\x0a\0\0")),
        "ike-auth-identity",
        "cfg_attributes: expected with MIP6_HOME_PREFIX; actual INTERNAL_IP6_DNS",
    ),
    Mutant(
        "auth-instead-of-eap",
        _ike(0, AUTH, False, lambda payloads: [*payloads, (AUTHENTICATION, b"\x02\0\0\0" + bytes(32))]),
        "ike-auth-identity",
        "auth_method: expected present: no; actual SHARED_KEY",
    ),
    Mutant(
        "identity-of-another-type",
        _ike(0, AUTH, False, _change(ID_I, lambda body: b"\x0b" + body[1:])),
        "ike-auth-identity",
        "id_i_type: expected RFC822; actual KEY_ID",
    ),
    Mutant(
        "eap-failure",
        _ike(1, AUTH, True, _change(EAP, lambda body: b"\x04" + body[1:])),
        "eap-success",
        "eap_code: expected success; actual failure",
    ),
    Mutant(
        "tunnel-mode-child",
        _ike(0, CHILD, True, _without(NOTIFY, bytes.fromhex("00004007"))),
        "create-child-sa-response",
        "notify: expected with USE_TRANSPORT_MODE; actual nothing",
        "SA-TRANSPORT",
    ),
    Mutant(
        "child-sa-deleted-instead",
        _ike(0, INFORMATIONAL, False, _change(DELETE, lambda body: bytes.fromhex("03040001c0000002"))),
        "ike-delete",
        "delete: expected IKE; actual ESP",
    ),
    # -- dropped, repeated, moved, added
    Mutant(
        "no-acknowledgement",
        lambda trace: trace.drop(trace.mobility(BA)[0]),
        "registration-acknowledged",
        "missing; expected binding_acknowledgement from ha to ue after frame 16",
    ),
    Mutant(
        "no-refresh",
        _without_refresh,
        "refresh",
        "missing; expected binding_update from ue to ha (lifetime more than 0) after frame 21",
    ),
    Mutant(
        "no-delete",
        lambda trace: trace.drop(trace.ike(INFORMATIONAL, False)[-1]),
        "ike-delete",
        "missing; expected informational from ue to ha (response no, payloads with Delete) after frame 29",
    ),
    Mutant(
        "update-before-its-sa",
        _early_update,
        "early-update",
        "this must not be seen, but there is binding_update in frame 14",
        "registration",
    ),
    Mutant(
        "replayed-esp",
        lambda trace: trace.repeat(trace.mobility(BU)[0]),
        "ESP-REPLAY",
        "esp_sequence: expected not again the number of frame 16; actual 1",
    ),
    Mutant("update-in-the-clear", _clear_update, "refresh", "protected: expected yes; actual no", "MH-CLEAR"),
    Mutant(
        "data-outside-the-tunnel",
        _outside_tunnel,
        "I12",
        "source: expected home addresses inside the tunnel only; "
        "actual 2001:db8:1:1::100 to 2001:db8:c::2, outside the tunnel",
    ),
    Mutant(
        "data-after-detach",
        _data_after_detach,
        "I13",
        "inner_source: expected nothing in the tunnel after frame 28; actual 203.0.113.80 to 10.45.0.2",
    ),
    Mutant("home-test-init", _home_test_init, "I11", "mh_type: expected not 1, 2, 3 or 4; actual 1"),
    Mutant(
        "kernel-parameter-problem",
        _parameter_problem,
        "ICMP-LEAK",
        "icmp_type: expected no such error; "
        "actual parameter problem from 2001:db8:aaaa::1 about destination options, ESP",
    ),
    Mutant("flipped-octet", _flip, "INTEGRITY", "icv: expected correct; actual wrong"),
    Mutant(
        "another-home-agent-than-discovered",
        _other_dns_answer,
        "ike-sa-init-request",
        "destination: expected one of 2001:db8:aaaa::2 ($homeagents); actual 2001:db8:aaaa::1",
    ),
)

FIRST_UNSEALED = next(index for index, mutant in enumerate(MUTANTS) if mutant.name == "no-acknowledgement")
