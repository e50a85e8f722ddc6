# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket: JSON lines, one request and its reply, or a stream of events.

Requests are ``{"version": 1, "command": "status"}``, some with arguments, which are text, beside these; replies
``{"version": 1, "ok": true, "result": …}`` or ``{"version": 1, "ok": false, "error": "a sentence"}``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .sockets import connect, listen

FORMAT_VERSION = 1
LONGEST_REQUEST = 4096
MOST_WAITING = 1 << 20
"""Octets kept for a listener that does not read; then it is cut off."""
COMMANDS = ("status", "attach", "refresh", "detach", "rekey", "redirect", "events", "ping")
ARGUMENTS: dict[str, tuple[str, ...]] = {"rekey": ("subscriber",), "redirect": ("gateway", "subscriber")}
"""What a command may be told; all other commands nothing."""
NEEDED: dict[str, tuple[str, ...]] = {"redirect": ("gateway",)}

Answer = Callable[[str, dict[str, str]], Awaitable[Any]]


class CommandFailed(Exception):
    """A command that could not be carried out; the text is a sentence for a person."""


class ControlServer:
    """Serves one agent's commands; ``answer`` carries one out, and events go to whoever asked for them."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._listeners: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen from now on."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listen(self._path), limit=LONGEST_REQUEST)

    def publish(self, line: bytes) -> None:
        """Give an event to all listeners; who does not read loses the connection, not the agent its memory."""
        for listener in list(self._listeners):
            if listener.transport.get_write_buffer_size() > MOST_WAITING:
                listener.transport.abort()
                self._listeners.discard(listener)
            else:
                listener.write(line)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                command, arguments, problem = _command(line)
                if command == "events":
                    await self._stream(reader, writer)
                    break
                writer.write(await self._reply(command, arguments, problem))
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a line beyond the limit, or a client that went away: its connection is all that ends
        except asyncio.CancelledError:
            pass  # the agent ends; asyncio of Python 3.11 and 3.12 would print a traceback if this went on
        finally:
            writer.close()

    async def _reply(self, command: str, arguments: dict[str, str], problem: str) -> bytes:
        try:
            if problem:
                return _encode(ok=False, error=problem)
            return _encode(ok=True, result=await self._answer(command, arguments))
        except CommandFailed as failure:
            return _encode(ok=False, error=str(failure))
        except asyncio.CancelledError:
            return _encode(ok=False, error="the agent ends")

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Events from now on, until the client goes."""
        self._listeners.add(writer)
        try:
            while await reader.read(LONGEST_REQUEST):
                pass
        finally:
            self._listeners.discard(writer)


def _command(line: bytes) -> tuple[str, dict[str, str], str]:
    """The command of a request line and its arguments, or what is wrong with it."""
    try:
        request = json.loads(line)
        command, version = request.pop("command"), request.pop("version", FORMAT_VERSION)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", {}, 'a request is one JSON line such as {"version": 1, "command": "status"}'
    if version != FORMAT_VERSION:
        return "", {}, f"version {version} is not understood, {FORMAT_VERSION} is"
    if command not in COMMANDS:
        return "", {}, f"command {command!r} is unknown, known are {', '.join(COMMANDS)}"
    for name, value in request.items():
        if name not in ARGUMENTS.get(command, ()) or not isinstance(value, str):
            known = " and ".join(ARGUMENTS.get(command, ())) or "nothing"
            return "", {}, f"{command} does not take {name}={value!r}; it takes {known}, as text"
    for name in NEEDED.get(command, ()):
        if name not in request:
            return "", {}, f"{command} needs to be told a {name}"
    return command, request, ""


def _encode(**reply: Any) -> bytes:
    return json.dumps({"version": FORMAT_VERSION, **reply}).encode() + b"\n"


def ask(path: Path, command: str, timeout: float, on_line: Callable[[bytes], None], **arguments: str) -> dict[str, Any]:
    """Send one command; ``events`` hands every line to ``on_line`` until the agent ends.

    Raises ``CommandFailed`` when nobody listens or the command was refused.
    """
    request = {"version": FORMAT_VERSION, "command": command, **arguments}
    try:
        with connect(path, timeout) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as replies:
                if command == "events":
                    connection.settimeout(None)
                    for line in replies:
                        on_line(line)
                    return {}
                return _result(replies.readline())
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise CommandFailed(f"no agent answers at {path} ({reason}); is it running?") from None


def _result(line: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(line)
    except ValueError:
        raise CommandFailed("the agent closed the connection without an answer") from None
    if not reply.get("ok"):
        raise CommandFailed(str(reply.get("error")))
    result = reply.get("result")
    return result if isinstance(result, dict) else {"result": result}
