# SPDX-License-Identifier: GPL-2.0-or-later
"""Authentication by somebody else's server: EAP over RADIUS (RFC 2865, RFC 3579)."""
