# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule: one trace that it passes, one that it fails, with the words it must use.

The failing ones are the good trace with one message changed after it was read, so that each rule stands alone; whole
captures changed inside their encryption are in test_mutants.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.rules import binding, data, header, ike
from mn_dsmip.check.rules.rule import Rule, RuleResult, judge, rules_of
from mn_dsmip.check.separate import separate

Edit = Callable[[list[Message]], list[Message]]
CARE_OF, HOME_AGENT, HOME = "2001:db8:f:1::10", "2001:db8:aaaa::1", "2001:db8:1:1::100"
RULES = rules_of(binding, header, ike, data)
BY_IDENT = {rule.ident: rule for rule in RULES}


def having(frame: int, **fields: Value) -> Edit:
    """The trace with some fields of one message changed."""
    return lambda messages: [
        replace(one, fields={**one.fields, **fields}) if one.frame == frame else one for one in messages
    ]


def being(number: int, /, **attributes: object) -> Edit:
    """The trace with something about one message changed: its time, addresses, kind, or that it is hidden."""
    return lambda messages: [replace(one, **attributes) if one.frame == number else one for one in messages]


def adding(after: int, kind: str, source: str, destination: str, **fields: Value) -> Edit:
    """The trace with one message more; later frames are counted up."""

    def edit(messages: list[Message]) -> list[Message]:
        later = [replace(one, frame=one.frame + 1) if one.frame > after else one for one in messages]
        time = next(one.time for one in messages if one.frame == after) + 0.0001
        return sorted([*later, Message(kind, after + 1, time, source, destination, fields)], key=lambda one: one.frame)

    return edit


def repeating(frame: int, **changes: object) -> Edit:
    """The trace with one message seen twice, the second time perhaps changed."""

    def edit(messages: list[Message]) -> list[Message]:
        later = [replace(one, frame=one.frame + 1) if one.frame > frame else one for one in messages]
        again = next(one for one in messages if one.frame == frame)
        return sorted([*later, replace(again, frame=frame + 1, **changes)], key=lambda one: one.frame)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(messages: list[Message]) -> list[Message]:
        for one in edits:
            messages = one(messages)
        return messages

    return edit


def octet(frame: int, offset: int, value: int) -> Edit:
    """The trace with one octet of a Mobility Header changed."""

    def edit(messages: list[Message]) -> list[Message]:
        octets = bytearray.fromhex(next(one for one in messages if one.frame == frame).text("octets"))
        octets[offset] = value
        return having(frame, octets=octets.hex())(messages)

    return edit


def padding_last(messages: list[Message]) -> list[Message]:
    """The padding of the first Binding Update behind the option that it should align."""
    octets = messages[15].text("octets")
    return having(16, octets=octets[:40] + octets[44:] + octets[40:44])(messages)


def over_ipv4(messages: list[Message]) -> list[Message]:
    """The registration as it would be in IPv4 access: in UDP, with options 32 and 31."""
    ports: dict[str, Value] = {"udp": True, "source_port": 4191, "destination_port": 4191}
    return both(
        having(16, **ports, home_address_option=False, options=("IPV4_HOME_ADDRESS", "IPV4_CARE_OF_ADDRESS")),
        having(17, **ports, options=("IPV4_ADDRESS_ACKNOWLEDGEMENT", "NAT_DETECTION")),
    )(messages)


@dataclass(frozen=True)
class Failure:
    """A trace that a rule fails: the frame and what it says."""

    ident: str
    edit: Edit
    frame: int
    says: str


FAILURES = (
    Failure("I1", being(13, frame=17), 16, "frame: expected after frame 17, which completes IKE_AUTH; actual 16"),
    Failure("I2", having(17, sequence=7), 17, "sequence: expected that of a Binding Update sent before (1); actual 7"),
    Failure("I3", having(22, sequence=1), 22, "sequence: expected newer than 1; actual 1"),
    Failure("I3", both(having(17, status=135, sequence=500)), 22, "sequence: expected 501, after status 135; actual 2"),
    Failure(
        "I4",
        having(17, lifetime=901),
        17,
        "lifetime: expected at most 900 (3600 s), as asked in frame 16; actual 901",
    ),
    Failure(
        "BA-HNP-LIFETIME",
        having(13, home_prefix_lifetimes=(3000,)),
        17,
        "lifetime: expected at most 3000 s; actual 3600 s",
    ),
    Failure("I5", having(13, home_prefixes=()), 13, "home_prefixes: expected exactly one; actual nothing"),
    Failure(
        "HNP-64",
        having(13, home_prefixes=("2001:db8:1::/56",)),
        13,
        "home_prefixes: expected a prefix of length 64; actual 2001:db8:1::/56",
    ),
    Failure(
        "I6",
        having(13, home_prefixes=("2001:db8:2:2::/64",)),
        16,
        "home_address: expected in 2001:db8:2:2::/64; actual 2001:db8:1:1::100",
    ),
    Failure(
        "I7",
        having(16, options=("ALTERNATE_CARE_OF_ADDRESS",)),
        17,
        "options: expected no option 30: frame 16 has no option 29; "
        "actual IPV4_ADDRESS_ACKNOWLEDGEMENT, BINDING_REFRESH_ADVICE",
    ),
    Failure(
        "I8",
        both(over_ipv4, having(17, destination_port=4192)),
        17,
        "ports: expected back to 4191 from 4191; actual back to 4192 from 4191",
    ),
    Failure(
        "I8",
        both(over_ipv4, having(17, options=("IPV4_ADDRESS_ACKNOWLEDGEMENT",))),
        17,
        "options: expected with NAT_DETECTION; actual IPV4_ADDRESS_ACKNOWLEDGEMENT",
    ),
    Failure(
        "I9",
        having(16, alternate_care_of_address="2001:db8:f:1::11"),
        16,
        "alternate_care_of_address: expected 2001:db8:f:1::10, the care-of address; actual 2001:db8:f:1::11",
    ),
    Failure("I9", having(17, type2_routing=False), 17, "type2_routing: expected yes; actual no"),
    Failure(
        "I10",
        both(over_ipv4, having(16, options=("IPV4_HOME_ADDRESS", "ALTERNATE_CARE_OF_ADDRESS"))),
        16,
        "options: expected IPV4_CARE_OF_ADDRESS, no home address option; "
        "actual IPV4_HOME_ADDRESS, ALTERNATE_CARE_OF_ADDRESS",
    ),
    Failure("I11", being(22, kind="home_test_init"), 22, "mh_type: expected not 1, 2, 3 or 4; actual 5"),
    Failure(
        "I8",
        having(17, options=("NAT_DETECTION",)),
        17,
        "options: expected without NAT_DETECTION; actual NAT_DETECTION",
    ),
    Failure("MH-CHECKSUM", octet(16, 5, 0xB8), 16, "checksum: expected 0x11b7; actual 0x11b8"),
    Failure("MH-PROTO", octet(16, 0, 58), 16, "payload_proto: expected 59; actual 58"),
    Failure("MH-RESERVED", octet(16, 3, 1), 16, "reserved: expected 0; actual 1"),
    Failure("MH-RESERVED", octet(16, 9, 0x02), 16, "reserved: expected 0; actual 0x0002"),
    Failure("MH-RESERVED", octet(17, 7, 0xE0), 17, "reserved: expected 0; actual 0x0020"),
    Failure(
        "MH-OPTIONS",
        octet(16, 13, 5),
        16,
        "options: expected well-formed options; actual IPV4_HOME_ADDRESS has 5 octets instead of 6",
    ),
    Failure(
        "MH-OPTIONS",
        padding_last,
        16,
        "options: expected well-formed options; actual ALTERNATE_CARE_OF_ADDRESS at octet 20 is not aligned to 8n+6",
    ),
    Failure(
        "MH-OPTIONS",
        octet(16, 15, 1),
        16,
        "options: expected well-formed options; actual IPV4_HOME_ADDRESS has reserved bits set",
    ),
    Failure(
        "MH-OPTIONS",
        octet(16, 23, 17),
        16,
        "options: expected well-formed options; actual ALTERNATE_CARE_OF_ADDRESS at octet 22 reaches beyond the header",
    ),
    Failure(
        "MH-OPTIONS",
        octet(29, 15, 7),
        29,
        "options: expected well-formed options; actual the padding at octet 12 is not zero",
    ),
    Failure(
        "BA-IPV4",
        having(17, options=()),
        17,
        "options: expected with IPV4_ADDRESS_ACKNOWLEDGEMENT; actual nothing",
    ),
    Failure("BA-IPV4", having(17, ipv4_prefix_length=24), 17, "ipv4_prefix_length: expected 32; actual 24"),
    Failure("MH-CLEAR", having(16, protected=False), 16, "protected: expected yes; actual no"),
    Failure("MH-SA", having(16, spi=0xBAD), 16, "spi: expected 0xd0000001 or 0xd0000002; actual 0x00000bad"),
    Failure("MH-SA", having(17, spi=0xD0000002), 17, "spi: expected 0xc0000001 or 0xc0000002; actual 0xd0000002"),
    Failure("BU-FLAGS", having(16, home_registration=False), 16, "home_registration: expected yes; actual no"),
    Failure("BU-FLAGS", having(22, mobile_router=False), 22, "mobile_router: expected yes; actual no"),
    Failure("BU-OVERWRITE", having(16, overwrite=False), 16, "overwrite: expected yes; actual no"),
    Failure("BU-OVERWRITE-REFRESH", having(22, overwrite=True), 22, "overwrite: expected no; actual yes"),
    Failure("BU-IPV4", having(16, ipv4_prefix_length=24), 16, "ipv4_prefix_length: expected 32; actual 24"),
    Failure("BU-IPV4", having(16, ipv4_prefix_request=True), 16, "ipv4_prefix_request: expected no; actual yes"),
    Failure(
        "BU-IPV4",
        having(22, ipv4_home_address="0.0.0.0"),
        22,
        "ipv4_home_address: expected 10.45.0.2, as registered; actual 0.0.0.0",
    ),
    Failure(
        "BU-IMPLICIT",
        having(16, options=("MOBILE_NETWORK_PREFIX",)),
        16,
        "options: expected no option 6; actual MOBILE_NETWORK_PREFIX",
    ),
    Failure(
        "BA-FLAGS", having(28, key_management=False), 29, "key_management: expected only as in the update; actual yes"
    ),
    Failure("BA-ADVICE", having(17, refresh_advice=900), 17, "refresh_advice: expected less than 900; actual 900"),
    Failure(
        "BU-ANSWERED",
        having(29, sequence=99),
        28,
        "sequence: expected acknowledged, or sent again; actual neither",
    ),
    Failure(
        "BU-RATE",
        both(*(repeating(22, content="") for _ in range(2))),
        24,
        "time: expected 3 within 1 s; actual 4",
    ),
    Failure(
        "REFRESH-LATE",
        being(22, time=1_800_003_601.0),
        22,
        "time: expected before the binding ends; actual +0.8 s",
    ),
    Failure(
        "SA-HNP",
        having(15, ts_i=("2001:db8:9::1",)),
        15,
        "ts_i: expected inside 2001:db8:1:1::/64; actual 2001:db8:9::1",
    ),
    Failure("SA-TRANSPORT", having(15, notify=()), 15, "notify: expected USE_TRANSPORT_MODE; actual nothing"),
    Failure(
        "IKE-REPEAT",
        repeating(10, content="00"),
        11,
        "message_id: expected the octets of frame 10; actual other octets",
    ),
    Failure("IKE-ID", having(12, message_id=9), 12, "message_id: expected 3; actual 9"),
    Failure("I14", having(31, notify=("REDIRECT",)), 31, "notify: expected no REDIRECT; actual REDIRECT"),
    Failure("INTEGRITY", being(12, hidden="wrong key"), 12, "icv: expected correct; actual wrong"),
    Failure("MALFORMED", having(13, malformed=True), 13, "malformed: expected a well-formed message; actual malformed"),
    Failure("UDP-CHECKSUM", having(6, bad_udp_checksum=True), 6, "udp checksum: expected correct; actual wrong"),
    Failure(
        "I12",
        adding(17, "plain", HOME, "2001:db8:c::2", protocol=58),
        18,
        "source: expected home addresses inside the tunnel only; "
        "actual 2001:db8:1:1::100 to 2001:db8:c::2, outside the tunnel",
    ),
    Failure(
        "I13",
        adding(29, "tunnelled", HOME_AGENT, CARE_OF, inner_source="2001:db8:c::2", inner_destination=HOME),
        30,
        "inner_source: expected nothing in the tunnel after frame 29; actual 2001:db8:c::2 to 2001:db8:1:1::100",
    ),
    Failure(
        "DATA-EARLY",
        adding(15, "tunnelled", CARE_OF, HOME_AGENT, inner_source=HOME, inner_destination="2001:db8:c::2"),
        16,
        "frame: expected after frame 18, which accepts the binding; actual 16",
    ),
    Failure(
        "TUNNEL-ENDS",
        having(18, inner_source="2001:db8:1:2::100"),
        18,
        "inner_source: expected in 2001:db8:1:1::/64; actual 2001:db8:1:2::100",
    ),
    Failure(
        "ESP-REPLAY",
        having(22, esp_sequence=1),
        22,
        "esp_sequence: expected not again the number of frame 16; actual 1",
    ),
    Failure(
        "DATA-HEADERS",
        having(18, route_optimised=True),
        18,
        "route_optimised: expected none; actual home address option or type 2 routing header",
    ),
    Failure("ESP-GAP", having(28, esp_sequence=9), 28, "esp_sequence: expected 3; actual 9"),
    Failure(
        "ICMP-LEAK",
        adding(
            16,
            "icmpv6_error",
            HOME_AGENT,
            CARE_OF,
            icmp_type=4,
            quoted_source=CARE_OF,
            quoted_destination=HOME_AGENT,
            quoted_headers=(60, 50),
        ),
        17,
        "icmp_type: expected no such error; "
        "actual parameter problem from 2001:db8:aaaa::1 about destination options, ESP",
    ),
)

# Rules that the good trace does not exercise, or remarks upon: a trace that they pass.
PASSING: dict[str, Edit] = {
    "I8": over_ipv4,
    "I10": over_ipv4,
    "BU-OVERWRITE": having(16, overwrite=True),
    "IKE-REPEAT": repeating(10),
    "ICMP-LEAK": adding(
        16, "icmpv6_error", "2001:db8:f::1", CARE_OF, icmp_type=2, quoted_source=CARE_OF, quoted_destination=HOME_AGENT
    ),
}


def run(rule: Rule, messages: list[Message]) -> RuleResult:
    sessions = separate(messages)
    assert len(sessions) == 1
    return judge(rule, sessions[0])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.ident)
def test_rule_passes_a_good_trace(rule: Rule, good: list[Message]) -> None:
    edit = PASSING.get(rule.ident, lambda messages: messages)
    result = run(rule, edit(good))
    assert result.outcome == "passed", result.findings or result.unseen
    assert result.checked > 0


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: f"{failure.ident}-{failure.frame}")
def test_rule_fails_a_bad_trace(failure: Failure, good: list[Message]) -> None:
    result = run(BY_IDENT[failure.ident], failure.edit(good))
    assert result.outcome in ("violated", "with a warning", "with a note"), result.unseen
    first = result.findings[0]
    assert first.message is not None
    assert f"{first.field}: expected {first.expected}; actual {first.actual}" == failure.says
    assert first.message.frame == failure.frame


def test_every_rule_has_a_failing_trace() -> None:
    assert {failure.ident for failure in FAILURES} == set(BY_IDENT)


def test_rules_say_who_they_are() -> None:
    assert len(BY_IDENT) == len(RULES)
    for rule in RULES:
        assert rule.severity in ("violation", "warning", "note")
        assert rule.clause.startswith(("RFC ", "TS "))
        assert rule.explanation.endswith(".")


@pytest.mark.parametrize("rule", [rule for rule in RULES if "mobility" in rule.sees], ids=lambda rule: rule.ident)
def test_hidden_signalling_is_never_a_pass(rule: Rule, good: list[Message]) -> None:
    """With the Binding Updates hidden a rule about them cannot have passed."""

    def hide(message: Message) -> Message:
        if message.kind != "binding_update":
            return message
        names = ("spi", "esp_sequence", "end_source", "end_destination", "home_address")
        fields = {name: message.fields[name] for name in names}
        return replace(message, kind="esp", hidden="no key", fields=fields)

    result = run(rule, [hide(message) for message in good])
    assert result.outcome != "passed"
    assert result.unseen
