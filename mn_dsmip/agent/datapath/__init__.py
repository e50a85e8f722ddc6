# SPDX-License-Identifier: GPL-2.0-or-later
"""How packets get in and out of an agent."""
