# SPDX-License-Identifier: GPL-2.0-or-later
"""Mininet nodes; only the standard library and mininet are imported here."""
