# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m mn_dsmip.check`."""

from __future__ import annotations

import sys

from mn_dsmip.check import main

sys.exit(main(sys.argv[1:]))
