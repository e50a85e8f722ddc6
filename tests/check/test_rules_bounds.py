# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules take any message that a reader delivers, and their work grows with the session, not with its square."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mn_dsmip.check import reading
from mn_dsmip.check.context import Context
from mn_dsmip.check.model import Message, Value
from mn_dsmip.check.reading.dissect import dissect
from mn_dsmip.check.reading.keys import Keys
from mn_dsmip.check.rules import RULES
from mn_dsmip.check.rules.rule import RuleResult, judge
from mn_dsmip.check.separate import separate
from mn_dsmip.check.session import Session

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CASES = ("attach", "ipv4-access-nat", "network-detach", "reallocation", "rfc4285", "home-link", "return-home")
RULE = {rule.ident: rule for rule in RULES}
MOST_GROWTH = 3.0  # of the time for one message when there are eight times as many


@cache
def trace(case: str) -> tuple[Message, ...]:
    packets = reading.read(CAPTURES / case / "trace.pcapng", Keys.load(CAPTURES / case / "wireshark"), "tshark")
    return tuple(message for packet in packets if (message := dissect(packet)) is not None)


def sessions_of(case: str, messages: list[Message]) -> list[Session]:
    found = separate(messages)
    context = Context(Keys.load(CAPTURES / case / "wireshark").mobility)
    for session in found:
        session.context = context
    return found


# -- whatever the fields hold


def damaged(value: Value, dice: random.Random) -> Value:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return dice.choice([0, 1, -1, 135, 0xFFFF, 1 << 64])
    if isinstance(value, str):
        return dice.choice(["", "garbage", "192.0.2.1", "::", "2001:db8::/200", "1-2-3", value + value])
    return dice.choice([(), value[:1], value + value])


def damaged_fields(message: Message, dice: random.Random) -> Message:
    fields = dict(message.fields)
    for name in dice.sample(sorted(fields), min(len(fields), 3)):
        if name == "octets":
            octets = bytearray.fromhex(str(fields[name]))[: dice.choice([0, 1, 3, 6, 8, 11, 16, 99])]
            if octets:
                octets[dice.randrange(len(octets))] = dice.randrange(256)
            fields[name] = octets.hex()
        elif dice.random() < 0.3:
            del fields[name]
        else:
            fields[name] = damaged(fields[name], dice)
    return replace(message, fields=fields)


@pytest.mark.parametrize("case", CASES)
def test_no_message_raises(case: str) -> None:
    """Seeded, so that a failure comes again."""
    dice = random.Random(case)
    judged = 0
    for _ in range(40):
        messages = list(trace(case))
        for place in dice.sample(range(len(messages)), min(len(messages), 6)):
            messages[place] = damaged_fields(messages[place], dice)
        for session in sessions_of(case, messages):
            judged += sum(isinstance(judge(rule, session), RuleResult) for rule in RULES)
    assert judged >= 40 * len(RULES)


# -- a session that lasts for days


def refreshed(times: int) -> list[Message]:
    """The refresh capture with as many more refreshes, 100 s apart."""
    messages = list(trace("refresh"))
    update = [one for one in messages if one.kind == "binding_update"][-1]
    answer = [one for one in messages if one.kind == "binding_acknowledgement"][-1]
    for number in range(1, times + 1):
        fresh = {"sequence": (update.number("sequence") + number) % 0x10000, "esp_sequence": 100 + number}
        moment = messages[-1].time + 100
        for delay, one in ((0.0, update), (0.1, answer)):
            fields = {**one.fields, **fresh}
            messages.append(replace(one, time=moment + delay, fields=fields, content=f"{one.kind} {number}"))
    return [replace(one, frame=frame) for frame, one in enumerate(messages, 1)]


def cost(make: Callable[[], list[Message]]) -> float:
    """Seconds of all rules for one message of one session, the best of three."""
    best = float("inf")
    for _ in range(3):
        (session,) = sessions_of("refresh", make())
        start = time.process_time()
        for rule in RULES:
            judge(rule, session)
        best = min(best, (time.process_time() - start) / len(session.messages))
    return best


def test_long_sessions_cost_no_more_for_each_message() -> None:
    assert cost(lambda: refreshed(2000)) < MOST_GROWTH * cost(lambda: refreshed(250))


def test_long_sessions_are_judged_as_short_ones_are() -> None:
    (session,) = sessions_of("refresh", refreshed(300))
    for ident in ("I2", "I3", "I4", "BU-IPV4", "BU-RATE", "ESP-REPLAY"):
        result = judge(RULE[ident], session)
        assert (result.findings, result.checked > 300) == ((), True), ident


# -- one thing each


def said(ident: str, session: Session) -> list[tuple[str, str, str]]:
    return [(one.field, one.expected, one.actual) for one in judge(RULE[ident], session).findings]


def test_an_unknown_number_is_told_with_the_latest_ones_only() -> None:
    messages = refreshed(40)
    messages[-1] = replace(messages[-1], fields={**messages[-1].fields, "sequence": 60_000})
    (session,) = sessions_of("refresh", messages)
    ((_, expected, actual),) = said("I2", session)
    assert actual == "60000" and expected.count(",") == 9


def icmp_error(kind: str, number: int, code: int) -> list[tuple[str, str, str]]:
    """What ICMP-LEAK says of an error of the home agent about UDP 4191."""
    messages = list(trace("ipv4-access-nat"))
    update = next(one for one in messages if one.kind == "binding_update")
    fields: dict[str, Value] = {
        "icmp_type": number,
        "icmp_code": code,
        "quoted_source": update.source,
        "quoted_destination": update.destination,
        "quoted_headers": (17,),
        "quoted_ports": (update.number("source_port"), 4191),
    }
    error = Message(kind, len(messages) + 1, messages[-1].time, update.destination, update.source, fields)
    (session,) = separate(list(messages))
    session.messages.append(error)
    return said("ICMP-LEAK", session)


def test_a_kernel_that_answers_over_ipv4() -> None:
    home_agent = next(one for one in trace("ipv4-access-nat") if one.kind == "binding_update").destination
    found = f"destination unreachable from {home_agent} about DSMIPv6"
    assert icmp_error("icmp_error", 3, 3) == [("icmp_type", "no such error", found)]
    assert icmp_error("icmpv6_error", 4, 1)[0][2].startswith("parameter problem from ")


def test_too_big_is_no_leak() -> None:
    assert icmp_error("icmp_error", 3, 4) == []
    assert icmp_error("icmpv6_error", 2, 0) == []


def test_a_mobility_header_outside_ipv6_has_no_checksum() -> None:
    messages = list(trace("attach"))
    place = next(index for index, one in enumerate(messages) if one.kind == "binding_update")
    ends: dict[str, Value] = {**messages[place].fields, "end_source": "192.0.2.1"}
    messages[place] = replace(messages[place], fields=ends)
    result = judge(RULE["MH-CHECKSUM"], sessions_of("attach", messages)[0])
    assert not result.findings and result.unseen == "a Mobility Header that is not in IPv6 has no pseudo-header"
