# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is who in a trace: message by message, without tshark."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from mn_dsmip.check.model import Message
from mn_dsmip.check.separate import Separator, separate, sessions
from mn_dsmip.check.session import DAMAGED
from mn_dsmip.check.thinning import EDGE
from tests.check.talk import CN, HA, HA4, NAT, Fields, Trace, Ue


def frames(trace: Trace) -> list[list[int]]:
    return [[one.frame for one in session.messages] for session in separate(trace.messages)]


def whole(trace: Trace) -> list[int]:
    return list(range(1, len(trace.messages) + 1))


def test_one_session_has_everything() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.data()
    ue.detach()
    assert frames(trace) == [whole(trace)]


def test_handed_on_a_minute_after_the_end() -> None:
    """And not before: what is late still belongs to it."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.detach()
    end = trace.now
    separator = Separator()
    assert [one for message in trace.messages for one in separator.add(message)] == []
    late = trace.add("tunnelled", HA, ue.care_of, inner_source=CN, inner_destination=ue.home)
    assert separator.add(late) == []
    trace.now = end + 59
    assert separator.add(trace.add("plain", CN, CN)) == []
    trace.now = end + 61
    (session,) = separator.add(trace.add("plain", CN, CN))
    assert [one.frame for one in session.messages] == whole(trace)[:-2]
    assert not separator.live
    assert list(separator.end()) == []


def test_forgets_everything_of_a_session() -> None:
    """No table holds on to what has been handed on."""
    separator = Separator()
    trace = Trace()
    for number in range(1, 40):
        ue = Ue(trace, number, care_of=NAT if number % 3 == 0 else "", home_agent=HA4 if number % 3 == 0 else HA)
        ue.attach()
        ue.data(3)
        ue.detach()
    trace.now += 100
    trace.add("plain", CN, CN)
    assert sum(len(separator.add(message)) for message in trace.messages) == 39
    tables = [value for name, value in vars(separator).items() if name.startswith(("_by", "_rekeyed"))]
    assert [len(table) for table in tables] == [0] * len(tables)


def test_a_silent_binding_ends_with_its_lifetime() -> None:
    trace = Trace()
    Ue(trace, 1).attach()
    separator = Separator()
    for message in trace.messages:
        separator.add(message)
    trace.now += 400  # 100 units of 4 s
    assert separator.add(trace.add("plain", CN, CN)) == []
    trace.now += 61
    assert len(separator.add(trace.add("plain", CN, CN))) == 1


@pytest.mark.parametrize(("care_of", "home_agent"), [("2001:db8:f:2::9", HA), ("198.51.100.9", HA4)])
def test_handover_is_one_session(care_of: str, home_agent: str) -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.data()
    before = ue.care_of
    ue.care_of, ue.home_agent = care_of, home_agent
    ue.bind(source_port=4191, destination_port=4191)
    ue.data()
    ue.ike("informational")
    ue.detach()
    (session,) = separate(trace.messages)
    assert [one.frame for one in session.messages] == whole(trace)
    assert session.care_of_addresses == {before, ue.care_of}
    assert session.is_ha(HA)
    assert session.is_ha(ue.home_agent)


def test_nat_gives_another_port_and_address() -> None:
    trace = Trace()
    ue = Ue(trace, 1, care_of=NAT, home_agent=HA4)
    ue.attach()
    ue.port = 4500
    ue.ike("informational")
    ue.care_of, ue.port = "203.0.113.99", 61000
    ue.bind(source_port=40000, destination_port=4191)
    trace.add("keepalive", ue.care_of, HA4, source_port=40000, destination_port=4191, size=0, udp=True)
    assert frames(trace) == [whole(trace)]


def test_many_behind_one_address() -> None:
    """Interleaved: only ports, SPIs and home addresses tell the UEs apart, and data by the inner address."""
    trace = Trace()
    ues = [Ue(trace, number, care_of=NAT, home_agent=HA4, port=1024 + number) for number in range(1, 20)]
    for step in (Ue.attach, Ue.data, Ue.bind, Ue.data, Ue.detach):
        for ue in ues:
            step(ue)
    found = separate(trace.messages)
    assert len(found) == len(ues)
    for session, ue in zip(found, ues, strict=True):
        assert session.home_addresses == {ue.home}
        assert {one.text("inner_source") for one in session.of("tunnelled")} == {ue.home}
        assert {one.text("spi_i") for one in session.messages if one.is_ike} == {ue.spis[0]}


def test_two_connections_of_one_ue() -> None:
    trace = Trace()
    first, second = Ue(trace, 1), Ue(trace, 2, care_of="2001:db8:f:1::1", apn="ims", name="ue1@example")
    for step in (Ue.attach, Ue.data, Ue.bind, Ue.detach):
        step(first)
        step(second)
    found = separate(trace.messages)
    assert [one.apn for one in found] == ["internet", "ims"]
    assert [one.home_addresses for one in found] == [{first.home}, {second.home}]
    assert sum(len(one.messages) for one in found) == len(trace.messages)


def test_redirect_stays_one_session() -> None:
    """F4: the answer to IKE_AUTH sends the UE to another home agent."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.ike("ike_sa_init")
    ue.ike("ike_sa_init", response=True)
    ue.ike("ike_auth", id_i=ue.name)
    ue.ike("ike_auth", response=True, notify=("REDIRECT",), redirect_to="2001:db8:bbbb::1")
    ue.ike("informational", delete="IKE")
    ue.ike("informational", response=True)
    ue.spis, ue.home_agent = ("00000000000000aa", "00000000000000bb"), "2001:db8:bbbb::1"
    ue.attach()
    (session,) = separate(trace.messages)
    assert [one.frame for one in session.messages] == whole(trace)
    assert session.home_agent == "2001:db8:bbbb::1"
    assert [one.frame for one in session.abandoned] == [1, 2, 3, 4, 5, 6]


def test_attach_again_is_another_session() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.detach()
    again = len(trace.messages)
    trace.add("dns", ue.care_of, "2001:db8:53::53", response=False)
    ue.spis = ("00000000000000aa", "00000000000000bb")
    ue.attach()
    first, second = frames(trace)
    assert (first, second) == (whole(trace)[:again], whole(trace)[again:])


def test_discovery_belongs_to_the_session_after_it() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    trace.add("router_advertisement", "fe80::1", "ff02::1", prefixes=("2001:db8:f:1::/64",))
    trace.add("router_advertisement", "fe80::2", "ff02::1", prefixes=("2001:db8:f:9::/64",))
    trace.add("dns", ue.care_of, "2001:db8:53::53", response=False)
    trace.add("dns", "2001:db8:53::53", ue.care_of, response=True)
    trace.add("dns", "2001:db8:53::53", "2001:db8:f:1::99", response=True)
    trace.add("dhcpv6", "fe80::1:2", "ff02::1:2", msg_type="information-request")
    trace.add("dhcpv6", "fe80::1", "fe80::1:2", msg_type="reply", home_agent_addresses=(HA,))
    trace.add("home_agent_discovery", ue.care_of, "2001:db8:aaaa:0:fdff::fe", response=False)
    ue.attach()
    (found,) = frames(trace)
    assert found == [1, 3, 4, 6, 7, 8, *range(9, len(trace.messages) + 1)]


def test_old_discovery_is_left_out() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    trace.add("dns", ue.care_of, "2001:db8:53::53", response=False)
    trace.now += 301
    ue.attach()
    assert frames(trace) == [whole(trace)[1:]]


def test_advertisement_of_the_link_that_the_ue_moves_to() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    trace.add("router_advertisement", "fe80::2", "ff02::1", prefixes=("2001:db8:f:2::/64",))
    ue.care_of = "2001:db8:f:2::9"
    ue.bind()
    assert frames(trace) == [whole(trace)]


def test_without_ike_one_session_for_each_home_address() -> None:
    trace = Trace()
    first, second = Ue(trace, 1), Ue(trace, 2, care_of="2001:db8:f:1::1")
    for _ in range(2):
        first.bind()
        second.bind()
        first.data()
        second.data()
    found = separate(trace.messages)
    assert [one.home_addresses for one in found] == [{first.home}, {second.home}]
    assert [len(one.messages) for one in found] == [6, 6]


def test_rfc_4285_goes_by_the_name() -> None:
    """Two UEs without a home address yet, on one care-of address."""
    trace = Trace()
    for _ in range(2):
        for name in ("one@example", "two@example"):
            trace.add("binding_update", "2001:db8:f:1::1", HA, home_address="::", mn_id=name)
    first, second = frames(trace)
    assert (first, second) == ([1, 3], [2, 4])


def test_capture_that_starts_in_the_middle() -> None:
    """Mobility signalling first, then the IKE SA that nobody saw come up: one session."""
    trace = Trace()
    ue = Ue(trace, 1)
    ue.bind()
    ue.data()
    ue.detach()
    assert frames(trace) == [whole(trace)]


def test_rekeyed_ike_sa() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    ue.ike("create_child_sa", sa_protocol="IKE", spis=(0xAA,))
    ue.ike("create_child_sa", response=True, sa_protocol="IKE", spis=(0xBB,))
    ue.ike("informational", delete="IKE")  # the old one: not the end
    ue.spis = (f"{0xAA:016x}", f"{0xBB:016x}")
    trace.now += 100
    ue.ike("informational")
    ue.bind()
    assert len(list(sessions(trace.messages))) == 1
    assert frames(trace) == [whole(trace)]


def test_reasons_for_what_is_hidden() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.ike("ike_sa_init")
    ue.ike("ike_sa_init", response=True)
    ue.ike("ike_auth", hidden="no key")
    ue.ike("ike_auth", response=True, hidden="wrong key")
    for sequence, hidden in ((1, "wrong key"), (2, "")):
        common: Fields = {"spi": 7, "esp_sequence": sequence, "home_address": ue.home, "protected": True}
        kind = "esp" if hidden else "binding_update"
        trace.add(kind, ue.care_of, HA, hidden=hidden, **common, end_source=ue.home)
    trace.add(
        "esp", HA, ue.care_of, hidden="wrong key", spi=8, esp_sequence=1, home_address=ue.home, end_destination=ue.home
    )
    (session,) = separate(trace.messages)
    assert [one.hidden for one in session.messages if one.hidden] == [
        "no key for IKE SA 0000000000000001",
        "wrong key for IKE SA 0000000000000001: nothing under it opens",
        DAMAGED,
        "wrong key for ESP SPI 0x00000008: nothing under it opens",
    ]


def test_long_runs_of_data_are_thinned() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    first = len(trace.messages) + 1
    ue.data(1000)
    last = len(trace.messages)
    ue.bind()
    ue.data(3)
    (session,) = separate(trace.messages)
    kept = [one.frame for one in session.of("tunnelled")]
    after = [last + 3, last + 4, last + 5]
    assert kept == [*range(first, first + EDGE), *range(last - EDGE + 1, last + 1), *after]
    assert session.left_out == {last - EDGE + 1: 1000 - 2 * EDGE}


def test_gaps_in_unopened_esp_stay() -> None:
    trace = Trace()
    numbers = [*range(1, 100), *range(102, 200), 199]
    for number in numbers:
        trace.add("esp", "2001:db8:f:1::1", HA, hidden="no key", spi=7, esp_sequence=number, home_address="2001:db8::1")
    (session,) = separate(trace.messages)
    kept = [one.number("esp_sequence") for one in session.messages]
    assert {99, 102, 199} <= set(kept)
    assert kept.count(199) == 2
    assert len(kept) < 8 * EDGE


def test_a_scan_does_not_fill_the_memory() -> None:
    trace = Trace()
    ue = Ue(trace, 1)
    ue.attach()
    for port in range(5000):
        ue.data(tcp="syn", source_port=port)
    (session,) = separate(trace.messages)
    assert len(session.messages) < 300
    assert session.left_out[0] > 4000


def interleaved(ues: int) -> list[Message]:
    """UEs that are all there at the same time, half of them behind one address; their messages in random order."""
    trace, order = Trace(), random.Random(ues)
    steps: list[Callable[[], None]] = []
    for number in range(1, ues + 1):
        behind = number % 2 == 0
        place = (NAT, HA4, number + 1024) if behind else ("", HA, 500)
        ue = Ue(trace, number, *place)
        ue.attach()
        steps += [ue.data, ue.bind] * 3
    order.shuffle(steps)
    for step in steps:
        step()
    return trace.messages


def test_each_message_costs_the_same() -> None:
    """Ten times the UEs: the time for one message may not grow with them."""

    def seconds(messages: list[Message]) -> float:
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            found = separate(messages)
            best = min(best, time.process_time() - begun)
        assert sum(len(one.messages) for one in found) == len(messages)
        return best / len(messages)

    few, many = seconds(interleaved(100)), seconds(interleaved(1000))
    assert many < 3 * few


def test_any_order_is_survived(good: list[Message]) -> None:
    """Whatever the order, every message is in one session at most, and nothing raises."""
    order = random.Random(1)
    for _ in range(50):
        messages = order.sample(good, len(good))
        found = [one.frame for session in separate(messages) for one in session.messages]
        assert len(found) == len(set(found))


def test_through_an_epdg_is_one_session() -> None:
    """F3: the IKE SA with the ePDG, then everything else inside its tunnel, between other addresses."""
    trace = Trace()
    epdg = Ue(trace, 1, care_of="2001:db8:e:1::10", home_agent="2001:db8:e::1")
    epdg.ike("ike_sa_init")
    epdg.ike("ike_sa_init", response=True)
    epdg.ike("ike_auth", id_i=epdg.name)
    epdg.ike("ike_auth", response=True, cfg_type="reply", cfg_attributes=("INTERNAL_IP6_ADDRESS",))
    ue = Ue(trace, 2)
    outside: Fields = {"outer_source": epdg.care_of, "outer_destination": epdg.home_agent}
    ue.ike("ike_sa_init", **outside)
    ue.ike("ike_sa_init", response=True)
    ue.ike("ike_auth", id_i=ue.name, **outside)
    ue.bind()
    other = Ue(trace, 3, care_of=ue.care_of, apn="ims")
    other.ike("ike_sa_init", **outside)
    first, second = separate(trace.messages)
    assert [one.frame for one in first.messages] == whole(trace)[:-1]
    assert (first.care_of, first.home_agent) == (ue.care_of, ue.home_agent)
    assert first.abandoned == []
    assert len(second.messages) == 1
