# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes <-> frozen dataclasses; standard library only."""
