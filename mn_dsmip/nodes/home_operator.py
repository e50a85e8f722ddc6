# SPDX-License-Identifier: GPL-2.0-or-later
"""What UEs, gateway and DNS of one network must agree on: subscribers, names, addresses."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import SetupError

KEY_OCTETS = 16  # K and OPc: TS 35.206 clause 4
AMF = "8000"  # separation bit set: TS 33.102 annex H
MCC_DIGITS = 3  # TS 23.003 2.2
MNC_DIGITS = (2, 3)
IMSI_DIGITS = 15


@dataclass(frozen=True)
class Subscriber:
    """A subscription as a UE's USIM and the gateway's store both hold it; `k` and `opc` are secret hexadecimal."""

    imsi: str
    mnc_digits: int = 2
    k: str = field(default_factory=lambda: secrets.token_hex(KEY_OCTETS), repr=False)
    opc: str = field(default_factory=lambda: secrets.token_hex(KEY_OCTETS), repr=False)
    amf: str = AMF

    def __post_init__(self) -> None:
        if not (self.imsi.isdigit() and MCC_DIGITS + self.mnc_digits < len(self.imsi) <= IMSI_DIGITS):
            raise SetupError(f"subscriber {self.imsi!r} is not an IMSI: expected up to {IMSI_DIGITS} digits")
        if self.mnc_digits not in MNC_DIGITS:
            raise SetupError(f"a mobile network code has 2 or 3 digits, not {self.mnc_digits}")

    @property
    def mcc(self) -> str:
        return self.imsi[:MCC_DIGITS]

    @property
    def mnc(self) -> str:
        return self.imsi[MCC_DIGITS : MCC_DIGITS + self.mnc_digits]

    def settings(self) -> dict[str, str]:
        """The `subscriber` of a UE's configuration."""
        return {"imsi": self.imsi, "mcc": self.mcc, "mnc": self.mnc, "k": self.k, "opc": self.opc}


@dataclass
class Operator:
    """The home operator of a run, gathered from the nodes before the first one starts."""

    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    apns: dict[str, set[str]] = field(default_factory=dict)  # IMSI -> the APNs that its UEs use
    home_agents: dict[str, list[str]] = field(default_factory=dict)  # HA-APN FQDN -> addresses of its gateways
    zones: set[str] = field(default_factory=set)
    dns_servers: list[str] = field(default_factory=list)

    def subscribe(self, subscriber: Subscriber, apn: str) -> Subscriber:
        """The subscription under this IMSI: the one given, or the one that another UE already brought."""
        known = self.subscribers.setdefault(subscriber.imsi, subscriber)
        self.apns.setdefault(known.imsi, set()).add(apn)
        self.zones.add(zone(known.mcc, known.mnc))
        self.home_agents.setdefault(ha_apn(apn, known.mcc, known.mnc), [])
        return known

    def publish(self, addresses: list[str], serves: Callable[[str], bool]) -> None:
        """Give a gateway's addresses to every HA-APN name whose APN it serves."""
        for name, published in self.home_agents.items():
            if serves(name.partition(".ha-apn.")[0]):
                published.extend(addresses)


def zone(mcc: str, mnc: str) -> str:
    """The operator's DNS zone (TS 23.003 clause 21): both codes have three digits there."""
    return f"mnc{mnc.zfill(3)}.mcc{mcc}.pub.3gppnetwork.org"


def ha_apn(apn: str, mcc: str, mnc: str) -> str:
    """The name under which a UE looks up the home agent of an APN (TS 23.003 clause 21)."""
    return f"{apn}.ha-apn.{zone(mcc, mnc)}"
