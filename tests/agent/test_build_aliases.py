# SPDX-License-Identifier: GPL-2.0-or-later
"""Pseudonyms outlive an agent: recorded, read again, and given to the engine that is built from the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mn_dsmip.agent.build import build_gateway, build_ue
from mn_dsmip.agent.config import load_gateway, load_ue
from mn_dsmip.agent.store import Store
from mn_dsmip.engine.effects import PseudonymChanged
from mn_dsmip.engine.ike.aka_aliases import PeerAliases
from mn_dsmip.engine.ike.aka_common import AKA
from tests.agent.files import Samples

IMSI = "001010000000001"


def built(samples: Samples, folder: Path) -> PeerAliases | None:
    """The names of the UE that the samples make of what ``folder`` remembers."""
    settings, store = load_ue(samples.ue), Store(folder)
    store.close()
    assert settings.usim.imsi == IMSI
    return build_ue(settings, store).config.aliases


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return Samples(tmp_path / "bench")


def remember(folder: Path, *pseudonyms: str) -> None:
    store = Store(folder)
    store.record([PseudonymChanged(IMSI, each) for each in pseudonyms])
    store.close()


def test_the_last_pseudonym_survives(samples: Samples, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    remember(folder, "2first@realm", "2second@realm")
    for _ in range(2):  # the file is written anew each time
        aliases = built(samples, folder)
        assert aliases is not None
        assert aliases.first("permanent") == "2second@realm"
        assert not aliases.conservative


def test_a_pseudonym_of_the_other_method_is_left_alone(samples: Samples, tmp_path: Path) -> None:
    """With EAP-AKA's name a server would begin EAP-AKA, and the UE could never attach again."""
    folder = tmp_path / "state"
    remember(folder, "2name@realm")
    samples.edit("ue.yaml", "# method: aka ", "method: aka-prime\n  # ")
    aliases = built(samples, folder)
    assert aliases is not None
    assert aliases.first("permanent") == "permanent"


def test_what_the_file_says(samples: Samples, tmp_path: Path) -> None:
    samples.edit("ue.yaml", "# hide_imsi: false ", "hide_imsi: true  # ")
    aliases = built(samples, tmp_path / "state")
    assert aliases is not None
    assert aliases.conservative
    samples.edit("ue.yaml", "# aliases: true ", "aliases: false  # ")
    assert built(samples, tmp_path / "state") is None


def test_a_gateway_knows_its_pseudonyms_after_a_restart(samples: Samples, tmp_path: Path) -> None:
    """The key that seals them is derived from the secret that its store keeps."""
    samples.edit("gateway.yaml", "# pseudonyms: false ", "pseudonyms: true  # ")
    made = []
    for folder in (tmp_path / "state", tmp_path / "state", tmp_path / "other"):
        store = Store(folder)
        store.close()
        aliases = build_gateway(load_gateway(samples.gateway), store).policy.config.aliases
        assert aliases is not None
        assert not aliases.fast
        made.append(aliases)
    pseudonym = made[0].seal(AKA, IMSI)
    assert [each.imsi(pseudonym) == IMSI for each in made] == [True, True, False]
