# SPDX-License-Identifier: GPL-2.0-or-later
"""Show a run's main trace line by line, decrypted, while it grows."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from mininet.log import output

from .errors import NodeError
from .machine import find_tool
from .run_folder import RunFolder

KEY_TABLES = ("ikev2_decryption_table", "esp_sa")
LOOK_SECONDS = 0.2  # between two looks at files that grow
CHUNK = 1 << 16
ROUTER_ADVERTISEMENT = 134


def follow(folder: RunFolder, node: Any, until_interrupted: bool) -> None:  # Any: Mininet has no types
    """Print what `node` sent and received on the access link so far, then, until Ctrl-C, what follows.

    tshark reads keys only when it starts, so it begins again from the first packet whenever a key table has grown.
    """
    try:
        while True:
            keys = _key_sizes(folder)
            with _tshark(folder, node) as reader, folder.trace.open("rb") as trace:
                _feed(trace, reader)
                while until_interrupted and keys == _key_sizes(folder):
                    time.sleep(LOOK_SECONDS)
                    _feed(trace, reader)
            if not until_interrupted:
                return
            output("*** new keys: the trace once more, from its start\n")
    except KeyboardInterrupt:
        output("\n")
    except OSError as problem:
        raise NodeError(f"cannot show {folder.trace}: {problem.strerror or problem}") from None


@contextmanager
def _tshark(folder: RunFolder, node: Any) -> Iterator[BinaryIO]:  # Any: Mininet has no types
    tool = find_tool("tshark")
    if tool is None:
        raise NodeError("tshark is missing: apt-get install tshark")
    wanted = " or ".join(f"eth.addr == {interface.MAC()}" for interface in node.intfList())
    process = subprocess.Popen(
        [tool, "-n", "-l", "-r", "-", "-Y", f"{wanted} or icmpv6.type == {ROUTER_ADVERTISEMENT}"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what it says about running as root is no news
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(folder.wireshark)},
        start_new_session=True,  # Ctrl-C is for us: tshark ends with its input
    )
    assert process.stdin is not None
    reader = process.stdin
    try:
        yield reader  # type: ignore[misc]  # a pipe opened for bytes
    finally:
        reader.close()
        process.wait()


def _feed(trace: BinaryIO, reader: BinaryIO) -> None:
    while data := trace.read(CHUNK):
        reader.write(data)
    reader.flush()


def _key_sizes(folder: RunFolder) -> list[int]:
    tables = [folder.wireshark / name for name in KEY_TABLES]
    return [table.stat().st_size if table.exists() else 0 for table in tables]
