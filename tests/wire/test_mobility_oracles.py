# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobility messages as others see them: tshark reads what we write, scapy writes what we write."""

from __future__ import annotations

import logging
import random
import shutil
import struct
import subprocess
from collections import defaultdict
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers import inet6 as scapy  # noqa: E402  # after scapy's own chatter is off

from mn_dsmip.wire import mobility_options as options  # noqa: E402
from mn_dsmip.wire.ip import (  # noqa: E402
    DESTINATION_OPTIONS,
    MOBILITY_HEADER,
    home_address_header,
    ipv6_packet,
)
from mn_dsmip.wire.mobility import (  # noqa: E402
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingRevocation,
    BindingUpdate,
    HomeAgentSwitch,
    MobilityMessage,
    build_mobility,
    parse_mobility,
)
from tests.wire.mobility_samples import CARE_OF, HOME, HOME_AGENT, PUBLISHED  # noqa: E402

LINKTYPE_IPV6 = 229
Fields = dict[str, list[str]]

# What tshark calls the fields of each class. Version 4.0 does not know options 44 and 45, misreads the timestamp of
# option 10, shows the data of option 9 and the name of option 17 two octets short, and looks for the options of a
# Home Agent Switch eight octets too early.
FLAGS = {
    "acknowledge": "mip6.bu.a_flag",
    "home": "mip6.bu.h_flag",
    "link_local": "mip6.bu.l_flag",
    "key_management": "mip6.bu.k_flag",
    "map_registration": "mip6.bu.m_flag",
    "mobile_router": "mip6.nemo.bu.r_flag",
    "proxy": "mip6.bu.p_flag",
    "force_udp": "mip6.bu.f_flag",
    "tlv": "mip6.bu.t_flag",
    "overwrite": "mip6.bu.b_flag",
}
INDICATION = {
    "proxy": "mip6.bri_ip",
    "ipv4_only": "mip6.bri_iv",
    "is_global": "mip6.bri_ig",
    "code": "mip6.bri_r.trigger",
}
ACKNOWLEDGEMENT = {
    "proxy": "mip6.bri_ap",
    "ipv4_only": "mip6.bri_av",
    "is_global": "mip6.bri_ag",
    "code": "mip6.bri_status",
}
MESSAGE_FIELDS: dict[type, dict[str, str]] = {
    BindingRefreshRequest: {},
    BindingUpdate: {"sequence": "mip6.bu.seqnr", "lifetime": "mip6.bu.lifetime", **FLAGS},
    BindingAcknowledgement: {
        "status": "mip6.ba.status",
        "key_management": "mip6.ba.k_flag",
        "mobile_router": "mip6.nemo.ba.r_flag",
        "sequence": "mip6.ba.seqnr",
        "lifetime": "mip6.ba.lifetime",
    },
    BindingError: {"status": "mip6.be.status", "home_address": "mip6.be.haddr"},
    HomeAgentSwitch: {"home_agents": "mip6.has.address"},
    BindingRevocation: {"revocation_type": "mip6.bri_br.type", "sequence": "mip6.bri_seqnr"},
}
OPTION_FIELDS: dict[type, dict[str, str]] = {
    options.BindingRefreshAdvice: {"interval": "mip6.bra.interval"},
    options.AlternateCareOfAddress: {"address": "mip6.acoa.acoa"},
    options.NonceIndices: {"home": "mip6.ni.hni", "care_of": "mip6.ni.cni"},
    options.MobileNetworkPrefix: {"prefix_length": "mip6.nemo.mnp.pfl", "prefix": "mip6.nemo.mnp.mnp"},
    options.MobileNodeIdentifier: {"subtype": "mip6.mnid.subtype", "identifier": "mip6.mnid.identifier"},
    options.Authentication: {"subtype": "mip6.auth.subtype", "spi": "mip6.auth.mobility_spi"},
    options.DnsUpdate: {"status": "mip6.dnsu.status", "remove": "mip6.dnsu.flag.r"},
    options.ServiceSelection: {"identifier": "mip6.ss.identifier"},
    options.IPv4HomeAddress: {
        "prefix_length": "mip6.ipv4ha.preflen",
        "prefix_requested": "mip6.ipv4ha.p_flag",
        "address": "mip6.ipv4ha.ha",
    },
    options.IPv4AddressAcknowledgement: {
        "status": "mip6.ipv4aa.sts",
        "prefix_length": "mip6.ipv4ha.preflen",
        "address": "mip6.ipv4ha.ha",
    },
    options.NatDetection: {"force_udp": "mip6.natd.f_flag", "refresh_time": "mip6.natd.refresh_t"},
    options.IPv4CareOfAddress: {"address": "mip6.ipv4coa.addr"},
    options.BindingIdentifier: {"bid": "mip6.bi.bid", "status": "mip6.bi.status", "home": "mip6.bi.h_flag"},
}
ALWAYS = ("mip6.mhtype", "mip6.hlen", "mip6.proto", "mip6.mobility_opt.len", "_ws.malformed")


def arbitrary_option(kind: int, random: random.Random) -> options.Option:
    word, octet, flag = random.randrange(65536), random.randrange(256), random.random() < 0.5
    text = "".join(random.choices("abcdefghij.@0123456789", k=random.randrange(3, 40)))
    v4, v6 = IPv4Address(random.randbytes(4)), IPv6Address(random.randbytes(16))
    made = {
        2: lambda: options.BindingRefreshAdvice(word),
        3: lambda: options.AlternateCareOfAddress(v6),
        4: lambda: options.NonceIndices(word, octet),
        6: lambda: options.MobileNetworkPrefix(octet % 129, v6),
        8: lambda: options.MobileNodeIdentifier(1, text),
        9: lambda: options.Authentication(1, 256 + word, random.randbytes(12)),
        10: lambda: options.MessageIdentifier(random.randbytes(8)),
        17: lambda: options.DnsUpdate(octet, flag, text.encode()),
        20: lambda: options.ServiceSelection(text),
        29: lambda: options.IPv4HomeAddress(octet % 33, flag, v4),
        30: lambda: options.IPv4AddressAcknowledgement(octet, word % 33, v4),
        31: lambda: options.NatDetection(flag, word),
        32: lambda: options.IPv4CareOfAddress(v4),
        35: lambda: options.BindingIdentifier(word, octet, flag, octet % 128, random.choice((None, v4, v6))),
    }
    return made[kind]()


def arbitrary_message(number: int, random: random.Random) -> MobilityMessage:
    kinds = (2, 3, 4, 6, 8, 9, 10, 17, 20, 29, 30, 31, 32, 35)
    content = tuple(arbitrary_option(kind, random) for kind in random.sample(kinds, random.randrange(5)))
    word, octet = random.randrange(65536), random.randrange(256)
    flags = [random.random() < 0.5 for _ in range(10)]
    addresses = tuple(IPv6Address(random.randbytes(16)) for _ in range(random.randrange(1, 4)))
    made = {
        0: lambda: BindingRefreshRequest(options=content),
        5: lambda: BindingUpdate(word, *flags, lifetime=65535 - word, options=content),
        6: lambda: BindingAcknowledgement(octet, flags[0], flags[1], word, 65535 - word, content),
        7: lambda: BindingError(1 + octet % 2, addresses[0], content),
        12: lambda: HomeAgentSwitch(addresses, content),
        16: lambda: BindingRevocation(1 + octet % 2, octet // 2, word, *flags[:3], content),
    }
    return made[number]()


def expected(message: MobilityMessage) -> Fields:
    """What tshark must say about ``message``."""
    fields: Fields = defaultdict(list)
    names = MESSAGE_FIELDS[type(message)]
    if isinstance(message, BindingRevocation):
        names = names | (INDICATION if message.revocation_type == BindingRevocation.INDICATION else ACKNOWLEDGEMENT)
    parts = [(message, names)]
    parts += [(option, OPTION_FIELDS.get(type(option), {})) for option in message.options]
    for part, table in parts:
        for attribute, name in table.items():
            value = getattr(part, attribute)
            fields[name] += [_printed(each) for each in (value if isinstance(value, tuple) else (value,))]
        if isinstance(part, options.BindingIdentifier) and part.care_of_address is not None:
            fields[f"mip6.bi.coa_ipv{part.care_of_address.version}"].append(str(part.care_of_address))
    return fields


def option_lengths(message: MobilityMessage) -> list[str]:
    """The length octets of all options, padding included, behind the fixed part."""
    data = build_mobility(message, HOME, HOME_AGENT)
    position, lengths = 6 + type(message).fixed_length, []
    while position < len(data):
        if data[position] == 0:
            position += 1
            continue
        lengths.append(str(data[position + 1]))
        position += 2 + data[position + 1]
    return lengths


def _printed(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, int) else str(value)


def tshark(messages: list[MobilityMessage], folder: Path) -> list[Fields]:
    """Each message's fields as tshark reads them, out of one capture."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is missing")
    capture = folder / "mobility.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_IPV6))
        for second, message in enumerate(messages):
            header = build_mobility(message, HOME, HOME_AGENT)
            inner = home_address_header(MOBILITY_HEADER, HOME.packed) + header
            packet = ipv6_packet(CARE_OF.packed, HOME_AGENT.packed, DESTINATION_OPTIONS, inner)
            file.write(struct.pack("<IIII", second, 0, len(packet), len(packet)) + packet)
    tables = [FLAGS, INDICATION, ACKNOWLEDGEMENT, *MESSAGE_FIELDS.values(), *OPTION_FIELDS.values()]
    names = sorted({name for table in tables for name in table.values()} | {"mip6.bi.coa_ipv4", "mip6.bi.coa_ipv6"})
    names += ALWAYS
    command = ["tshark", "-r", str(capture), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"]
    command += [word for name in names for word in ("-e", name)]
    output = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout
    rows = [line.split("\t") for line in output.splitlines()]
    assert len(rows) == len(messages)
    return [{name: value.split("|") for name, value in zip(names, row, strict=True) if value} for row in rows]


def test_tshark_reads_the_same_fields(tmp_path: Path) -> None:
    source = random.Random(6275)
    messages = list(PUBLISHED.values())
    messages += [arbitrary_message(number, source) for number in (0, 5, 6, 7, 12, 16) for _ in range(60)]
    for message, seen in zip(messages, tshark(messages, tmp_path), strict=True):
        built = build_mobility(message, HOME, HOME_AGENT)
        assert "_ws.malformed" not in seen, message
        assert seen.pop("mip6.mhtype") == [str(message.number)]
        assert seen.pop("mip6.hlen") == [str(built[1])] and seen.pop("mip6.proto") == ["59"]
        if isinstance(message, HomeAgentSwitch):
            assert seen["mip6.has.address"] == expected(message)["mip6.has.address"]
            continue
        assert seen.pop("mip6.mobility_opt.len", []) == option_lengths(message)
        assert seen == dict(expected(message)), message


# scapy: F, T and O lie in its reserved bits


def scapy_packet(message: MobilityMessage) -> scapy.IPv6:
    content = [_scapy_option(option) for option in message.options]
    if isinstance(message, BindingUpdate):
        letters = zip("AHLKMRP", _flag_values(message), strict=False)
        header = scapy.MIP6MH_BU(
            seq=message.sequence,
            flags="".join(letter for letter, flag in letters if flag),
            reserved=message.force_udp << 8 | message.tlv << 7 | message.overwrite << 6,
            mhtime=message.lifetime,
            options=content,
        )
    elif isinstance(message, BindingAcknowledgement):
        flags = "K" * message.key_management + "R" * message.mobile_router
        header = scapy.MIP6MH_BA(
            status=message.status, flags=flags, seq=message.sequence, mhtime=message.lifetime, options=content
        )
    elif isinstance(message, BindingError):
        header = scapy.MIP6MH_BE(status=message.status, ha=str(message.home_address), options=content)
    else:
        header = scapy.MIP6MH_BRR(options=content)
    return scapy.IPv6(src=str(HOME), dst=str(HOME_AGENT)) / header


def _flag_values(message: BindingUpdate) -> list[bool]:
    return [getattr(message, name) for name in FLAGS]


def _scapy_option(option: options.Option) -> object:
    if isinstance(option, options.BindingRefreshAdvice):
        return scapy.MIP6OptBRAdvice(rinter=option.interval)
    if isinstance(option, options.AlternateCareOfAddress):
        return scapy.MIP6OptAltCoA(acoa=str(option.address))
    if isinstance(option, options.NonceIndices):
        return scapy.MIP6OptNonceIndices(olen=4, hni=option.home, coni=option.care_of)  # its own default is 16
    if isinstance(option, options.MobileNetworkPrefix):
        return scapy.MIP6OptMobNetPrefix(plen=option.prefix_length, prefix=str(option.prefix))
    assert isinstance(option, options.MobileNodeIdentifier)
    return scapy.MIP6OptMNID(subtype=option.subtype, id=option.identifier)


@pytest.mark.parametrize("number", [0, 5, 6, 7])
def test_scapy_writes_and_reads_the_same_octets(number: int) -> None:
    source = random.Random(number)
    for _ in range(40):
        message = arbitrary_message(number, source)
        kinds = source.sample((2, 3, 4, 6, 8), source.randrange(4))
        content = tuple(arbitrary_option(kind, source) for kind in kinds)
        values = [
            getattr(message, name) for name in message.__dataclass_fields__ if name not in ("options", "reserved")
        ]
        message = type(message)(*values, options=content) if values else BindingRefreshRequest(options=content)
        written = bytes(scapy_packet(message))[40:]
        assert written == build_mobility(message, HOME, HOME_AGENT)
        assert parse_mobility(written, HOME, HOME_AGENT) == message


def test_scapy_agrees_on_the_published_messages() -> None:
    known = (BindingUpdate, BindingAcknowledgement, BindingRefreshRequest)
    for name in ("E7", "E7b", "E8", "E8b", "E9"):
        message = PUBLISHED[name]
        assert isinstance(message, known)
        assert bytes(scapy_packet(message))[40:] == build_mobility(message, HOME, HOME_AGENT)
