# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobile IPv6 and DSMIPv6 bindings (RFC 6275, RFC 5555)."""
