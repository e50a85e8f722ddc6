# SPDX-License-Identifier: GPL-2.0-or-later
"""Flow files: their language, and the matching of a session against one."""
