# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples to begin with, and certificates for a run."""

from __future__ import annotations

import stat
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from mn_dsmip.agent.config import load_gateway, load_ue
from mn_dsmip.agent.errors import EnvironmentProblem
from mn_dsmip.agent.samples import write_certificate, write_samples
from mn_dsmip.crypto.certs import check_name, load_certificates, names_of, utc_now, verify_chain
from mn_dsmip.engine.discovery import ha_apn_fqdn
from tests.agent.files import Samples

PRIVATE = {"ue.yaml", "gateway.yaml", "aaa.yaml", "subscribers.yaml", "ca.key", "gateway.key"}
FQDN = "internet.ha-apn.mnc001.mcc001.pub.3gppnetwork.org"


def test_samples_are_complete_and_private(tmp_path: Path) -> None:
    paths = write_samples(tmp_path / "new" / "bench")
    assert {path.name for path in paths} == PRIVATE | {"ca.pem", "gateway.pem"}
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.name in PRIVATE else 0o644)
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_two_sets_of_samples_have_different_keys(tmp_path: Path) -> None:
    texts = [(write_samples(tmp_path / name)[0]).read_text() for name in ("one", "two")]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("name", ["ue.yaml", "ca.key", "gateway.pem"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(EnvironmentProblem) as refused:
        write_samples(tmp_path)
    assert str(refused.value) == f"{tmp_path / name} exists already: name another folder, or remove it"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def revived(line: str) -> str:
    """A sample's line that shows a default, without the comment sign; others as they are."""
    blanks, sign, rest = line.partition("# ")
    if not sign or blanks.strip() or not rest.split(" ")[0].endswith(":") or rest.startswith(OFF_BY_DEFAULT):
        return line
    return blanks + rest.split("  ")[0]


OFF_BY_DEFAULT = ("journal:", "keylog:", "suites:", "fqdn:")


def test_every_key_that_is_commented_out_shows_its_default(samples: Samples) -> None:
    """With every such line brought to life the files say the same."""
    ue, gateway = load_ue(samples.ue), load_gateway(samples.gateway)
    for path, count in ((samples.ue, 18), (samples.gateway, 16)):
        lines = path.read_text().splitlines()
        alive = [revived(line) for line in lines]
        assert sum(new != old for new, old in zip(alive, lines, strict=True)) == count
        path.write_text("\n".join(alive))
    assert load_ue(samples.ue) == ue
    found = load_gateway(samples.gateway)  # private keys are objects that equal nothing but themselves
    assert replace(found, identity=gateway.identity) == gateway


def test_the_sample_certificate_is_for_the_name_that_a_ue_looks_up(samples: Samples) -> None:
    (anchor,) = load_certificates((samples.folder / "ca.pem").read_bytes())
    (leaf,) = load_certificates((samples.folder / "gateway.pem").read_bytes())
    found = verify_chain([leaf.public_bytes(Encoding.DER)], [anchor], utc_now())
    assert ha_apn_fqdn("internet", "001", "01") == FQDN
    check_name(found, FQDN)
    check_name(found, "2001:db8:aaaa::1")


def test_certificates_of_one_run_share_their_authority(tmp_path: Path) -> None:
    write_certificate(tmp_path, "pgw", [FQDN])
    authority = (tmp_path / "ca.pem").read_bytes()
    write_certificate(tmp_path, "pgw2", ["pgw.example.net", "2001:db8::1"])
    assert (tmp_path / "ca.pem").read_bytes() == authority
    (leaf,) = load_certificates((tmp_path / "pgw2.pem").read_bytes())
    assert names_of(leaf) == ("pgw.example.net", IPv6Address("2001:db8::1"))
    verify_chain([leaf.public_bytes(Encoding.DER)], load_certificates(authority), utc_now())
    assert stat.S_IMODE((tmp_path / "pgw2.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("out", ["ca", "../pgw", "a/b", "", ".hidden"])
def test_names_that_no_certificate_may_have(tmp_path: Path, out: str) -> None:
    with pytest.raises(EnvironmentProblem) as refused:
        write_certificate(tmp_path, out, [FQDN])
    assert str(refused.value) == f"{out!r} cannot name a certificate: letters, digits, dot, hyphen; `ca` is taken"
    assert list(tmp_path.iterdir()) == []


def test_an_authority_that_cannot_be_used(tmp_path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(EnvironmentProblem) as refused:
            write_certificate(tmp_path, "pgw", [FQDN])
        return str(refused.value).replace(f"{tmp_path}/", "")

    write_certificate(tmp_path, "pgw", [FQDN])
    (tmp_path / "ca.key").rename(tmp_path / "kept")
    assert refusal() == "ca.pem is there, its key ca.key is not"
    (tmp_path / "ca.key").write_bytes((tmp_path / "pgw.key").read_bytes())
    assert refusal() == "ca.key is not the key of ca.pem"
    (tmp_path / "ca.key").write_text("nonsense")
    assert refusal().startswith(f"the authority in {tmp_path} cannot be used: no usable PEM private key: ")
    with pytest.raises(EnvironmentProblem, match="^no certificate can be issued for ü: "):
        write_certificate(tmp_path / "other", "pgw", ["ü"])
