# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample configurations, in a folder of the test's own, and ways to damage them."""

from __future__ import annotations

from pathlib import Path

from mn_dsmip.agent.samples import write_samples


class Samples:
    """What ``mn-dsmip init`` writes."""

    def __init__(self, folder: Path) -> None:
        write_samples(folder)
        self.folder = folder
        self.ue = folder / "ue.yaml"
        self.gateway = folder / "gateway.yaml"
        self.subscribers = folder / "subscribers.yaml"

    def edit(self, name: str, old: str, new: str) -> Path:
        """Replace the one place where ``old`` stands."""
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new))
        return path

    def add(self, name: str, text: str) -> Path:
        """Append ``text``."""
        path = self.folder / name
        path.write_text(path.read_text() + text)
        return path

    def line(self, name: str, text: str) -> int:
        """The number of the one line that begins with ``text``, blanks in front left aside."""
        lines = (self.folder / name).read_text().splitlines()
        (found,) = [number for number, line in enumerate(lines, 1) if line.lstrip(" -").startswith(text)]
        return found
