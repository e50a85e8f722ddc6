# SPDX-License-Identifier: GPL-2.0-or-later
"""Three damaged copies of every case: each fails at the right step or rule, with the right words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from mn_dsmip.check import cli
from tests.check.mutation.campaign import damaged
from tests.check.test_cases import CAPTURES, JUDGED

OWN_MUTANTS = {"initial-attach"}  # in mutants.py


class Damage(NamedTuple):
    """What is wrong in which frame, and what must be told first about it."""

    case: str
    frame: int
    mutant: str
    ident: str
    says: str


DAMAGES = (
    Damage(
        "untrusted-access",
        8,
        "ike[2].payload_47_1.attribute_19.missing",
        "epdg-ike-auth-answer",
        "cfg_attributes: expected with INTERNAL_IP6_ADDRESS, HOME_AGENT_ADDRESS; actual INTERNAL_IP6_ADDRESS",
    ),
    Damage(
        "untrusted-access",
        8,
        "ike[2].payload_47_1.attribute_19.address",
        "ike-sa-init-request",
        "destination: expected one of 2001:db8:bad::bad, 192.0.2.1 ($homeagents); actual 2001:db8:aaaa::1",
    ),
    Damage(
        "untrusted-access",
        16,
        "ike[4].payload_47_1.attribute_16.twice",
        "ike-auth-home-prefix",
        "home_prefixes: expected exactly this many: 1; actual 2001:db8:1:1::/64, 2001:db8:bad::/64",
    ),
    Damage("attach", 16, "mh[3].flag_R", "registration", "mobile_router: expected yes; actual no"),
    Damage(
        "attach",
        17,
        "mh[3].sequence=30583",
        "registration-acknowledged",
        "sequence: expected 1 ($sequence); actual 30583",
    ),
    Damage(
        "attach",
        15,
        "ike[2].payload_44_3.address",
        "create-child-sa-response",
        "ts_i: expected one of 2001:db8:1:1::100 ($homeaddress); actual 2001:db8:bad::bad",
    ),
    Damage("refresh", 22, "mh[3].flag_O", "refresh", "overwrite: expected no; actual yes"),
    Damage(
        "refresh", 23, "mh[3].sequence=30583", "refresh-acknowledged", "sequence: expected 2 ($sequence); actual 30583"
    ),
    Damage(
        "refresh",
        28,
        "mh[3].option_29.address=0a636363",
        "BU-IPV4",
        "ipv4_home_address: expected 10.45.0.2, as registered; actual 10.99.99.99",
    ),
    Damage("detach", 22, "mh[3].flag_A", "deregistration", "acknowledge: expected yes; actual no"),
    Damage("detach", 23, "mh[3].lifetime=1", "deregistration-acknowledged", "lifetime: expected 0; actual 1"),
    Damage("detach", 24, "ike[2].payload_42_0.esp", "ike-delete", "delete: expected IKE; actual ESP"),
    Damage("ipv4-access", 15, "mh[4].option_32.missing", "registration", "options: expected with IPV4_CARE_OF_ADDRESS"),
    Damage(
        "ipv4-access",
        16,
        "mh[4].option_31.missing",
        "registration-acknowledged",
        "options: expected with NAT_DETECTION",
    ),
    Damage(
        "ipv4-access",
        16,
        "mh[4].option_31.refresh=0000003c",
        "registration-acknowledged",
        "nat_refresh: expected 4294967295; actual 60",
    ),
    Damage(
        "ipv4-access-nat",
        12,
        "udp[1].destination_port=3039",
        "registration-acknowledged",
        "destination_port: expected 40191 ($port); actual 12345",
    ),
    Damage(
        "ipv4-access-nat",
        12,
        "mh[4].option_31.refresh=ffffffff",
        "registration-acknowledged",
        "nat_refresh: expected less than 4294967295",
    ),
    Damage(
        "ipv4-access-nat",
        13,
        "udp[1].source_port=3039",
        "echo-request-in-tunnel",
        "source_port: expected 40191 ($port); actual 12345",
    ),
    Damage("reallocation", 13, "ike[2].payload_41_1.nonce", "redirect", "redirect_nonce: expected 0; actual 32"),
    Damage(
        "reallocation",
        16,
        "ike[2].payload_41_7.missing",
        "ike-sa-init-request",
        "notify: expected with REDIRECT_SUPPORTED, REDIRECTED_FROM",
    ),
    Damage(
        "reallocation", 13, "ike[2].payload_39_0.method", "redirect", "auth_method: expected SHARED_KEY; actual RSA"
    ),
    Damage("handover", 23, "mh[3].flag_K", "handover", "key_management: expected yes; actual no"),
    Damage(
        "handover",
        24,
        "ipv6.destination=20010db80bad00000000000000000bad",
        "handover-acknowledged",
        "missing; expected binding_acknowledgement from ha to ue",
    ),
    Damage(
        "handover",
        27,
        "ipv6.source=20010db80bad00000000000000000bad",
        "echo-request-after-handover",
        "source: expected 2001:db8:f:2::10 ($newcareof)",
    ),
    Damage(
        "handover-to-ipv4",
        22,
        "mh[4].option_32.missing",
        "handover",
        "ipv4_care_of_address: expected present: yes; actual nothing",
    ),
    Damage(
        "handover-to-ipv4",
        23,
        "mh[4].option_31.missing",
        "handover-acknowledged",
        "options: expected with NAT_DETECTION",
    ),
    Damage(
        "handover-to-ipv4",
        22,
        "udp[1].destination_port=3039",
        "handover",
        "destination_port: expected 4191; actual 12345",
    ),
    Damage("return-home", 23, "mh[2].flag_H", "home-deregistration", "home_registration: expected yes; actual no"),
    Damage("return-home", 24, "mh[2].lifetime=1", "home-deregistration-acknowledged", "lifetime: expected 0; actual 1"),
    Damage(
        "return-home",
        24,
        "mh[2].sequence=30583",
        "home-deregistration-acknowledged",
        "sequence: expected 2 ($newsequence); actual 30583",
    ),
    Damage("network-detach", 22, "mh[3].flag_G", "revocation", "global_revocation: expected no; actual yes"),
    Damage(
        "network-detach",
        23,
        "mh[3].sequence=7",
        "revocation-acknowledged",
        "sequence: expected 4660 ($revocation); actual 7",
    ),
    Damage("network-detach", 23, "mh[3].status", "revocation-acknowledged", "status: expected 0; actual 134"),
    Damage("rfc4285", 1, "mh[2].flag_K", "registration", "key_management: expected no; actual yes"),
    Damage("rfc4285", 2, "mh[2].option_10.timestamp=00000000", "registration-acknowledged", "message_id: expected"),
    Damage(
        "rfc4285",
        1,
        "mh[2].option_9.authenticator=00000000",
        "MNHA-MAC",
        "authenticator: expected the one that the key gives",
    ),
    Damage(
        "home-link",
        13,
        "ike[2].payload_41_0.missing",
        "create-child-sa-response",
        "notify: expected with USE_TRANSPORT_MODE; actual nothing",
    ),
    Damage("home-link", 8, "ike[2].payload_48_0.type", "eap-challenge-response", "eap_type: expected one of AKA"),
    Damage(
        "home-link", 11, "ike[2].payload_47_1.attribute_16.prefix", "SA-HNP", "ts_i: expected inside 2001:db8:bad::/64"
    ),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: f"{one.case}-{one.frame}-{one.mutant}")
def test_damaged_case_is_rejected(damage: Damage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CAPTURES / damage.case
    capture = damaged(case, damage.frame, damage.mutant, tmp_path / "damaged.pcapng")
    status = cli.main([str(capture), "--keys", str(case / "wireshark"), "--flow", damage.case])
    first = capsys.readouterr().out.split("\n  1. ")[1].split("\n  2. ")[0]
    assert status == 1
    assert first.split()[:2] in (["step", damage.ident], ["rule", damage.ident])
    assert damage.says in first
    assert "clause: " in first


def test_every_case_has_three() -> None:
    count = Counter(one.case for one in DAMAGES)
    assert {case for case in JUDGED if count[case] < 3} <= OWN_MUTANTS
