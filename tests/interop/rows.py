# SPDX-License-Identifier: GPL-2.0-or-later
"""Which row of the table of independent peers (`README.md`) a test fills."""

from __future__ import annotations

from typing import Protocol

import pytest

STRONGSWAN = "strongSwan 5.9.8"


class RowMark(Protocol):
    """Marks a test with its feature; several tests may fill one row."""

    def __call__(self, words: str, bullet: str = ..., *, peer: str = ...) -> pytest.MarkDecorator: ...


def rows(role: str, bullet: str, peer: str = STRONGSWAN, about: str = "") -> RowMark:
    """The mark of a file whose tests have these in common; ``about`` stands before the words of each."""

    def row(words: str, bullet: str = bullet, *, peer: str = peer) -> pytest.MarkDecorator:
        return pytest.mark.feature(about + words, peer=peer, role=role, bullet=bullet)

    return row
