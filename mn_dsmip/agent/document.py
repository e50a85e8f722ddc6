# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML (and so JSON) files whose every value knows its line, read key by key with errors that help."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TypeVar

import yaml
from yaml.reader import ReaderError

from ..engine.base import IPAddress
from .errors import ConfigError

FORMAT_VERSION = 1
GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
Value = TypeVar("Value")


class Section:
    """A mapping of a document. Each ``take`` reads a key; ``finish`` refuses what nobody took."""

    def __init__(self, path: Path, name: str, node: yaml.MappingNode) -> None:
        self.path = path
        self._name = name
        self._line = node.start_mark.line + 1
        self._nodes: dict[str, tuple[int, yaml.Node]] = {}
        self._known: list[str] = []
        for key, value in node.value:
            word = str(key.value)
            if word in self._nodes:
                raise ConfigError(path, key.start_mark.line + 1, f"{name}{word} stands here a second time")
            self._nodes[word] = (key.start_mark.line + 1, value)

    def problem(self, key: str, message: str) -> ConfigError:
        """An error about ``key``, at its line."""
        line = self._nodes[key][0] if key in self._nodes else self._line
        return ConfigError(self.path, line, f"{self._name}{key}: {message}")

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        self._known.append(key)
        return key in self._nodes and not _is_null(self._nodes[key][1])

    def _missing(self, key: str) -> ConfigError:
        near = get_close_matches(key, [word for word in self._nodes if word not in self._known], 1)
        return self.problem(
            key, f"missing; is {near[0]} (line {self._nodes[near[0]][0]}) meant?" if near else "missing"
        )

    def finish(self) -> None:
        """``ConfigError`` for the first key that means nothing here, with the nearest one that does."""
        for word, (line, _) in self._nodes.items():
            if word not in self._known:
                near = get_close_matches(word, self._known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(dict.fromkeys(self._known))}"
                raise ConfigError(self.path, line, f"{self._name}{word} is unknown here, {hint}")

    def section(self, key: str, required: bool = False) -> Section | None:
        """A mapping below ``key``."""
        if not self.has(key):
            if required:
                raise self._missing(key)
            return None
        node = self._nodes[key][1]
        if not isinstance(node, yaml.MappingNode):
            raise self.problem(key, "a mapping is expected")
        return Section(self.path, f"{self._name}{key}.", node)

    def sections(self, key: str) -> list[Section]:
        """A list of mappings below ``key``."""
        if not self.has(key):
            return []
        node = self._nodes[key][1]
        if not isinstance(node, yaml.SequenceNode):
            raise self.problem(key, "a list is expected")
        return _sections(self.path, f"{self._name}{key}", node)

    def take_keys(self) -> list[str]:
        """All keys, for mappings whose keys are names; they count as taken."""
        self._known += self._nodes
        return list(self._nodes)

    def text(self, key: str, default: str | None = None) -> str:
        """A scalar as text; ``ConfigError`` when it is missing and there is no default."""
        if not self.has(key):
            if default is None:
                raise self._missing(key)
            return default
        node = self._nodes[key][1]
        if not isinstance(node, yaml.ScalarNode):
            raise self.problem(key, "one value is expected, not a list or mapping")
        return str(node.value)

    def optional(self, key: str) -> str | None:
        """A scalar as text, ``None`` when it is missing or null."""
        return self.text(key) if self.has(key) else None

    def read(self, key: str, kind: Callable[[str], Value], expected: str, default: Value | None = None) -> Value:
        """A scalar through ``kind``; its ``ValueError`` becomes a ``ConfigError`` that says what was expected."""
        if not self.has(key) and default is not None:
            return default
        text = self.text(key)
        try:
            return kind(text)
        except ValueError as problem:
            detail = "" if isinstance(problem, UnicodeError) or "invalid literal" in str(problem) else f" ({problem})"
            raise self.problem(key, f"{text!r} is not {expected}{detail}") from None

    def choice(self, key: str, words: Iterable[str], default: str) -> str:
        """One of ``words``."""
        allowed = list(words)
        text = self.text(key, default)
        if text not in allowed:
            near = get_close_matches(text, allowed, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise self.problem(key, f"{text!r} is not one of {', '.join(allowed)}{hint}")
        return text

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        words = {"true": True, "yes": True, "false": False, "no": False}
        text = self.text(key, str(default).lower()).lower()
        if text not in words:
            raise self.problem(key, f"{text!r} is not true or false")
        return words[text]

    def number(self, key: str, low: int, high: int, default: int) -> int:
        """A whole number from ``low`` to ``high``."""
        found = self.read(key, int, "a whole number", default)
        if not low <= found <= high:
            raise self.problem(key, f"{found} is not between {low} and {high}")
        return found

    def octets(self, key: str, length: int) -> bytes:
        """Hexadecimal digits for exactly ``length`` octets."""
        text = self.text(key)
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) != length:  # the value itself may be a secret: it is not repeated
            raise self.problem(key, f"{2 * length} hexadecimal digits are expected")
        return found

    def file(self, key: str) -> Path | None:
        """A path, relative to the file that names it."""
        text = self.optional(key)
        return None if text is None else self.path.parent / text

    def texts(self, key: str) -> list[str]:
        """A list of scalars; a single scalar counts as a list of one."""
        if not self.has(key):
            return []
        node = self._nodes[key][1]
        if isinstance(node, yaml.ScalarNode):
            return [str(node.value)]
        if not isinstance(node, yaml.SequenceNode) or not all(isinstance(each, yaml.ScalarNode) for each in node.value):
            raise self.problem(key, "a list is expected")
        return [str(each.value) for each in node.value]

    def addresses(self, key: str) -> tuple[IPAddress, ...]:
        """A list of IP addresses."""
        try:
            return tuple(ip_address(text) for text in self.texts(key))
        except ValueError as problem:
            raise self.problem(key, str(problem)) from None

    def ipv6(self, key: str) -> IPv6Address:
        """One IPv6 address."""
        return self.read(key, IPv6Address, "an IPv6 address")

    def ipv4(self, key: str) -> IPv4Address | None:
        """An IPv4 address, or nothing."""
        return self.read(key, IPv4Address, "an IPv4 address") if self.has(key) else None

    def ipv6_network(self, key: str) -> IPv6Network:
        """An IPv6 prefix."""
        return self.read(key, IPv6Network, "an IPv6 prefix such as 2001:db8:100::/48")

    def ipv4_network(self, key: str) -> IPv4Network:
        """An IPv4 prefix."""
        return self.read(key, IPv4Network, "an IPv4 prefix such as 192.0.2.0/24")

    def demand_private(self, what: str) -> None:
        """``ConfigError`` unless nobody but the owner may read the file, which holds ``what``."""
        demand_private(self.path, what)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def demand_private(path: Path, what: str) -> None:
    """``ConfigError`` unless nobody but the owner may read ``path``, which holds ``what``."""
    if path.stat().st_mode & GROUP_AND_OTHERS:
        raise ConfigError(path, None, f"it holds {what} and others may read it: chmod 600 {path}")


def load(path: Path) -> Section:
    """The mapping that a file holds, its ``version`` checked; ``ConfigError`` when there is none."""
    return _mapping(path, _compose(path))


def load_sections(path: Path, key: str) -> list[Section]:
    """The mappings of a list, which is the whole file or stands below ``key``."""
    node = _compose(path)
    if isinstance(node, yaml.SequenceNode):
        return _sections(path, key, node)
    top = _mapping(path, node)
    if not top.has(key):
        raise top._missing(key)
    entries = top.sections(key)
    top.finish()
    return entries


def load_empty(path: Path, name: str) -> Section:
    """A section without keys, for one that may be missing."""
    empty = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark(str(path), 0, 0, 0, "", 0))
    return Section(path, f"{name}.", empty)


def _mapping(path: Path, node: yaml.Node | None) -> Section:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(path, 1, "a mapping of keys and values is expected")
    section = Section(path, "", node)
    version = section.read("version", int, "a whole number", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise section.problem("version", f"{version} is not understood, {FORMAT_VERSION} is")
    return section


def _sections(path: Path, name: str, node: yaml.SequenceNode) -> list[Section]:
    found = []
    for index, each in enumerate(node.value):
        if not isinstance(each, yaml.MappingNode):
            raise ConfigError(path, each.start_mark.line + 1, f"{name}[{index}]: a mapping is expected")
        found.append(Section(path, f"{name}[{index}].", each))
    return found


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise ConfigError(path, None, f"cannot be read: {reason}") from None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else None
        raise ConfigError(path, line, f"is not YAML: {problem.problem or problem.context}") from None
    except ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise ConfigError(
            path, line, f"is not YAML: unacceptable character #x{ord(text[problem.position]):04x}"
        ) from None
