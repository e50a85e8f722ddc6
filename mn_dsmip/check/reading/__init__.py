# SPDX-License-Identifier: GPL-2.0-or-later
"""From a capture to messages: the only part of the checker that talks to tshark."""

from __future__ import annotations

from mn_dsmip.check.reading.pyshark_reader import TraceError, read

__all__ = ["TraceError", "read"]
