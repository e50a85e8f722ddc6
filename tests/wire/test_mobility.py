# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility Header messages: published vectors, round trips, damage."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mn_dsmip.wire.codec import WireError
from mn_dsmip.wire.ip import MOBILITY_HEADER, transport_sum
from mn_dsmip.wire.mobility import (
    MESSAGES,
    BadChecksum,
    BadHeader,
    BindingAcknowledgement,
    BindingRefreshRequest,
    BindingUpdate,
    HomeAgentSwitch,
    IPv4Status,
    MobilityMessage,
    Status,
    UnknownMessage,
    UnknownType,
    build_mobility,
    parse_mobility,
)
from mn_dsmip.wire.mobility_options import (
    OPTIONS,
    AlternateCareOfAddress,
    BindingIdentifier,
    BindingRefreshAdvice,
    IPv4HomeAddress,
    MobileNodeIdentifier,
    Option,
    ServiceSelection,
    UnknownOption,
    build_options,
    parse_options,
)
from tests.wire.mobility_samples import (
    CARE_OF,
    HOME,
    HOME_AGENT,
    IPV4_HOME,
    MESSAGE_STRATEGIES,
    OPTION_STRATEGIES,
    PUBLISHED,
    VECTORS,
    any_messages,
    any_options,
    ends,
)

HEADERS = {vector["name"]: bytes.fromhex(vector["mobility_header"]) for vector in VECTORS["messages"]}
PACKETS = {vector["name"]: bytes.fromhex(vector["packet"]) for vector in VECTORS["messages"]}


def test_all_published_messages_are_here() -> None:
    assert list(HEADERS) == list(PUBLISHED)


@pytest.mark.parametrize("name", HEADERS)
def test_published_messages(name: str) -> None:
    assert build_mobility(PUBLISHED[name], *ends(name)) == HEADERS[name]
    assert parse_mobility(HEADERS[name], *ends(name)) == PUBLISHED[name]
    assert PACKETS[name].endswith(HEADERS[name])


def test_priority_zero_of_the_old_bid_format() -> None:
    update = PUBLISHED["E13"]
    assert isinstance(update, BindingUpdate)
    old = BindingIdentifier(1, 0, False, 0, CARE_OF)
    plain = parse_mobility(build_mobility(_with_options(update, update.options[0], old), *ends("E13")), *ends("E13"))
    assert plain.options[1] == old
    assert build_mobility(plain, *ends("E13"))[4:6].hex() == "f15c"


def _with_options(update: BindingUpdate, *content: Option) -> BindingUpdate:
    return BindingUpdate(
        *[getattr(update, name) for name in update.__dataclass_fields__ if name != "options"], options=content
    )


@pytest.mark.parametrize("name", HEADERS)
def test_the_checksum_covers_the_home_address(name: str) -> None:
    source, destination = (CARE_OF if address == HOME else address for address in ends(name))
    with pytest.raises(BadChecksum):
        parse_mobility(HEADERS[name], source, destination)


@pytest.mark.parametrize("name", HEADERS)
def test_every_truncation_and_extension_is_refused(name: str) -> None:
    for length in range(len(HEADERS[name])):
        with pytest.raises(WireError):
            parse_mobility(HEADERS[name][:length], *ends(name))
    with pytest.raises(WireError):
        parse_mobility(HEADERS[name] + bytes(8), *ends(name))


@pytest.mark.parametrize("name", HEADERS)
def test_every_truncation_with_a_right_length_and_checksum(name: str) -> None:
    """What ends inside a fixed part or an option is refused; what ends between options is a shorter message."""
    whole = parse_mobility(HEADERS[name], *ends(name))
    for length in range(8, len(HEADERS[name]), 8):
        short = seal(bytearray(HEADERS[name][:length]), *ends(name))
        try:
            message = parse_mobility(short, *ends(name))
        except WireError:
            continue
        assert type(message) is type(whole) and message.options == whole.options[: len(message.options)]
        assert message.options != whole.options


@pytest.mark.parametrize("name", HEADERS)
def test_every_changed_bit_is_noticed(name: str) -> None:
    for position in range(len(HEADERS[name]) * 8):
        damaged = bytearray(HEADERS[name])
        damaged[position // 8] ^= 0x80 >> position % 8
        with pytest.raises(WireError):
            parse_mobility(bytes(damaged), *ends(name))


def seal(header: bytearray, source: IPv6Address, destination: IPv6Address) -> bytes:
    """Put the right length and checksum into a damaged header."""
    header[1] = len(header) // 8 - 1
    header[4:6] = bytes(2)
    header[4:6] = transport_sum(source.packed, destination.packed, MOBILITY_HEADER, bytes(header)).to_bytes(2, "big")
    return bytes(header)


# The order of RFC 6275 9.2: checksum, type, payload proto, header length


def damaged(**changes: int) -> bytearray:
    header = bytearray(HEADERS["E7b"])
    for place, value in changes.items():
        header[{"proto": 0, "type": 2}[place]] = value
    return header


def test_the_checksum_is_looked_at_first() -> None:
    with pytest.raises(BadChecksum):
        parse_mobility(bytes(damaged(type=99, proto=58)), *ends("E7b"))


def test_an_unknown_type_comes_before_a_bad_payload_proto() -> None:
    header = seal(damaged(type=99, proto=58), *ends("E7b"))
    with pytest.raises(UnknownType, match="type 99 is unknown") as caught:
        parse_mobility(header, *ends("E7b"))
    assert caught.value.content == UnknownMessage(99, header[6:])


def test_a_bad_payload_proto_points_at_itself() -> None:
    with pytest.raises(BadHeader, match="Payload Proto is 58, not 59") as caught:
        parse_mobility(seal(damaged(proto=58), *ends("E7b")), *ends("E7b"))
    assert caught.value.pointer == 0


@pytest.mark.parametrize("number", [5, 6, 7, 16])
def test_a_header_too_short_for_its_type_points_at_the_length(number: int) -> None:
    with pytest.raises(BadHeader, match="too short") as caught:
        parse_mobility(seal(bytearray([59, 0, number, 0, 0, 0, 0, 0]), *ends("E9")), *ends("E9"))
    assert caught.value.pointer == 1


def test_route_optimization_is_unknown_but_kept() -> None:
    for number in (1, 2, 3, 4, 13):
        built = build_mobility(UnknownMessage(number, bytes(10)), HOME, HOME_AGENT)
        with pytest.raises(UnknownType) as caught:
            parse_mobility(built, HOME, HOME_AGENT)
        assert build_mobility(caught.value.content, HOME, HOME_AGENT) == built


def test_an_unknown_message_must_end_on_a_boundary() -> None:
    with pytest.raises(ValueError, match="8-octet boundary"):
        build_mobility(UnknownMessage(1, bytes(3)), HOME, HOME_AGENT)


# Round trips


def test_every_class_is_tried_here() -> None:
    assert set(MESSAGE_STRATEGIES) == set(MESSAGES)
    assert set(OPTION_STRATEGIES) == set(OPTIONS)


@pytest.mark.parametrize("number", MESSAGE_STRATEGIES)
def test_messages_come_back(number: int) -> None:
    @settings(max_examples=60)
    @given(MESSAGE_STRATEGIES[number])
    def check(message: MobilityMessage) -> None:
        built = build_mobility(message, HOME, HOME_AGENT)
        assert len(built) == 8 * (built[1] + 1) and built[2] == number
        assert parse_mobility(built, HOME, HOME_AGENT) == message
        for length in range(len(built)):
            with pytest.raises(WireError):
                parse_mobility(built[:length], HOME, HOME_AGENT)

    check()


@pytest.mark.parametrize("number", OPTION_STRATEGIES)
def test_options_come_back_and_truncations_are_refused(number: int) -> None:
    @settings(max_examples=40)
    @given(OPTION_STRATEGIES[number], st.sampled_from([6, 8, 12, 24]))
    def check(option: Option, offset: int) -> None:
        built = build_options((option,), offset)
        assert (offset + len(built)) % 8 == 0
        assert parse_options(built) == (option,)
        data = option.build()
        assert type(option).parse(data) == option
        for length in range(type(option).fixed_length):
            with pytest.raises(WireError):
                type(option).parse(data[:length])
        if type(option).fixed_length == len(data) and number not in VARIABLE:
            with pytest.raises(WireError):
                type(option).parse(data + b"\0")

    check()


VARIABLE = {8, 9, 17, 20, 35, 44, 45}


@given(any_options, st.sampled_from([8, 12, 24]))
def test_every_option_stands_where_its_alignment_says(content: tuple[Option, ...], offset: int) -> None:
    built = build_options(content, offset)
    position, places = 0, []
    while position < len(built):
        if built[position] == 0:
            position += 1
            continue
        if built[position] != 1:
            places.append(offset + position)
        position += 2 + built[position + 1]
    assert len(places) == len(content)
    for place, option in zip(places, content, strict=True):
        unit, remainder = option.alignment
        if isinstance(option, BindingIdentifier) and option.care_of_address is None:
            unit, remainder = 2, 0
        assert place % unit == remainder
    assert parse_options(built) == content


@given(st.integers(0, 30), st.binary(max_size=80))
def test_octets_from_anybody_are_a_message_or_a_wire_error(number: int, body: bytes) -> None:
    body += bytes(-(6 + len(body)) % 8)
    header = seal(bytearray([59, 0, number, 0, 0, 0]) + body, HOME, HOME_AGENT)
    try:
        message = parse_mobility(header, HOME, HOME_AGENT)
    except WireError:
        return
    again = build_mobility(message, HOME, HOME_AGENT)
    assert parse_mobility(again, HOME, HOME_AGENT) == message


@given(any_messages)
def test_reserved_fields_are_ignored_when_read(message: MobilityMessage) -> None:
    built = bytearray(build_mobility(message, HOME, HOME_AGENT))
    built[3] = 0xFF
    assert parse_mobility(seal(built, HOME, HOME_AGENT), HOME, HOME_AGENT) == message


# Details


def test_registry_names_and_unknown_numbers() -> None:
    assert BindingAcknowledgement(132) == BindingAcknowledgement(Status.NOT_HOME_SUBNET)
    for status, kind in ((132, Status), (255, int)):
        built = build_mobility(BindingAcknowledgement(status), HOME_AGENT, HOME)
        parsed = parse_mobility(built, HOME_AGENT, HOME)
        assert parsed.status == status and type(parsed.status) is kind
    assert IPv4Status.DYNAMIC_ASSIGNMENT_NOT_AVAILABLE == 132


def test_padding_may_be_anything_that_fits() -> None:
    pad1 = bytes(4)
    padn = bytes([1, 2, 7, 7])
    assert parse_options(pad1) == parse_options(padn) == parse_options(bytes([1, 0, 0, 0])) == ()
    advice = bytes([2, 2, 1, 194])
    assert parse_options(pad1 + advice + padn) == (BindingRefreshAdvice(450),)


@pytest.mark.parametrize("octets", ["01", "0105", "0305aabb", "03", "c8020a", "0b0a0000"])
def test_options_beyond_the_end_are_refused(octets: str) -> None:
    with pytest.raises(WireError, match="reaches beyond the header"):
        parse_options(bytes.fromhex(octets))


@pytest.mark.parametrize("octets", ["0302aabb", "1d040000aabb", "0203010203", "2303000100", "230500010000aa", "2c01aa"])
def test_options_of_the_wrong_length_are_refused(octets: str) -> None:
    with pytest.raises(WireError, match=r"octets.*, .* expected"):
        parse_options(bytes.fromhex(octets))


def test_unknown_options_are_kept_in_place() -> None:
    content = (UnknownOption(200, b"one"), IPv4HomeAddress(32, True, IPV4_HOME), UnknownOption(201, b""))
    assert parse_options(build_options(content, 12)) == content


def test_names_that_are_no_text_are_refused() -> None:
    for number in (MobileNodeIdentifier.number, ServiceSelection.number):
        with pytest.raises(WireError, match="not UTF-8"):
            parse_options(bytes([number, 2, 0xFF, 0xFF]))


def test_a_home_agent_switch_counts_its_addresses() -> None:
    switch = HomeAgentSwitch((HOME_AGENT, CARE_OF), (BindingRefreshAdvice(30),))
    built = bytearray(build_mobility(switch, HOME_AGENT, HOME))
    assert built[6] == 2
    built[6] = 3  # one more than there are
    with pytest.raises(WireError):
        parse_mobility(seal(built, HOME_AGENT, HOME), HOME_AGENT, HOME)


def test_an_option_too_long_for_its_length_octet_is_not_written() -> None:
    with pytest.raises(ValueError, match="must be in range"):
        build_options((ServiceSelection("x" * 256),), 12)


def test_a_binding_identifier_without_an_address_needs_no_padding_before_it() -> None:
    # RFC 5648 4.3: a Binding Acknowledgement carries it with length 4, aligned at 2n
    short = BindingIdentifier(1, 0, False, 1, None)
    built = build_mobility(BindingAcknowledgement(0, options=(short,)), HOME_AGENT, HOME)
    assert built[12:].hex() == "230400010001" + "010400000000"


def test_messages_without_options_are_as_short_as_they_can_be() -> None:
    assert len(build_mobility(BindingRefreshRequest(), HOME_AGENT, HOME)) == 8
    assert build_mobility(BindingUpdate(1), HOME, HOME_AGENT)[12:] == bytes([1, 2, 0, 0])
    assert len(build_mobility(BindingUpdate(1, options=(AlternateCareOfAddress(CARE_OF),)), HOME, HOME_AGENT)) == 32
