# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to find the home agent, one a module."""
