# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of captures; shares no code with the agents."""
