# SPDX-License-Identifier: GPL-2.0-or-later
"""The home agent's name: HA-APN FQDN (TS 23.003 clause 21)."""

from __future__ import annotations

import re

LONGEST_HA_APN = 100
"""Octets of the encoded name (TS 23.003 9.1)."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def ha_apn_fqdn(apn: str, mcc: str, mnc: str) -> str:
    """The name under which the home agent of an APN is found; ``ValueError`` says what the APN or PLMN lacks."""
    _check_apn(apn)
    if not re.fullmatch(r"[0-9]{3}", mcc):
        raise ValueError(f"MCC {mcc!r} is not three digits")
    if not re.fullmatch(r"[0-9]{2,3}", mnc):
        raise ValueError(f"MNC {mnc!r} is not two or three digits")
    name = f"{apn}.ha-apn.mnc{mnc.zfill(3)}.mcc{mcc}.pub.3gppnetwork.org"
    if len(name) + 1 > LONGEST_HA_APN:
        raise ValueError(f"{name} has {len(name) + 1} octets encoded, {LONGEST_HA_APN} are allowed (TS 23.003 9.1)")
    return name


def _check_apn(apn: str) -> None:
    for label in apn.split("."):
        if not _LABEL.fullmatch(label):
            raise ValueError(f"APN {apn!r}: label {label!r} is not letters, digits and inner hyphens (TS 23.003 9.1.1)")
    lowered = apn.lower() + "."
    if lowered.startswith(("ha-apn.", "w-apn.")) or ".ha-apn." in lowered or ".w-apn." in lowered:
        raise ValueError(f"APN {apn!r} contains ha-apn or w-apn (TS 23.003 21)")
    if lowered.endswith(".3gppnetwork.org."):
        raise ValueError(f"APN {apn!r} ends in .3gppnetwork.org (TS 23.003 9.1.1)")
