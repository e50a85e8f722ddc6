# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket: requests, replies, the stream of events, and clients that do not behave."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mn_dsmip.agent.control import MOST_WAITING, CommandFailed, ControlServer, ask
from mn_dsmip.agent.sockets import connect

Client = Callable[[], Any]


async def answer(command: str, arguments: dict[str, str]) -> dict[str, str]:
    if command == "refresh":
        raise CommandFailed("there is no binding to refresh in state IDLE")
    if command == "attach":
        await asyncio.sleep(3600)
    return {"command": command, **arguments}


def serve(path: Path, scenario: Callable[[ControlServer], Awaitable[Any]]) -> Any:
    """Run ``scenario`` beside a server, which is closed at its end as an agent closes it."""

    async def play() -> Any:
        server = ControlServer(path, answer)
        await server.start()
        try:
            return await asyncio.wait_for(scenario(server), 20)
        finally:
            server.close()

    return asyncio.run(play())


def in_thread(path: Path, client: Client) -> Any:
    """What a client gets that blocks, as clients outside of the agent do."""
    return serve(path, lambda server: asyncio.to_thread(client))


def exchange(path: Path, *requests: bytes) -> list[dict[str, Any]]:
    """Send lines over one connection; their replies."""

    def client() -> list[dict[str, Any]]:
        with closing(connect(path, 10)) as connection, connection.makefile("rb") as replies:
            connection.sendall(b"".join(requests))
            return [json.loads(replies.readline()) for _ in requests]

    found: list[dict[str, Any]] = in_thread(path, client)
    return found


USAGE = 'a request is one JSON line such as {"version": 1, "command": "status"}'
KNOWN = "known are status, attach, refresh, detach, rekey, redirect, events, ping"
REQUESTS = [
    (b'{"version": 1, "command": "status"}', {"ok": True, "result": {"command": "status"}}),
    (b'{"command": "ping"}', {"ok": True, "result": {"command": "ping"}}),
    (b'{"command": "refresh"}', {"ok": False, "error": "there is no binding to refresh in state IDLE"}),
    (b'{"version": 2, "command": "status"}', {"ok": False, "error": "version 2 is not understood, 1 is"}),
    (b'{"command": "stat"}', {"ok": False, "error": f"command 'stat' is unknown, {KNOWN}"}),
    (b'{"command": ["status"]}', {"ok": False, "error": f"command ['status'] is unknown, {KNOWN}"}),
    (b'{"command": "rekey"}', {"ok": True, "result": {"command": "rekey"}}),
    (
        b'{"command": "redirect", "gateway": "pgw2.example.net", "subscriber": "001010000000001"}',
        {"ok": True, "result": {"command": "redirect", "gateway": "pgw2.example.net", "subscriber": "001010000000001"}},
    ),
    (b'{"command": "redirect"}', {"ok": False, "error": "redirect needs to be told a gateway"}),
    (
        b'{"command": "rekey", "subcriber": "1"}',
        {"ok": False, "error": "rekey does not take subcriber='1'; it takes subscriber, as text"},
    ),
    (
        b'{"command": "rekey", "subscriber": 1}',
        {
            "ok": False,
            "error": "rekey does not take subscriber=1; it takes subscriber, as text",
        },
    ),
    (
        b'{"command": "status", "all": "yes"}',
        {
            "ok": False,
            "error": "status does not take all='yes'; it takes nothing, as text",
        },
    ),
    (b'{"version": 1}', {"ok": False, "error": USAGE}),
    (b'["status"]', {"ok": False, "error": USAGE}),
    (b'"status"', {"ok": False, "error": USAGE}),
    (b"null", {"ok": False, "error": USAGE}),
    (b"status", {"ok": False, "error": USAGE}),
    (b"\xff\xfe", {"ok": False, "error": USAGE}),
    (b"", {"ok": False, "error": USAGE}),
]


def test_requests_and_replies(tmp_path: Path) -> None:
    replies = exchange(tmp_path / "socket", *(line + b"\n" for line, _ in REQUESTS))
    assert replies == [{"version": 1, **expected} for _, expected in REQUESTS]


def test_a_line_without_end_costs_the_connection_only(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    def client() -> bytes:
        with closing(connect(path, 10)) as connection:
            connection.sendall(b"x" * 10_000)
            closed = connection.recv(100)
        return closed + str(ask(path, "status", 10, lambda line: None)).encode()

    assert in_thread(path, client) == b"{'command': 'status'}"


def test_the_socket_is_private_and_goes_with_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "socket"
    mask = os.umask(0)
    try:
        assert in_thread(path, lambda: stat.S_IMODE(path.stat().st_mode)) == 0o600
    finally:
        os.umask(mask)
    assert not path.exists()


def test_a_socket_that_a_dead_agent_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert in_thread(path, lambda: ask(path, "ping", 10, lambda line: None)) == {"command": "ping"}


def test_a_path_of_any_length(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 10) / "socket"
    assert len(str(path)) > 200  # sockaddr_un has room for 108
    assert in_thread(path, lambda: ask(path, "ping", 10, lambda line: None)) == {"command": "ping"}


def test_what_a_person_reads_when_nobody_answers(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(CommandFailed) as absent:
        ask(path, "status", 10, lambda line: None)
    assert str(absent.value) == f"no agent answers at {path} (No such file or directory); is it running?"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pytest.raises(CommandFailed) as dead:
        ask(path, "status", 10, lambda line: None)
    assert str(dead.value) == f"no agent answers at {path} (Connection refused); is it running?"
    with pytest.raises(CommandFailed) as refused:
        in_thread(path, lambda: ask(path, "refresh", 10, lambda line: None))
    assert str(refused.value) == "there is no binding to refresh in state IDLE"


def test_events_go_to_all_listeners_up_to_the_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "socket"
    heard: list[list[bytes]] = [[], []]
    threads = [threading.Thread(target=ask, args=(path, "events", 10, lines.append)) for lines in heard]

    async def scenario(server: ControlServer) -> None:
        for thread in threads:
            thread.start()
        while len(server._listeners) < 2:
            await asyncio.sleep(0.001)
        for number in range(100):
            server.publish(b"%d\n" % number)

    serve(path, scenario)  # and ends at once
    for thread in threads:
        thread.join(10)
    assert heard == [[b"%d\n" % number for number in range(100)]] * 2
    assert capfd.readouterr().err == ""


def test_a_listener_that_goes_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def scenario(server: ControlServer) -> None:
        with closing(connect(path, 10)) as connection:
            connection.sendall(b'{"command": "events"}\n')
            while not server._listeners:
                await asyncio.sleep(0.001)
        while server._listeners:
            await asyncio.sleep(0.001)
        server.publish(b"nobody hears this\n")

    serve(path, scenario)


def test_a_listener_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def scenario(server: ControlServer) -> int:
        with closing(connect(path, 10)) as connection:
            connection.sendall(b'{"command": "events"}\n')
            while not server._listeners:
                await asyncio.sleep(0.001)
            sent = 0
            while server._listeners and sent < 100 * MOST_WAITING:
                server.publish(bytes(65536))
                sent += 65536
            return sent

    assert MOST_WAITING < serve(path, scenario) < 4 * MOST_WAITING


def test_who_waits_when_the_agent_ends_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "socket"
    told: list[str] = []

    def client() -> None:
        with pytest.raises(CommandFailed) as failure:
            ask(path, "attach", 10, lambda line: None)
        told.append(str(failure.value))

    thread = threading.Thread(target=client)
    called = threading.Event()

    async def scenario(server: ControlServer) -> None:
        async def noted(command: str, arguments: dict[str, str]) -> dict[str, str]:
            called.set()
            return await answer(command, arguments)

        server._answer = noted
        thread.start()
        while not called.is_set():
            await asyncio.sleep(0.001)

    serve(path, scenario)
    thread.join(10)
    assert told == ["the agent ends"]
    assert capfd.readouterr().err == ""
