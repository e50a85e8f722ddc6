# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong around a topology, as sentences for the person at the prompt."""

from __future__ import annotations


class SetupError(RuntimeError):
    """This machine or these parameters cannot run a topology; the message says what is missing and how to get it."""


class NodeError(RuntimeError):
    """A node could not be configured, or what runs in it did not start or answer."""
