# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of the network namespace that we are in, remembered so that they can be put back (Linux: ip-sysctl)."""

from __future__ import annotations

from pathlib import Path

from ..errors import EnvironmentProblem

ROOT = Path("/proc/sys/net")


class Sysctls:
    """Changes settings under ``net``; ``restore`` puts back what was changed, last change first."""

    def __init__(self) -> None:
        self._changed: list[tuple[Path, str]] = []

    def read(self, name: str) -> int:
        """A setting's number."""
        return int((ROOT / name).read_text())

    def names(self, folder: str) -> list[str]:
        """What has settings in a folder: interfaces, `all` and `default`."""
        return sorted(each.name for each in (ROOT / folder).iterdir())

    def write(self, name: str, value: int) -> None:
        """Change a setting that has another value; ``EnvironmentProblem`` when the kernel does not let us."""
        path = ROOT / name
        try:
            old = path.read_text().strip()
            if old == str(value):
                return
            path.write_text(str(value))
        except OSError as problem:
            raise EnvironmentProblem(f"{path} cannot be set to {value}: {problem.strerror}") from None
        self._changed.append((path, old))

    def restore(self) -> None:
        """Put back what was changed and is still there."""
        while self._changed:
            path, old = self._changed.pop()
            if path.exists():
                path.write_text(old)
