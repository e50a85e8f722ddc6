# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``mn-dsmip init`` and ``mn-dsmip certificate`` write: files to begin with."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..crypto.certs import Identity, create_authority, issue, load_certificates, load_key, to_pem, utc_now
from ..crypto.suites import CryptoError
from ..engine.discovery import ha_apn_fqdn
from .errors import EnvironmentProblem

_PRIVATE_FILE, _PUBLIC_FILE = 0o600, 0o644
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
HOME_AGENT, APN, MCC, MNC, IMSI = "2001:db8:aaaa::1", "internet", "001", "01", "001010000000001"

UE = """\
# A UE for `mn-dsmip ue`. Every key that is commented out shows its default.
version: 1
role: ue
name: ue
# state_dir: state/ue              what must survive: the USIM's sequence number
# control: state/ue/control.sock   for `mn-dsmip status --socket …`
# journal: ue.jsonl                events as JSON lines; by default none are kept
# keylog: wireshark                session keys for Wireshark; by default none are written

subscriber:                        # this file holds keys: it must stay mode 0600
  imsi: "{imsi}"
  mcc: "{mcc}"
  mnc: "{mnc}"
  k: {k}
  opc: {opc}                       # or `op`, the operator's constant itself
apn: {apn}
# attach: auto                     or manual: wait for `mn-dsmip attach`
ipv4: true                         # ask for an IPv4 home address too

access:
  interface: eth0                  # where the care-of address and the Router Advertisements are

discovery:
  # method: dns
  # servers: []                    empty: those that the router advertises
  # srv_fallback: false
  home_agents: []                  # addresses here make every look-up unnecessary

ike:
  # profile: modern                or legacy, or a choice of your own in place of it:
  # suites: {{ike: [aes256gcm16-prfsha256-curve25519], esp: [aes256gcm16]}}
  # method: aka                    or aka-prime
  # aliases: true                  take pseudonyms and fast re-authentication from a network that gives them
  # hide_imsi: false               once it gave us a pseudonym, rather fail than tell it the IMSI (RFC 4187 4.1.6)
  # dpd: 60                        after that many silent seconds ask whether the gateway lives; 0 never asks
  # eap_only: false                let the gateway prove itself by EAP alone (RFC 5998); `ca` may be missing then
  # ike_lifetime: 14400            seconds until the keys of the IKE SA are replaced; 0 never
  # child_lifetime: 3600           the same for child SAs
  # nat_keepalive: 20              behind a NAT, something is sent after so many silent seconds; 0 never
  # fragment_size: 1280            octets of an IP datagram, above which IKE messages go in fragments; 0 never
  ca: ca.pem                       # who vouches for the gateway

binding:
  # lifetime: 3600                 seconds to ask for
  # overwrite_flag: true           O in a first registration (TS 24.303 A.2)
"""

GATEWAY = """\
# A PDN GW for `mn-dsmip gateway`. Every key that is commented out shows its default.
version: 1
role: gateway
name: gateway
# state_dir: state/gateway         what must survive: sequence numbers, leases
# control: state/gateway/control.sock
# journal: gateway.jsonl
# keylog: wireshark

addresses:
  ipv6: {home_agent}               # the home agent's, routed to this machine and on none of its interfaces
  ipv4: null

pools:                             # what each APN gives out, routed to this machine
  ipv6: {{{apn}: "2001:db8:100::/48"}}
  ipv4: {{{apn}: 10.45.0.0/24}}
dns: []                            # DNS servers for UEs
# home_prefix_lifetime: 86400      seconds

subscribers: subscribers.yaml
# aaa: store                       or radius: other servers authenticate. In place of `subscribers` then stands
#                                  `radius: {{servers: [{{address: 192.0.2.1, port: 1812, secret: shared with it}}]}}`

ike:
  # profile: modern
  # fqdn: pgw.example.net          the gateway's own name, for peers that ask for it instead of an APN
  # eap_only: false                no certificate for UEs that offer EAP alone (RFC 5998); it may be missing then
  certificate: gateway.pem
  key: gateway.key
  # pseudonyms: false              give subscribers a new name in each EAP-AKA, so that none shows its IMSI twice
  # fast_reauth: false             let them authenticate again without their USIM (RFC 4187 5)
  # cookie_threshold: 64           half-open IKE SAs from which on cookies are demanded
  # dpd: 0
  # ike_lifetime: 14400            seconds until the keys of an IKE SA are replaced; 0 never
  # child_lifetime: 3600           the same for child SAs
  # nat_keepalive: 20
  # fragment_size: 1280

binding:
  # max_lifetime: 3600             seconds
  # refresh_advice: null
"""

AAA = """\
# A RADIUS server for `mn-dsmip aaa`: gateways with `aaa: radius` ask it. It holds secrets: mode 0600.
version: 1
role: aaa
name: aaa
# state_dir: state/aaa             what must survive: sequence numbers
# control: state/aaa/control.sock
# journal: aaa.jsonl

listen: ["127.0.0.1"]              # addresses of this machine
# port: 1812
clients:                           # gateways that may ask, by address or network
  - {{network: 127.0.0.1/32, secret: {secret}}}
subscribers: subscribers.yaml
apns: [{apn}]                   # what a Called-Station-Id may name
# network_name: WLAN               the access network's name, for EAP-AKA'
# pseudonyms: true                 give subscribers a new name in each authentication, so that none shows its IMSI twice
# fast_reauth: true                let them authenticate again without their USIM (RFC 4187 5)
# protect_result: false            offer to tell them of success under protection, in a round more (RFC 4187 6.2)
"""

SUBSCRIBERS = """\
# The subscriber store: keys, so mode 0600. `apns` empty means all; `prefix` and `ipv4` fix what the subscriber gets.
version: 1
subscribers:
  - imsi: "{imsi}"
    mcc: "{mcc}"
    mnc: "{mnc}"
    k: {k}
    opc: {opc}
    # amf: "8000"
    apns: [{apn}]
    # prefix: 2001:db8:100:1::/64
    # ipv4: 10.45.0.7
    # barred: false
"""


def write_samples(folder: Path) -> list[Path]:
    """Write a working pair of configurations; ``EnvironmentProblem`` when a file is there already."""
    values = {
        "imsi": IMSI, "mcc": MCC, "mnc": MNC, "apn": APN, "home_agent": HOME_AGENT,
        "k": secrets.token_hex(16), "opc": secrets.token_hex(16), "secret": secrets.token_hex(16),
    }  # fmt: skip
    texts = {"ue.yaml": UE, "gateway.yaml": GATEWAY, "aaa.yaml": AAA, "subscribers.yaml": SUBSCRIBERS}
    names = [*texts, "ca.pem", "ca.key", "gateway.pem", "gateway.key"]
    for name in names:
        if (folder / name).exists():
            raise EnvironmentProblem(f"{folder / name} exists already: name another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(folder / name, text.format(**values).encode(), _PRIVATE_FILE)
    write_certificate(folder, "gateway", [ha_apn_fqdn(APN, MCC, MNC), HOME_AGENT])
    return [folder / name for name in names]


def write_certificate(folder: Path, out: str, names: Sequence[str]) -> None:
    """Issue ``out``.pem and ``out``.key for ``names``, by the authority in ``folder``, made first if there is none."""
    if out == "ca" or not _NAME.fullmatch(out):
        raise EnvironmentProblem(f"{out!r} cannot name a certificate: letters, digits, dot, hyphen; `ca` is taken")
    folder.mkdir(parents=True, exist_ok=True)
    now = utc_now().replace(microsecond=0)
    try:
        authority = _authority(folder, now)
        private, public = to_pem(issue(authority, names, now))
    except ValueError as problem:  # the library's word for a name that no certificate may hold
        raise EnvironmentProblem(f"no certificate can be issued for {', '.join(names)}: {problem}") from None
    _write(folder / f"{out}.key", private, _PRIVATE_FILE)
    _write(folder / f"{out}.pem", public, _PUBLIC_FILE)


def _authority(folder: Path, now: datetime) -> Identity:
    """The authority in ``folder``, or a new one."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not certificate.exists():
        authority = create_authority("mn-dsmip demonstration CA", now)
        private, public = to_pem(authority)
        _write(key, private, _PRIVATE_FILE)
        _write(certificate, public, _PUBLIC_FILE)
        return authority
    if not key.exists():
        raise EnvironmentProblem(f"{certificate} is there, its key {key} is not")
    try:
        authority = Identity(load_key(key.read_bytes()), load_certificates(certificate.read_bytes()))
    except CryptoError as problem:
        raise EnvironmentProblem(f"the authority in {folder} cannot be used: {problem}") from None
    if authority.key.public_key() != authority.chain[0].public_key():
        raise EnvironmentProblem(f"{key} is not the key of {certificate}")
    return authority


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
