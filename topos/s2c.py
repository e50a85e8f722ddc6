# SPDX-License-Identifier: GPL-2.0-or-later
"""S2c over a trusted IPv6 access, non-roaming: 3GPP TS 24.303 5.1 to 5.5, the home agent in the PDN GW.

     ue1 --+                                    dns  authoritative for the operator's zone
           |                                     |   2001:db8:100:53::2
     ue2 --+-- s1 ---------------------- ar -----+
           |   2001:db8:a::/64           |  2001:db8:100:53::1
     ue3 --+   IPv6 only; RA with        |
               RDNSS from ar (::1)       |  2001:db8:100:1::/64
                                         |
                                        pgw  home agent 2001:db8:100:aa::1 and 192.0.2.1,
                                         |   home prefixes 2001:db8:100:8000::/49,
                                         |   IPv4 home addresses 198.51.100.0/24
                                         |
                                         |  2001:db8:100:cc::/64, 203.0.113.0/24
                                         |
                                         cn  correspondent

    sudo mn --custom topos/s2c.py --topo s2c --switch lxbr --controller none
    sudo mn --custom topos/s2c.py --topo s2c,ues=3,attach=no ...      three UEs that wait for `dsmip attach ue1`
    sudo mn --custom topos/s2c.py --topo s2c --test bootstrap ...     attach, ping, refresh, detach; status 1 on failure

Parameters after `--topo s2c`, each with a comma before it:

    ues=1            how many UEs, ue1 to ueN
    attach=yes       `no`: UEs wait for the command `dsmip attach`
    apn=internet     the access point name that they ask for
    mcc=001 mnc=01   the home operator; mnc_digits=3 for a code like 012, because mn reads 012 as 12
    lifetime=3600    of a binding, in seconds
    suite=modern     `legacy`: the algorithms of older 3GPP devices
    access=2001:db8:a::/64     the access link
    prefix=2001:db8:100::/48   the operator's block; subnets, home agent and home prefixes lie in it
    ipv4=198.51.100.0/24       the pool of IPv4 home addresses; `ipv4=no` for none
    keylog=yes       `no`: no keys for Wireshark in the run's folder
"""

from __future__ import annotations

import re
import sys
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

# `mn` executes this file without a __file__; a code object still knows where it came from.
HERE = Path((lambda: None).__code__.co_filename).resolve()
PACKAGE_HOME = str(next(folder for folder in HERE.parents if (folder / "mn_dsmip" / "__init__.py").is_file()))
sys.path.insert(0, PACKAGE_HOME)
from mn_dsmip import nodes  # noqa: E402  # found only now

sys.path.remove(PACKAGE_HOME)  # nothing else in that folder is for `mn`

DNS_LINK, CORE_LINK, HOME_AGENT, CORRESPONDENT_LINK = 0x53, 0x1, 0xAA, 0xCC  # numbers of /64 subnets of the block
BLOCK_LENGTH = 48  # or shorter: its second half are the home prefixes
HOME_AGENT_IPV4 = "192.0.2.1"
CORRESPONDENT_IPV4 = "203.0.113.0/24"
UES = range(1, 201)
IMSI_DIGITS = 15
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
APN = re.compile(rf"{LABEL}(\.{LABEL})*")


class S2c(nodes.Ipv6Topo):
    """The topology drawn above."""

    title = "s2c"

    def build(
        self,
        ues: int = 1,
        attach: str = "yes",
        apn: str = "internet",
        mcc: str | int = "001",
        mnc: str | int = "01",
        mnc_digits: int = 0,
        lifetime: int = 3600,
        suite: str = "modern",
        access: str = "2001:db8:a::/64",
        prefix: str = "2001:db8:100::/48",
        ipv4: str = "198.51.100.0/24",
        keylog: str = "yes",
    ) -> None:
        if ues not in UES:
            raise nodes.SetupError(f"ues={ues}: expected {UES[0]} to {UES[-1]}")
        block = _block(prefix)
        pool = None if ipv4 == "no" else str(IPv4Network(ipv4))
        agent = {"profile": _one_of("suite", suite, ("modern", "legacy")), "lifetime": lifetime}
        self.addSwitch("s1", prefix=str(IPv6Network(access)))
        self.addHost("ar", cls=nodes.AccessRouter)
        self.addHost("dns", cls=nodes.DnsServer)
        self.addHost(
            "pgw",
            cls=nodes.PdnGw,
            address=str(_subnet(block, HOME_AGENT)[1]),
            ipv4_address=HOME_AGENT_IPV4,
            home=str(list(block.subnets())[1]),
            ipv4_home=pool,
            keylog=_yes("keylog", keylog),
            **agent,
        )
        self.addHost("cn")
        self.addLink("ar", "s1")
        self.addLink("ar", "dns", prefix=str(_subnet(block, DNS_LINK)))
        self.addLink("ar", "pgw", prefix=str(_subnet(block, CORE_LINK)))
        self.addLink("pgw", "cn", prefix=str(_subnet(block, CORRESPONDENT_LINK)), ipv4=CORRESPONDENT_IPV4)
        plmn = _plmn(mcc, mnc, mnc_digits)
        for number in range(1, ues + 1):
            self.addHost(
                f"ue{number}",
                cls=nodes.UE,
                subscriber=plmn + str(number).zfill(IMSI_DIGITS - len(plmn)),
                mnc_digits=len(plmn) - 3,
                apn=_apn(str(apn)),
                attach="auto" if _yes("attach", attach) else "manual",
                ipv4_home=pool is not None,
                **agent,
            )
            self.addLink(f"ue{number}", "s1")


def _block(prefix: str) -> IPv6Network:
    block = IPv6Network(prefix)
    if block.prefixlen > BLOCK_LENGTH:
        raise nodes.SetupError(f"prefix={prefix}: expected /{BLOCK_LENGTH} or shorter, because home prefixes lie in it")
    return block


def _subnet(block: IPv6Network, number: int) -> IPv6Network:
    return IPv6Network((IPv6Address(int(block.network_address) + (number << 64)), 64))


def _plmn(mcc: str | int, mnc: str | int, mnc_digits: int) -> str:
    """MCC and MNC as digits, with the zeros that `mn` takes from numbers on its command line."""
    country, network = str(mcc).zfill(3), str(mnc).zfill(mnc_digits or 2)
    if not (country + network).isdigit() or len(country) != 3 or len(network) not in (2, 3):
        raise nodes.SetupError(f"mcc={mcc},mnc={mnc}: expected 3 digits, and 2 or 3 digits")
    return country + network


def _apn(apn: str) -> str:
    if not APN.fullmatch(apn):
        raise nodes.SetupError(f"apn={apn}: expected labels of letters, digits and hyphens")
    return apn


def _yes(name: str, word: str) -> bool:
    return _one_of(name, word, ("yes", "no")) == "yes"


def _one_of(name: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise nodes.SetupError(f"{name}={word}: expected {' or '.join(words)}")
    return word


# What `mn --custom` takes from here.
topos = {"s2c": nodes.topology(S2c)}
tests = {"bootstrap": nodes.bootstrap}
Mininet = nodes.Network
CLI = nodes.DsmipCLI
cleanup = nodes.cleanup
validate = nodes.validate
