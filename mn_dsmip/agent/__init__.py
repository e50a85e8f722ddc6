# SPDX-License-Identifier: GPL-2.0-or-later
"""The edge: the only package that opens sockets, files and devices."""
