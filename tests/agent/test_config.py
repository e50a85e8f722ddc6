# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration files: the samples are fine, and everything that can be wrong is said in one line."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from mn_dsmip.agent.config import load_gateway, load_ue
from mn_dsmip.agent.errors import ConfigError
from mn_dsmip.crypto.aka import opc_from_op
from mn_dsmip.engine.ike.events import Timers
from mn_dsmip.engine.ike.proposals import PROFILES
from tests.agent.files import Samples

UE = """\
version: 1
role: ue
name: ue
subscriber:
  imsi: "001010000000001"
  mcc: "001"
  mnc: "01"
  k: 000102030405060708090a0b0c0d0e0f
  opc: 101112131415161718191a1b1c1d1e1f
apn: internet
access: {interface: eth0}
discovery: {srv_fallback: false}
ike: {ca: ca.pem}
binding: {lifetime: 3600}
"""
GATEWAY = """\
version: 1
role: gateway
addresses: {ipv6: "2001:db8:aaaa::1", ipv4: null}
pools:
  ipv6: {internet: "2001:db8:100::/48"}
  ipv4: {internet: 10.45.0.0/24}
dns: []
subscribers: subscribers.yaml
ike: {certificate: gateway.pem, key: gateway.key}
binding: {max_lifetime: 3600}
"""
SUBSCRIBERS = """\
version: 1
subscribers:
  - imsi: "001010000000001"
    mcc: "001"
    mnc: "01"
    k: 000102030405060708090a0b0c0d0e0f
    opc: 101112131415161718191a1b1c1d1e1f
    apns: [internet]
"""


def refusals(name: str) -> list[list[str]]:
    """Blocks of a place in a file, what stands there instead, and what is said of it."""
    text = Path(__file__).with_name(name).read_text()
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [[line for line in block if not line.startswith("#")] for block in blocks]


@pytest.mark.parametrize(("old", "new", "expected"), refusals("refused_ue.txt"))
def test_what_a_ue_file_may_not_say(samples: Samples, old: str, new: str, expected: str) -> None:
    samples.ue.write_text(UE)
    load_ue(samples.ue)
    samples.edit("ue.yaml", old, new.replace("\\n", "\n"))
    with pytest.raises(ConfigError) as refused:
        load_ue(samples.ue)
    assert str(refused.value).replace(f"{samples.folder}/", "") == expected


@pytest.mark.parametrize(("old", "new", "expected"), refusals("refused_gateway.txt"))
def test_what_a_gateway_file_may_not_say(samples: Samples, old: str, new: str, expected: str) -> None:
    samples.gateway.write_text(GATEWAY)
    samples.subscribers.write_text(SUBSCRIBERS)
    load_gateway(samples.gateway)
    name = "subscribers.yaml" if expected.startswith("subscribers.yaml") else "gateway.yaml"
    samples.edit(name, old, new.replace("\\n", "\n"))
    assert gateway_error(samples) == expected


def gateway_error(samples: Samples) -> str:
    with pytest.raises(ConfigError) as refused:
        load_gateway(samples.gateway)
    return str(refused.value).replace(f"{samples.folder}/", "")


def test_files_that_hold_something_else(samples: Samples) -> None:
    (samples.folder / "gateway.pem").chmod(0o600)
    samples.edit("gateway.yaml", "  key: gateway.key", "  key: gateway.pem")
    line = samples.line("gateway.yaml", "key: ")
    expected = f"gateway.yaml:{line}: ike.key: gateway.pem: no usable PEM private key: "
    assert gateway_error(samples).startswith(expected)
    samples.edit("gateway.yaml", "  certificate: gateway.pem", "  certificate: gateway.key")
    line = samples.line("gateway.yaml", "certificate: ")
    expected = f"gateway.yaml:{line}: ike.certificate: gateway.key: no PEM certificate: "
    assert gateway_error(samples).startswith(expected)


def test_a_subscriber_store_is_a_list_of_mappings_without_repetition(samples: Samples) -> None:
    entry = {"imsi": "001010000000001", "mcc": "001", "mnc": "01", "k": "00" * 16, "opc": "11" * 16}
    other = {**entry, "imsi": "001010000000002"}
    static = {"prefix": "2001:db8:100:7::/64", "ipv4": "10.45.0.7"}

    def store(*entries: object) -> None:
        samples.subscribers.write_text(json.dumps(entries, indent=1))  # a list without a key, as JSON

    store(entry, other)
    assert list(load_gateway(samples.gateway).subscriptions) == ["001010000000001", "001010000000002"]
    store(entry, "text")
    assert gateway_error(samples) == "subscribers.yaml:9: subscribers[1]: a mapping is expected"
    store(entry, entry)
    assert (
        gateway_error(samples) == "subscribers.yaml:10: subscribers[1].imsi: 001010000000001 stands here a second time"
    )
    store({**entry, **static}, {**other, "prefix": static["prefix"]})
    assert gateway_error(samples).endswith("[1].prefix: 2001:db8:100:7::/64 is another subscriber's already")
    store({**entry, **static}, {**other, "ipv4": static["ipv4"]})
    assert gateway_error(samples).endswith("[1].ipv4: 10.45.0.7 is another subscriber's already")
    samples.subscribers.unlink()
    assert gateway_error(samples) == "subscribers.yaml: cannot be read: No such file or directory"


def test_the_sample_ue(samples: Samples) -> None:
    settings = load_ue(samples.ue)
    assert settings.common.name == "ue"
    assert settings.common.state_dir == samples.folder / "state/ue"
    assert settings.common.control == samples.folder / "state/ue/control.sock"
    assert (settings.common.journal, settings.common.keylog, settings.common.device) == (None, None, "dsmip0")
    assert (settings.usim.imsi, settings.usim.mcc, settings.usim.mnc) == ("001010000000001", "001", "01")
    assert (settings.apn, settings.attach, settings.ipv4, settings.interface) == ("internet", True, True, "eth0")
    assert settings.profile is PROFILES["modern"]
    assert (settings.lifetime, settings.overwrite_flag, settings.timers) == (3600, True, Timers(liveness=60))
    assert settings.fragment_size == 1280
    assert len(settings.anchors) == 1 and settings.psk is None and not settings.prime


def test_lifetimes_of_keys_and_sizes_of_fragments(samples: Samples) -> None:
    times = "ike_lifetime: 600, child_lifetime: 0, nat_keepalive: 5, fragment_size: 0"
    samples.edit("ue.yaml", "  ca: ca.pem ", f"  {times.replace(', ', chr(10) + '  ')}\n  ca: ca.pem ")
    settings = load_ue(samples.ue)
    assert settings.timers == Timers(liveness=60, ike_lifetime=600, child_lifetime=0, nat_keepalive=5)
    assert settings.fragment_size == 0


def test_the_sample_gateway(samples: Samples) -> None:
    settings = load_gateway(samples.gateway)
    assert settings.address == IPv6Address("2001:db8:aaaa::1") and settings.ipv4_address is None
    pools = settings.apns["internet"]
    assert (pools.prefixes, pools.ipv4) == (IPv6Network("2001:db8:100::/48"), IPv4Network("10.45.0.0/24"))
    subscription = settings.subscriptions["001010000000001"]
    assert subscription.apns == ("internet",) and not subscription.barred
    usim = load_ue(samples.ue).usim
    assert (subscription.credentials.k, subscription.credentials.opc) == (usim.k, usim.opc)
    assert settings.identity is not None and settings.fqdn == "2001:db8:aaaa::1"


def test_everything_else_that_a_subscriber_may_have(samples: Samples) -> None:
    samples.edit(
        "subscribers.yaml",
        "    apns: [internet]",
        '    amf: "b9b9"\n    apns: INTERNET\n    prefix: 2001:db8:100:1::/64\n    ipv4: 10.45.0.7\n    barred: true',
    )
    subscription = load_gateway(samples.gateway).subscriptions["001010000000001"]
    assert subscription.credentials.amf == b"\xb9\xb9"
    assert subscription.apns == ("internet",) and subscription.barred
    assert (subscription.prefix, subscription.ipv4) == (IPv6Network("2001:db8:100:1::/64"), IPv4Address("10.45.0.7"))


def test_apns_may_share_a_pool(samples: Samples) -> None:
    samples.edit(
        "gateway.yaml",
        '{internet: "2001:db8:100::/48"}',
        '{internet: "2001:db8:100::/48", ims: "2001:db8:100::/48"}',
    )
    assert list(load_gateway(samples.gateway).apns) == ["internet", "ims"]


def test_op_stands_for_opc(samples: Samples) -> None:
    opc = load_ue(samples.ue).usim.opc
    op = bytes(range(16))
    samples.edit("ue.yaml", f"  opc: {opc.hex()}", f"  op: {op.hex()}")
    usim = load_ue(samples.ue).usim
    assert usim.opc == opc_from_op(usim.k, op)


def test_a_subscriber_may_stand_in_a_file_of_its_own(samples: Samples) -> None:
    usim = load_ue(samples.ue).usim
    text = samples.ue.read_text()
    begin, end = text.index("subscriber:"), text.index("apn:")
    samples.ue.write_text(text[:begin] + "subscriber: {file: secret/usim.yaml}\n" + text[end:])
    samples.ue.chmod(0o644)  # the keys are elsewhere
    secret = samples.folder / "secret"
    secret.mkdir()
    path = secret / "usim.yaml"
    path.write_text(f'imsi: "{usim.imsi}"\nmcc: "001"\nmnc: "01"\nk: {usim.k.hex()}\nopc: {usim.opc.hex()}\n')
    path.chmod(0o600)
    assert load_ue(samples.ue).usim == usim
    path.chmod(0o640)
    with pytest.raises(ConfigError) as refused:
        load_ue(samples.ue)
    assert str(refused.value) == f"{path}: it holds a subscriber's keys and others may read it: chmod 600 {path}"


@pytest.mark.parametrize("name", ["ue.yaml", "subscribers.yaml"])
def test_keys_that_others_may_read_are_refused(samples: Samples, name: str) -> None:
    path = samples.folder / name
    path.chmod(0o644)
    with pytest.raises(ConfigError) as refused:
        load_ue(path) if name == "ue.yaml" else load_gateway(samples.gateway)
    assert str(refused.value) == f"{path}: it holds a subscriber's keys and others may read it: chmod 600 {path}"


def test_a_private_key_that_others_may_read_is_refused(samples: Samples) -> None:
    path = samples.folder / "gateway.key"
    path.chmod(0o640)
    assert gateway_error(samples) == (
        "gateway.key: it holds the gateway's private key and others may read it: chmod 600 gateway.key"
    )


def test_a_preshared_key_makes_other_credentials_unnecessary(samples: Samples) -> None:
    samples.edit("ue.yaml", "  ca: ca.pem", "  psk: hush")
    text = samples.ue.read_text()
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(("k:", "opc:"))]
    samples.ue.write_text("\n".join(kept))
    settings = load_ue(samples.ue)
    assert settings.psk == b"hush" and settings.anchors == ()
    samples.ue.chmod(0o644)
    with pytest.raises(ConfigError) as refused:
        load_ue(samples.ue)
    assert str(refused.value) == (
        f"{samples.ue}: it holds a pre-shared key and others may read it: chmod 600 {samples.ue}"
    )


def test_no_secret_shows(samples: Samples) -> None:
    samples.edit("ue.yaml", "  ca: ca.pem", "  ca: ca.pem\n  psk: hush-hush")
    settings = load_ue(samples.ue)
    gateway = load_gateway(samples.gateway)
    shown = repr(settings) + repr(gateway)
    for secret in (settings.usim.k, settings.usim.opc, b"hush-hush"):
        assert repr(secret) not in shown and secret.hex() not in shown
    assert "001010000000001" in shown


def test_reading_changes_nothing(samples: Samples) -> None:
    before = sorted(os.walk(samples.folder))
    load_ue(samples.ue)
    load_gateway(samples.gateway)
    assert sorted(os.walk(samples.folder)) == before


def test_files_are_found_beside_the_one_that_names_them(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_ue(Path("bench/ue.yaml"))
    assert settings.common.state_dir == Path("bench/state/ue")
    assert len(settings.anchors) == 1
