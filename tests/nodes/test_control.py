# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to an agent: answers, refusals, silence, nonsense, and paths too long for a socket's address."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mn_dsmip.nodes import NodeError, control


@contextmanager
def agent(path: Path, reply: bytes) -> Iterator[list[bytes]]:
    """Something that listens at `path`, notes the request and says `reply`."""
    heard: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH)
    listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as lines:
            heard.append(lines.readline())
            lines.write(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield heard
    thread.join(5)
    listener.close()
    os.close(folder)


def test_the_result_is_returned(tmp_path: Path) -> None:
    with agent(tmp_path / "ue1.sock", b'{"version": 1, "ok": true, "result": {"state": "ATTACHED"}}\n') as heard:
        assert control.ask(tmp_path / "ue1.sock", "status") == {"state": "ATTACHED"}
    assert heard == [b'{"version": 1, "command": "status"}\n']


def test_a_path_may_be_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 30) / ("longer-" * 20)
    folder.mkdir(parents=True)
    with agent(folder / "ue1.sock", b'{"version": 1, "ok": true, "result": null}\n'):
        assert control.ask(folder / "ue1.sock", "detach") is None


def test_a_refusal_is_the_agents_sentence(tmp_path: Path) -> None:
    refusal = b'{"version": 1, "ok": false, "error": "no such subscriber"}\n'
    with agent(tmp_path / "ue1.sock", refusal), pytest.raises(NodeError, match=r"^no such subscriber$"):
        control.ask(tmp_path / "ue1.sock", "attach")


@pytest.mark.parametrize("reply", [b"", b"nonsense\n", b"[]\n", b'{"result": 1}\n'])
def test_nonsense_is_named(tmp_path: Path, reply: bytes) -> None:
    with agent(tmp_path / "ue1.sock", reply), pytest.raises(NodeError, match=r"ue1 answered .* no reply of an agent"):
        control.ask(tmp_path / "ue1.sock", "status")


def test_silence_and_absence_are_told(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="ue1 does not answer"):
        control.ask(tmp_path / "ue1.sock", "status")
