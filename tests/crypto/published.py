# SPDX-License-Identifier: GPL-2.0-or-later
"""Published vectors, and what the tests of ciphers and keys share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mn_dsmip.crypto.suites import ENCRYPTION, INTEGRITY, Protection, Random

unhex = bytes.fromhex


def load(name: str) -> dict[str, Any]:  # as the file has it
    """A file of ``tests/vectors``; its ``source`` says where the values come from."""
    content: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / name).read_text())
    assert content["source"]
    return content


def constant(value: bytes) -> Random:
    """A random source that gives ``value`` whenever it is asked for that many octets."""

    def random(length: int) -> bytes:
        assert length == len(value)
        return value

    return random


PROTECTIONS: dict[str, Protection] = {
    "GCM-128": Protection(ENCRYPTION[20, 128], None),
    "GCM-256": Protection(ENCRYPTION[20, 256], None),
    "CBC-128 SHA1": Protection(ENCRYPTION[12, 128], INTEGRITY[2]),
    "CBC-128 SHA2-256": Protection(ENCRYPTION[12, 128], INTEGRITY[12]),
    "CBC-256 SHA2-384": Protection(ENCRYPTION[12, 256], INTEGRITY[13]),
    "CBC-256 SHA2-512": Protection(ENCRYPTION[12, 256], INTEGRITY[14]),
    "NULL SHA2-256": Protection(ENCRYPTION[11, None], INTEGRITY[12]),
}
"""One of each kind that ESP may use; IKE has all but NULL."""
