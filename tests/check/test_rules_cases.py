# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that need more than a plain attach: each passes on a shipped capture and fails on that capture changed."""

from __future__ import annotations

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
from mn_dsmip.check.rules import RULES as ALL
from mn_dsmip.check.rules import (
    authentication,
    discovery,
    home,
    mn_ha,
    nat,
    redirect,
    revocation,
    timers,
    whole,
)
from mn_dsmip.check.rules.rule import Check, RuleResult, judge, rules_of
from mn_dsmip.check.separate import separate

ROOT = Path(__file__).resolve().parents[2]
RULES = {one.ident: one for one in rules_of(
    redirect, revocation, nat, timers, mn_ha, authentication, discovery, home, whole
)}  # fmt: skip
BY_IDENT = {one.ident: one for one in ALL}
Edit = Callable[[list[Message]], list[Message]]
Test = Callable[[Message], bool]


@cache
def trace(case: str) -> tuple[Message, ...]:
    """The messages of a shipped capture."""
    folder = ROOT / "captures" / case
    packets = reading.read(folder / "trace.pcapng", Keys.load(folder / "wireshark"), "tshark")
    return tuple(message for packet in packets if (message := dissect(packet)) is not None)


def judged(case: str, ident: str, edit: Edit = list) -> list[RuleResult]:
    """What a rule says of each session of a capture."""
    context = Context(Keys.load(ROOT / "captures" / case / "wireshark").mobility)
    results = []
    for session in separate(edit(list(trace(case)))):
        session.context = context
        results.append(judge(BY_IDENT[ident], session))
    return results


def findings(results: list[RuleResult]) -> list[Check]:
    return [one for result in results for one in result.findings]


# -- edits; frames are counted anew after each


def numbered(messages: list[Message]) -> list[Message]:
    return [replace(one, frame=number) for number, one in enumerate(messages, 1)]


def change(test: Test, **fields: Value | None) -> Edit:
    """Every message that the test picks with other fields; None takes one away."""

    def edit(messages: list[Message]) -> list[Message]:
        return [replace(one, fields=_changed(one, fields)) if test(one) else one for one in messages]

    return edit


def _changed(message: Message, fields: dict[str, Value | None]) -> dict[str, Value]:
    merged = {**message.fields, **fields}
    return {name: value for name, value in merged.items() if value is not None}


def drop(test: Test) -> Edit:
    return lambda messages: numbered([one for one in messages if not test(one)])


def moved(test: Test, **attributes: object) -> Edit:
    """Addresses, kind or time of the messages that the test picks."""
    return lambda messages: [replace(one, **attributes) if test(one) else one for one in messages]


def add(test: Test, delay: float = 0.001, times: int = 1, **fields: Value | None) -> Edit:
    """Behind the first message that the test picks others like it, with other fields."""

    def edit(messages: list[Message]) -> list[Message]:
        place = next(index for index, one in enumerate(messages) if test(one))
        first = messages[place]
        more = [
            replace(first, time=first.time + delay * number, fields=_changed(first, fields), content=f"{number}")
            for number in range(1, times + 1)
        ]
        return numbered([*messages[: place + 1], *more, *messages[place + 1 :]])

    return edit


def append(test: Test, delay: float, **fields: Value | None) -> Edit:
    """At the end a message like the first that the test picks."""

    def edit(messages: list[Message]) -> list[Message]:
        first = next(one for one in messages if test(one))
        last = replace(first, time=messages[-1].time + delay, fields=_changed(first, fields), content="appended")
        return numbered([*messages, last])

    return edit


def together(*edits: Edit) -> Edit:
    def edit(messages: list[Message]) -> list[Message]:
        for one in edits:
            messages = one(messages)
        return messages

    return edit


# -- picks


def kind(name: str, **fields: Value) -> Test:
    return lambda one: one.kind == name and all(one.get(key) == value for key, value in fields.items())


def redirecting(one: Message) -> bool:
    return "REDIRECT" in one.items("notify")


UPDATE, ANSWER = kind("binding_update"), kind("binding_acknowledgement")
INDICATION = kind("binding_revocation", indication=True)
ACKNOWLEDGED = kind("binding_revocation", indication=False)
FIRST_AUTH = kind("ike_auth", response=False, message_id=1)
FIRST_ANSWER = kind("ike_auth", response=True, message_id=1)
IDENTITY = "0001010000000001@nai.epc.mnc001.mcc001.3gppnetwork.org"


def last_answer(one: Message) -> bool:
    return one.kind == "ike_auth" and one.flag("response") and bool(one.items("home_prefixes"))


# Rule: the capture that passes, what breaks it, and a piece of what must be said.
BROKEN: dict[str, tuple[str, Edit, str]] = {
    "I15": ("reallocation", change(redirecting, redirect_nonce=32), "32 octets"),
    "REDIRECT-PLACE": ("reallocation", change(redirecting, message_id=2, auth_method=None), "message id 2"),
    "REDIRECT-ASKED": ("reallocation", change(kind("ike_sa_init"), notify=()), "neither notification was sent"),
    "REDIRECT-EMPTY": ("reallocation", change(redirecting, payloads=("AUTH", "CP", "N")), "CP"),
    "REDIRECT-FROM": (
        "reallocation",
        change(kind("ike_sa_init"), redirected_from="2001:db8:aaaa::1234"),
        "2001:db8:aaaa::1234",
    ),
    "REDIRECT-LOOP": ("reallocation", add(redirecting, times=6), "6"),
    "REDIRECT-SUPPORT": ("attach", change(kind("ike_sa_init"), notify=("SIGNATURE_HASH_ALGORITHMS",)), "HASH"),
    "BRI-FORM": ("network-detach", change(INDICATION, trigger=2), "2"),
    "BRI-ANSWERED": ("network-detach", drop(ACKNOWLEDGED), "no acknowledgement"),
    "BRA-ASKED": ("network-detach", change(ACKNOWLEDGED, sequence=999), "999"),
    "BRA-STATUS": ("network-detach", change(ACKNOWLEDGED, status=129), "129"),
    "BRI-HEADERS": ("network-detach", change(INDICATION, type2_routing=False), "no"),
    "BRI-REPEAT": ("network-detach", add(INDICATION, delay=0.1), "0.1"),
    "NAT-DATA": ("ipv4-access-nat", change(kind("tunnelled"), udp=False), "not in UDP"),
    "NAT-FOUND": ("ipv4-access-nat", change(ANSWER, nat_refresh=0xFFFFFFFF, nat_force_udp=False), "no NAT"),
    "NAT-KEEPALIVE": ("ipv4-access-nat", append(kind("tunnelled", udp=True, destination_port=4191), 900.0), "9"),
    "NAT-PORT": ("ipv4-access", change(UPDATE, destination_port=4192), "4192"),
    "IKE-4500": (
        "ipv4-access",
        change(lambda one: one.kind != "ike_sa_init" and one.is_ike, source_port=500, destination_port=500),
        "500",
    ),
    "BU-BACKOFF": ("attach", add(UPDATE, delay=0.3, sequence=40000), "0.3"),
    "BA-FINAL": ("refresh", change(ANSWER, status=129), "900"),
    "BA-DUPLICATE": ("refresh", change(ANSWER, status=134), "2001:db8:"),
    "BE": (
        "attach",
        together(
            add(ANSWER),
            moved(lambda one: one.kind == "binding_acknowledgement" and one.content == "1", kind="binding_error"),
        ),
        "",
    ),
    "MNHA-MAC": ("rfc4285", change(UPDATE, authenticator="00" * 12), "00000000"),
    "MNHA-LAST": ("rfc4285", change(UPDATE, options=("AUTHENTICATION", "MN_ID")), "MN_ID"),
    "MNHA-SPI": ("rfc4285", change(UPDATE, authentication_spi=7), "7"),
    "MNHA-ANSWER": ("rfc4285", change(ANSWER, authentication_subtype=None), "nothing"),
    "MNHA-IDENTITY": ("rfc4285", change(UPDATE, mn_id=None), "AUTH"),
    "MNHA-NO-K": ("rfc4285", change(UPDATE, key_management=True), "yes"),
    "MNHA-ECHO": ("rfc4285", change(ANSWER, message_id=1), "1"),
    "MNHA-TIME": ("rfc4285", change(UPDATE, message_id=1), ""),
    "MNHA-REFUSED": ("rfc4285", change(ANSWER, status=146), "after status 146"),
    "IKE-PAYLOADS": ("attach", change(kind("ike_sa_init", response=True), payloads=("SA", "KE")), "Nonce"),
    "AUTH-EAP": ("attach", change(FIRST_AUTH, payloads=("IDi", "IDr", "AUTH", "SA", "TSi", "TSr")), "AUTH"),
    "AUTH-HA": ("attach", change(FIRST_ANSWER, auth_method=None), "nothing"),
    "AUTH-MSK": ("attach", change(last_answer, auth_method="RSA"), "RSA"),
    "EAP-METHOD": ("attach", change(kind("ike_auth", eap_type="AKA"), eap_type="MSCHAPv2"), "MSCHAPv2"),
    "EAP-FAILURE": (
        "attach",
        change(kind("ike_auth", eap_code="success"), eap_code="failure", notify=("AUTHENTICATION_FAILED",)),
        "AUTHENTICATION_FAILED",
    ),
    "FAILED-NO-BU": ("attach", change(kind("ike_auth", eap_code="success"), eap_code="failure"), ""),
    "UE-NAI": ("attach", change(FIRST_AUTH, id_i="somebody"), "somebody"),
    "APN-KEPT": ("attach", change(FIRST_ANSWER, id_r="other"), "other"),
    "CONTACT": ("attach", change(FIRST_AUTH, notify=("INITIAL_CONTACT",)), "INITIAL_CONTACT"),
    "SA-TYPES": (
        "network-detach",
        change(kind("create_child_sa", response=True), ts_i_ports=("1280-1280",)),
        "1280-1280",
    ),
    "IKE-ONCE": ("attach", change(FIRST_AUTH, payloads=("IDi", "IDi", "SA", "TSi", "TSr")), "IDi"),
    "IKE-CHOICE": ("attach", change(kind("ike_sa_init", response=True), encryption=("DES",)), "DES"),
    "TS-NARROW": ("attach", change(kind("create_child_sa", response=True), ts_r=("::/0",)), "::/0"),
    "IKE-PORTS": ("attach", change(kind("ike_sa_init", response=False), destination_port=5000), "5000"),
    "IKE-NONCE": ("attach", change(kind("ike_sa_init", response=True), nonce_size=8), "8"),
    "CFG-SIZES": ("attach", change(last_answer, cfg_sizes=(17, 16, 4)), "17 octets"),
    "EAP-ID": ("attach", change(kind("ike_auth", eap_code="response"), eap_id=77), "77"),
    "BRR-ANSWERED": (
        "refresh",
        together(append(ANSWER, 1.0), moved(lambda one: one.content == "appended", kind="binding_refresh_request")),
        "none",
    ),
    "HA-NEXT": (
        "attach",
        together(
            change(kind("dns", response=True), addresses=("2001:db8:aaaa::1", "2001:db8:aaaa::2")),
            drop(kind("ike_sa_init", response=True)),
            add(kind("ike_sa_init", response=False), delay=5.0, spi_i="00000000000000aa"),
        ),
        "2001:db8:aaaa::1",
    ),
    "HA-APN": ("attach", change(kind("dns"), name="internet.ha-apn.mnc01.mcc001.pub.3gppnetwork.org"), "mnc01."),
    "HA-BOTH": ("attach", change(kind("dns"), type="AAAA"), "AAAA"),
    "HA-FOUND": ("attach", change(kind("dns", response=True), addresses=("2001:db8:aaaa::77",)), "2001:db8:"),
    "DHCP-ASKED": (
        "home-link",
        change(kind("dhcpv6", msg_type="information-request"), requested_options=("MIP6_HNIDF",)),
        "MIP6_HNIDF",
    ),
    "DHCP-CONTAINED": ("home-link", change(kind("dhcpv6", msg_type="reply"), uncontained=True), "yes"),
    "DNS-ANSWERED": ("attach", change(kind("dns", response=True), rcode=3), "3"),
    "HOME-NO-BU": ("return-home", change(kind("binding_update", lifetime=0), lifetime=225), "225"),
    "HOME-KEEP-SA": (
        "return-home",
        append(kind("create_child_sa", response=False), 1.0, delete="ESP"),
        "after",
    ),
    "DETACH-DELETE": (
        "detach",
        together(drop(kind("informational")), append(kind("tunnelled"), 30.0)),
        "no DELETE",
    ),
    "DELETE-ANSWERED": ("detach", drop(kind("informational", response=True)), "no answer"),
}
# What the shipped captures do not show: a trace that the rule passes.
PASSING: dict[str, Edit] = {
    "BRR-ANSWERED": together(
        add(ANSWER), moved(lambda one: one.content == "1", kind="binding_refresh_request"),
    ),
    "HA-NEXT": together(
        change(kind("dns", response=True), addresses=("2001:db8:aaaa::1", "2001:db8:aaaa::2")),
        drop(kind("ike_sa_init", response=True)),
        add(kind("ike_sa_init", response=False), delay=5.0, spi_i="00000000000000aa"),
        moved(lambda one: one.text("spi_i") == "00000000000000aa", destination="2001:db8:aaaa::2"),
    ),
    "BRI-REPEAT": add(INDICATION, delay=1.0),
    "BU-BACKOFF": add(UPDATE, delay=1.6, sequence=40000),
    "BA-DUPLICATE": together(
        change(ANSWER, status=134), append(UPDATE, 1.0, home_address="2001:db8:1:1::beef"),
    ),
    "EAP-FAILURE": together(
        change(kind("ike_auth", eap_code="success"), eap_code="failure", notify=()),
        drop(lambda one: one.kind in ("create_child_sa",) or (one.is_ike and one.number("message_id") > 2)),
    ),
    "FAILED-NO-BU": together(
        change(kind("ike_auth", eap_code="success"), eap_code="failure"),
        drop(lambda one: one.is_mobility or one.kind == "esp"),
    ),
    "HOME-KEEP-SA": append(kind("create_child_sa", response=False), 60.0, delete="ESP"),
}  # fmt: skip
NEVER_PASSES = {"BE"}  # whatever it finds is wrong
BETWEEN_UES = {"HNP-UNIQUE", "HOA-UNIQUE", "SPI-UNIQUE"}


def test_every_rule_is_here() -> None:
    assert set(BROKEN) | BETWEEN_UES == set(RULES)


@pytest.mark.parametrize("ident", sorted(set(BROKEN) - NEVER_PASSES))
def test_passes(ident: str) -> None:
    case, edit = BROKEN[ident][0], PASSING.get(ident, list)
    if ident == "BA-DUPLICATE":
        case = "attach"
    results = judged(case, ident, edit)
    bad = [one for one in findings(results) if ident != "MNHA-TIME"]  # the built capture is of no particular day
    assert not bad and any(one.checked for one in results), bad or [one.unseen for one in results]


@pytest.mark.parametrize("ident", sorted(BROKEN))
def test_fails(ident: str) -> None:
    case, edit, words = BROKEN[ident]
    before, after = findings(judged(case, ident)), findings(judged(case, ident, edit))
    assert len(after) > len(before)
    assert words in after[-1].actual or any(words in one.actual for one in after), [one.actual for one in after]


@pytest.mark.parametrize("ident", sorted(one.ident for one in ALL if "ike" in one.sees or one.ident.startswith("IKE")))
@pytest.mark.parametrize("case", ["attach", "reallocation", "untrusted-access"])
def test_the_order_of_payloads_does_not_matter(case: str, ident: str) -> None:
    """RFC 7296 2.5: payloads may come in any order, and so may notifications."""

    def backwards(messages: list[Message]) -> list[Message]:
        names = ("payloads", "notify", "cfg_attributes", "cfg_sizes")
        return [
            replace(one, fields={**one.fields, **{name: one.items(name)[::-1] for name in names if one.items(name)}})
            for one in messages
        ]

    before, after = judged(case, ident), judged(case, ident, backwards)
    assert [(one.outcome, one.checked, len(one.findings)) for one in before] == [
        (one.outcome, one.checked, len(one.findings)) for one in after
    ]


# -- between UEs


def another_ue(messages: list[Message], **fields: Value) -> list[Message]:
    """The same messages once more as those of another UE, at the same time."""
    swap = {messages_address: f"2001:db8:f:1::{number + 100:x}"
            for number, messages_address in enumerate({one.source for one in messages if one.is_ike and
                                                       one.flag("from_initiator")})}  # fmt: skip
    other = []
    for one in messages:
        known = {name: "ff" + str(value)[2:] for name, value in one.fields.items()
                 if name in ("spi_i", "spi_r") and set(str(value)) != {"0"}}  # fmt: skip
        extra = {**known, **({"id_i": "0001010000000002@nai.epc"} if one.get("id_i") else {})}
        fresh = {name: value for name, value in fields.items() if one.get(name) is not None}
        other.append(replace(
            one, source=swap.get(one.source, one.source), destination=swap.get(one.destination, one.destination),
            time=one.time + 0.0005, fields={**one.fields, **extra, **fresh},
        ))  # fmt: skip
    both = sorted([*messages, *other], key=lambda one: one.time)
    return numbered(both)


@pytest.mark.parametrize(("ident", "own"), [("HNP-UNIQUE", "home_prefixes"), ("SPI-UNIQUE", "spis")])
def test_two_ues_with_the_same(ident: str, own: str) -> None:
    ike = [one for one in trace("attach") if one.is_ike]
    same = judged("attach", ident, lambda messages: another_ue(ike))
    assert len(same) == 2 and len(findings(same)) >= 1
    assert "UE 1" in findings(same)[0].actual or "UE 2" in findings(same)[0].actual
    others: dict[str, Value] = {"home_prefixes": ("2001:db8:7:7::/64",), "spis": (123456,)}
    different = judged("attach", ident, lambda messages: another_ue(ike, **{own: others[own]}))
    assert not findings(different) and all(one.checked for one in different)


def test_two_bindings_of_one_home_address() -> None:
    """A second UE that registers the address of the first, one that has the first one's prefix notwithstanding."""
    context = Context()
    first, second = separate(list(trace("refresh"))), separate(list(trace("refresh")))
    second[0].number = 2
    for session in (*first, *second):
        session.context = context
    assert not judge(RULES["HOA-UNIQUE"], first[0]).findings
    assert second[0].established is not None
    second[0].__dict__["apn"] = "another"
    assert judge(RULES["HOA-UNIQUE"], second[0]).findings
