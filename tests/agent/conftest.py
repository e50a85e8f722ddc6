# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the agents' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.files import Samples


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """A working pair of configurations."""
    return Samples(tmp_path / "bench")
