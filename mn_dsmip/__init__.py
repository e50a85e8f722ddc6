# SPDX-License-Identifier: GPL-2.0-or-later
"""DS-MIPv6 over the S2c reference point (3GPP TS 24.303) for Mininet."""

__version__ = "0.1.0"
