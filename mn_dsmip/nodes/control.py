# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask an agent over its control socket: one JSON line each way."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from .errors import NodeError

FORMAT_VERSION = 1
ANSWER_SECONDS = 130.0  # an agent itself gives up a command after 120 s
REPLY_LIMIT = 1 << 20


def ask(path: Path, command: str, timeout: float = ANSWER_SECONDS) -> Any:
    """The result of one command (`status`, `attach`, `refresh`, `detach`); NodeError with the agent's sentence."""
    request = json.dumps({"version": FORMAT_VERSION, "command": command}).encode() + b"\n"
    try:
        with _connect(path, timeout) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as replies:
                line = replies.readline(REPLY_LIMIT)
    except OSError as error:
        raise NodeError(
            f"{path.stem} does not answer ({error.strerror or error}); see its log beside its journal"
        ) from None
    return _result(path, line)


def _result(path: Path, line: bytes) -> Any:
    try:
        reply = json.loads(line)
        succeeded, result = bool(reply["ok"]), reply.get("result")
    except (ValueError, TypeError, KeyError):
        raise NodeError(f"{path.stem} answered {line[:80]!r}, which is no reply of an agent") from None
    if not succeeded:
        raise NodeError(str(reply.get("error", "the agent gave no reason")))
    return result


def _connect(path: Path, timeout: float) -> socket.socket:
    """Connect however long the path is: a socket's address has room for 107 octets only."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection
