# SPDX-License-Identifier: GPL-2.0-or-later
"""Hatchling hook: carries topologies, flows and dissector into the wheel, where `mn_dsmip.resources` finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("topos/*.py", "captures/*/flow.yaml", "dissectors/**/*")


class CarryResources(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own generic parameter is private
    """Map what lies beside the package in a clone to `mn_dsmip/data/` in a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # Any: hatchling's signature
        if version == "editable":
            return  # the clone itself is found
        root = Path(self.root)
        files = (file for pattern in CARRIED for file in root.glob(pattern) if file.is_file())
        for file in files:
            build_data["force_include"][str(file)] = f"mn_dsmip/data/{file.relative_to(root)}"
