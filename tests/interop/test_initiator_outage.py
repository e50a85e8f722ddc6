# SPDX-License-Identifier: GPL-2.0-or-later
"""`mn-dsmip gateway` ends, in good order or not, and comes back, while strongSwan is connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.interop.initiating import row
from tests.interop.peers.charon import Charon
from tests.interop.peers.network import Field
from tests.interop.serving import connect, serve, wait

pytestmark = pytest.mark.root
IMPATIENT = {"retransmit_timeout": 0.3, "retransmit_tries": 2}


@pytest.fixture
def charon(meeting: Field, tmp_path: Path) -> Iterator[Charon]:
    with closing(Charon(meeting.ue, tmp_path, shim=True, settings=IMPATIENT)) as peer:
        user = {"remote_ts": ["::/0", "0.0.0.0/0"], "esp_proposals": ["aes256gcm16"], "dpd_action": "start"}
        connect(peer, dpd_delay=1, keyingtries=0, children={"user": user})
        yield peer


@row("our gateway ends: every peer is told (DELETE) before it goes")
def test_orderly_end(meeting: Field, tmp_path: Path, charon: Charon) -> None:
    with closing(serve(meeting, tmp_path)) as gateway:
        charon.initiate("user").result()
        status, said = gateway.end()
        assert status == 0, said
        charon.await_log("received DELETE for IKE_SA")
        assert gateway.await_entry("ike_sa_closed")["reason"] == "the gateway shuts down"


@row("our gateway dies and starts again: strongSwan finds out (DPD), comes back, and has the addresses it had")
def test_death(meeting: Field, tmp_path: Path, charon: Charon) -> None:
    with closing(serve(meeting, tmp_path)) as gateway:
        charon.initiate("user").result()
        (before,) = charon.sas()
        gateway.process.child.kill()
        gateway.process.child.wait()
    with closing(serve(meeting, tmp_path)) as gateway:
        gateway.await_entry("ike_sa_established", 2)
        wait(lambda: [each["state"] for each in charon.sas()] == ["ESTABLISHED"])
        (after,) = charon.sas()
        assert sorted(after["local-vips"]) == sorted(before["local-vips"])
        assert gateway.ask("status")["sessions"] == 1
        assert gateway.ask("status")["counters"]["ike-unknown-spi"] >= 1
