# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the files that are not Python modules lie: topologies, flows, the dissector.

In a clone (also when installed in editable mode) they stand beside the package, as `topos/`, `captures/` and
`dissectors/`; a wheel carries the same folders inside the package, under `data/`.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


class ResourceError(LookupError):
    """Nothing of that name is shipped; the message names what is."""


def root() -> Path:
    """The folder that holds `topos/`, `captures/` and `dissectors/`."""
    carried = PACKAGE / "data"
    return carried if carried.is_dir() else PACKAGE.parent


def topologies() -> list[str]:
    """The names that `topology` takes."""
    return sorted(file.stem for file in root().glob("topos/*.py") if not file.stem.startswith("_"))


def topology(name: str) -> Path:
    """The custom file to give to `mn --custom`; ResourceError when there is none of that name."""
    return _named("topology", name, topologies(), root() / "topos" / f"{name}.py")


def flows() -> list[str]:
    """The names that `flow` takes."""
    return sorted(file.parent.name for file in root().glob("captures/*/flow.yaml"))


def flow(name: str) -> Path:
    """The expected flow of a shipped case; ResourceError when there is none of that name."""
    return _named("flow", name, flows(), root() / "captures" / name / "flow.yaml")


def dissector() -> Path:
    """The folder of the Wireshark dissector and profile; ResourceError when this release has none."""
    folder = root() / "dissectors"
    if not folder.is_dir():
        raise ResourceError("this release of mn-dsmip ships no dissector")
    return folder


def _named(kind: str, name: str, known: list[str], path: Path) -> Path:
    if name not in known:
        raise ResourceError(f"no {kind} is called {name!r}; there is: {', '.join(known) or 'none'}")
    return path
