# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility messages: the published ones as objects, and arbitrary ones for property-based tests."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from hypothesis import strategies as st

from mn_dsmip.wire import mobility_options as options
from mn_dsmip.wire.mobility import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingRevocation,
    BindingUpdate,
    HomeAgentSwitch,
    MobilityMessage,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "mobility.json").read_text())
_ADDRESSES = VECTORS["addresses"]
HOME = IPv6Address(_ADDRESSES["home_address"])
HOME_AGENT = IPv6Address(_ADDRESSES["home_agent"])
CARE_OF = IPv6Address(_ADDRESSES["care_of_address"])
IPV4_CARE_OF = IPv4Address(_ADDRESSES["ipv4_care_of_address"])
IPV4_HOME = IPv4Address(_ADDRESSES["ipv4_home_address"])
ANY_IPV4 = IPv4Address(0)
_RFC_4285 = VECTORS["rfc4285"]


def _update(sequence: int, *content: options.Option, lifetime: int = 900, **changes: bool) -> BindingUpdate:
    flags = {"acknowledge": True, "home": True, "key_management": True, "mobile_router": True} | changes
    return BindingUpdate(sequence, **flags, lifetime=lifetime, options=content)


def _answer(sequence: int, *content: options.Option, lifetime: int = 900, **changes: bool) -> BindingAcknowledgement:
    flags = {"key_management": True, "mobile_router": True} | changes
    return BindingAcknowledgement(0, **flags, sequence=sequence, lifetime=lifetime, options=content)


def _ipv4(address: IPv4Address) -> options.IPv4HomeAddress:
    return options.IPv4HomeAddress(32, False, address)


_ALTERNATE = options.AlternateCareOfAddress(CARE_OF)
_GRANTED = options.IPv4AddressAcknowledgement(0, 32, IPV4_HOME)
_IDENTIFIER = options.MobileNodeIdentifier(1, _RFC_4285["identifier"])
_TIMESTAMP = options.MessageIdentifier(bytes.fromhex(_RFC_4285["timestamp"]))


def _authentication(authenticator: str) -> options.Authentication:
    return options.Authentication(1, _RFC_4285["spi"], bytes.fromhex(authenticator))


PUBLISHED: dict[str, MobilityMessage] = {
    "E1": _update(1, _ipv4(ANY_IPV4), _ALTERNATE),
    "E2": _answer(1, _GRANTED, options.BindingRefreshAdvice(450)),
    "E3": _update(2, _ipv4(IPV4_HOME), options.IPv4CareOfAddress(IPV4_CARE_OF)),
    "E4": _answer(2, _GRANTED, options.NatDetection(False, 110)),
    "E5": BindingRevocation(1, 1, 0x1234, False, False, False),
    "E6": BindingRevocation(2, 0, 0x1234, False, False, False),
    "E7": _update(3, _ALTERNATE, lifetime=0, mobile_router=False),
    "E7b": _answer(3, lifetime=0, mobile_router=False),
    "E8": _update(4, lifetime=0),
    "E8b": _answer(4, lifetime=0),
    "E9": BindingRefreshRequest(),
    "E13": _update(
        9, _ipv4(ANY_IPV4), options.BindingIdentifier(1, 0, False, 1, CARE_OF), overwrite=True
    ),
    "E10": _update(
        7,
        _IDENTIFIER,
        _TIMESTAMP,
        _ipv4(ANY_IPV4),
        _ALTERNATE,
        _authentication("d32a1b8afcd2c5309e15326d"),
        key_management=False,
    ),
    "E11": _answer(
        7, _IDENTIFIER, _TIMESTAMP, _GRANTED, _authentication("aae732372b3c0cccf5867044"), key_management=False
    ),
}  # fmt: skip


def from_mobile_node(name: str) -> bool:
    """Whether the published message travels towards the home agent."""
    return isinstance(PUBLISHED[name], BindingUpdate) or name == "E6"


def ends(name: str) -> tuple[IPv6Address, IPv6Address]:
    """Source and destination as the end points see them."""
    return (HOME, HOME_AGENT) if from_mobile_node(name) else (HOME_AGENT, HOME)


# Arbitrary ones

_octet, _word, _long = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
ipv4_addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
ipv6_addresses = st.integers(0, 2**128 - 1).map(IPv6Address)
_text = st.text(max_size=40)
_data = st.binary(max_size=40)
_care_of = st.one_of(st.none(), ipv4_addresses, ipv6_addresses)

OPTION_STRATEGIES: dict[int, st.SearchStrategy[options.Option]] = {
    2: st.builds(options.BindingRefreshAdvice, _word),
    3: st.builds(options.AlternateCareOfAddress, ipv6_addresses),
    4: st.builds(options.NonceIndices, _word, _word),
    6: st.builds(options.MobileNetworkPrefix, _octet, ipv6_addresses),
    8: st.builds(options.MobileNodeIdentifier, _octet, _text),
    9: st.builds(options.Authentication, _octet, _long, _data),
    10: st.builds(options.MessageIdentifier, st.binary(min_size=8, max_size=8)),
    17: st.builds(options.DnsUpdate, _octet, st.booleans(), _data),
    20: st.builds(options.ServiceSelection, _text),
    29: st.builds(options.IPv4HomeAddress, st.integers(0, 63), st.booleans(), ipv4_addresses),
    30: st.builds(options.IPv4AddressAcknowledgement, _octet, st.integers(0, 63), ipv4_addresses),
    31: st.builds(options.NatDetection, st.booleans(), _long),
    32: st.builds(options.IPv4CareOfAddress, ipv4_addresses),
    35: st.builds(options.BindingIdentifier, _word, _octet, st.booleans(), st.integers(0, 127), _care_of),
    44: st.builds(options.FlowSummary, st.lists(_word, max_size=8).map(tuple)),
    45: st.builds(options.FlowIdentification, _word, _word, _octet, _data),
}
unknown_options = st.builds(options.UnknownOption, st.integers(64, 255), _data)
any_options = st.lists(st.one_of(*OPTION_STRATEGIES.values(), unknown_options), max_size=6).map(tuple)

_flag = st.booleans()
MESSAGE_STRATEGIES: dict[int, st.SearchStrategy[MobilityMessage]] = {
    0: st.builds(BindingRefreshRequest, options=any_options),
    5: st.builds(BindingUpdate, _word, *[_flag] * 10, lifetime=_word, options=any_options),
    6: st.builds(BindingAcknowledgement, _octet, _flag, _flag, _word, _word, any_options),
    7: st.builds(BindingError, _octet, ipv6_addresses, any_options),
    12: st.builds(HomeAgentSwitch, st.lists(ipv6_addresses, max_size=5).map(tuple), any_options),
    16: st.builds(BindingRevocation, _octet, _octet, _word, _flag, _flag, _flag, any_options),
}
any_messages = st.one_of(*MESSAGE_STRATEGIES.values())
