# SPDX-License-Identifier: GPL-2.0-or-later
"""Protocol engines without I/O: bytes and time in; bytes, timers and events out."""
