# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers point one way: topos -> nodes -(starts)-> agent -> engine -> crypto, wire; check shares nothing with them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = sys.stdlib_module_names
LAYERS = ("wire", "crypto", "engine", "agent", "check", "nodes")
# What each layer may import: its own name is understood.
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "crypto": {"cryptography"},
    "engine": {"wire", "crypto", "cryptography.x509", "dns", "pyrad.dictionary", "pyrad.packet"},
    "agent": {"engine", "crypto", "wire", "cryptography", "dns", "yaml"},
    "check": {"resources", "pyshark", "yaml"},
    "nodes": {"mininet"},
    "topos": {"nodes", "mininet"},
    "cli": {"agent", "check", "resources", "wireshark"},
    "wireshark": {"resources"},
    "pytest_plugin": {"check", "pytest"},
}
# An engine gets time, randomness and packets from outside.
NOT_IN_ENGINES = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "time",
}
SANS_IO_DNS = {
    "edns",
    "exception",
    "flags",
    "message",
    "name",
    "opcode",
    "rcode",
    "rdata",
    "rdataclass",
    "rdatatype",
    "rdtypes",
    "rrset",
}


def sources() -> list[Path]:
    return sorted([*ROOT.glob("mn_dsmip/**/*.py"), *ROOT.glob("topos/**/*.py")])


def typing_only(tree: ast.Module) -> Iterator[ast.AST]:
    """Imports of typing_extensions that only a type checker sees, which brings it along."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (
                each for each in node.body if isinstance(each, ast.ImportFrom) and each.module == "typing_extensions"
            )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything `path` imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text(), str(path))
    unseen = set(typing_only(tree))
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from mn_dsmip import wire` imports a layer; `from dns import message` a module
            deeper = module in ("mn_dsmip", "dns", "cryptography")
            yield from ((node.lineno, f"{module}.{alias.name}" if deeper else module) for alias in node.names)


def layer_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "mn_dsmip" else parts[0]


def allowed(layer: str, name: str) -> bool:
    top, *rest = name.split(".")
    if top in STDLIB:
        return not (layer == "engine" and top in NOT_IN_ENGINES)
    if top == "mn_dsmip":
        return not rest or rest[0] in (layer, "__version__") or rest[0] in MAY_IMPORT[layer]
    if layer == "engine" and top == "dns":
        return bool(rest) and rest[0] in SANS_IO_DNS
    return any(name == entry or name.startswith(entry + ".") for entry in MAY_IMPORT[layer])


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    layer = {"__init__": "wire", "__main__": "cli", "resources": "wire"}.get(layer_of(path), layer_of(path))
    wrong = [f"{path.name}:{line}: {layer} imports {name}" for line, name in imports(path) if not allowed(layer, name)]
    assert wrong == []


def test_every_layer_is_there() -> None:
    assert {layer_of(path) for path in sources()} >= set(LAYERS)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("wire", "mn_dsmip.crypto.kdf"),
        ("crypto", "mn_dsmip.engine.base"),
        ("engine", "mn_dsmip.agent.driver"),
        ("engine", "time"),
        ("engine", "dns.resolver"),
        ("check", "mn_dsmip.wire.mobility"),
        ("nodes", "yaml"),
        ("agent", "mininet.net"),
        ("agent", "scapy.all"),
    ],
)
def test_what_would_break_a_layer_is_seen(layer: str, name: str) -> None:
    assert not allowed(layer, name)
