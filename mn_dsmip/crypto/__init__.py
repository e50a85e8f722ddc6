# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys and bytes in, bytes out; no state of a protocol."""
