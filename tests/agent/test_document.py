# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading YAML key by key: every error names file, line, key and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from mn_dsmip.agent.document import Section, load
from mn_dsmip.agent.errors import ConfigError


@pytest.fixture
def document(tmp_path: Path) -> Callable[[str], Section]:
    def write(text: str) -> Section:
        path = tmp_path / "file.yaml"
        path.write_text(text)
        return load(path)

    return write


def message(tmp_path: Path, refused: pytest.ExceptionInfo[ConfigError]) -> str:
    """The error's text, the folder left out."""
    return str(refused.value).replace(f"{tmp_path}/", "")


WHOLE_FILES = [
    ("", "file.yaml:1: a mapping of keys and values is expected"),
    ("- a\n", "file.yaml:1: a mapping of keys and values is expected"),
    ("version: 2\n", "file.yaml:1: version: 2 is not understood, 1 is"),
    ("a: 1\nversion: one\n", "file.yaml:2: version: 'one' is not a whole number"),
    ("a: 1\nb: [1, 2\nc: 3\n", "file.yaml:3: is not YAML: expected ',' or ']', but got ':'"),
    ("a: 1\n\tb: 2\n", "file.yaml:2: is not YAML: found character '\\t' that cannot start any token"),
    ("a: 1\nb: \x00\n", "file.yaml:2: is not YAML: unacceptable character #x0000"),
    ("a: 1\nb: 2\na: 3\n", "file.yaml:3: a stands here a second time"),
]


@pytest.mark.parametrize(("text", "expected"), WHOLE_FILES)
def test_files_that_are_no_documents(
    tmp_path: Path, document: Callable[[str], Section], text: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        document(text)
    assert message(tmp_path, refused) == expected


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        load(tmp_path / "none.yaml")
    assert message(tmp_path, missing) == "none.yaml: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as folder:
        load(tmp_path)
    assert message(tmp_path, folder).endswith(": cannot be read: Is a directory")
    (tmp_path / "latin.yaml").write_bytes("name: Jürgen\n".encode("latin-1"))
    with pytest.raises(ConfigError) as latin:
        load(tmp_path / "latin.yaml")
    assert message(tmp_path, latin) == "latin.yaml: cannot be read: it is not UTF-8 text"


Read = Callable[[Section], object]
VALUES: list[tuple[str, Read, str]] = [
    ("b: 1\n", lambda top: top.text("name"), "file.yaml:1: name: missing"),
    ("nme: x\n", lambda top: top.text("name"), "file.yaml:1: name: missing; is nme (line 1) meant?"),
    ("name: [x]\n", lambda top: top.text("name"), "file.yaml:1: name: one value is expected, not a list or mapping"),
    ("\nn: many\n", lambda top: top.number("n", 1, 9, 5), "file.yaml:2: n: 'many' is not a whole number"),
    ("n: 10\n", lambda top: top.number("n", 1, 9, 5), "file.yaml:1: n: 10 is not between 1 and 9"),
    ("f: maybe\n", lambda top: top.flag("f", True), "file.yaml:1: f: 'maybe' is not true or false"),
    (
        "c: legcay\n",
        lambda top: top.choice("c", ("modern", "legacy"), "modern"),
        "file.yaml:1: c: 'legcay' is not one of modern, legacy, did you mean legacy?",
    ),
    (
        "c: xyz\n",
        lambda top: top.choice("c", ("modern", "legacy"), "modern"),
        "file.yaml:1: c: 'xyz' is not one of modern, legacy",
    ),
    ("k: 0011\n", lambda top: top.octets("k", 16), "file.yaml:1: k: 32 hexadecimal digits are expected"),
    ("k: secret\n", lambda top: top.octets("k", 16), "file.yaml:1: k: 32 hexadecimal digits are expected"),
    ("s: text\n", lambda top: top.section("s"), "file.yaml:1: s: a mapping is expected"),
    ("a: 1\n", lambda top: top.section("s", required=True), "file.yaml:1: s: missing"),
    ("s: text\n", lambda top: top.sections("s"), "file.yaml:1: s: a list is expected"),
    ("s:\n  - a: 1\n  - text\n", lambda top: top.sections("s"), "file.yaml:3: s[1]: a mapping is expected"),
    ("l: {a: b}\n", lambda top: top.texts("l"), "file.yaml:1: l: a list is expected"),
    ("l: [[a]]\n", lambda top: top.texts("l"), "file.yaml:1: l: a list is expected"),
    (
        "l: [2001:db8::1, here]\n",
        lambda top: top.addresses("l"),
        "file.yaml:1: l: 'here' does not appear to be an IPv4 or IPv6 address",
    ),
    (
        "a: 192.0.2.1\n",
        lambda top: top.ipv6("a"),
        "file.yaml:1: a: '192.0.2.1' is not an IPv6 address (At least 3 parts expected in '192.0.2.1')",
    ),
    (
        "a: ::1\n",
        lambda top: top.ipv4("a"),
        "file.yaml:1: a: '::1' is not an IPv4 address (Expected 4 octets in '::1')",
    ),
    (
        "p: 2001:db8::1/64\n",
        lambda top: top.ipv6_network("p"),
        (
            "file.yaml:1: p: '2001:db8::1/64' is not an IPv6 prefix such as 2001:db8:100::/48 "
            "(2001:db8::1/64 has host bits set)"
        ),
    ),
    (
        "p: 10.0.0.1/8\n",
        lambda top: top.ipv4_network("p"),
        "file.yaml:1: p: '10.0.0.1/8' is not an IPv4 prefix such as 192.0.2.0/24 (10.0.0.1/8 has host bits set)",
    ),
]


@pytest.mark.parametrize(("text", "read", "expected"), VALUES)
def test_values_that_do_not_fit(
    tmp_path: Path, document: Callable[[str], Section], text: str, read: Read, expected: str
) -> None:
    top = document(text)
    with pytest.raises(ConfigError) as refused:
        read(top)
    assert message(tmp_path, refused) == expected


def test_values_that_fit(document: Callable[[str], Section], tmp_path: Path) -> None:
    top = document(
        'imsi: 001010000000001\nquoted: "01"\nnothing: null\nempty:\nflag: No\nnumber: 7\nkey: 00ff\n'
        "one: a\nmany: [a, b]\naddresses: [2001:db8::1, 192.0.2.1]\nnetwork: 2001:db8::/48\nfile: state/x\n"
        "section: {inner: 1}\nlist: [{a: 1}, {a: 2}]\n"
    )
    assert top.text("imsi") == "001010000000001"  # leading zeros stay, quoted or not
    assert top.text("quoted") == "01"
    assert top.optional("nothing") is None
    assert top.text("empty", "default") == "default"
    assert top.flag("flag", True) is False
    assert top.number("number", 1, 9, 5) == 7
    assert top.number("other number", 1, 9, 5) == 5
    assert top.octets("key", 2) == b"\x00\xff"
    assert top.texts("one") == ["a"]
    assert top.texts("many") == ["a", "b"]
    assert top.addresses("addresses") == (ip_address("2001:db8::1"), ip_address("192.0.2.1"))
    assert top.ipv6_network("network") == ip_network("2001:db8::/48")
    assert top.file("file") == tmp_path / "state/x"
    inner = top.section("section")
    assert inner is not None and inner.number("inner", 0, 9, 0) == 1
    assert [each.text("a") for each in top.sections("list")] == ["1", "2"]
    top.finish()


def test_json_is_yaml(document: Callable[[str], Section]) -> None:
    top = document('{"version": 1, "name": "ue1", "ipv4": true, "keylog": null}')
    assert (top.text("name"), top.flag("ipv4", False), top.optional("keylog")) == ("ue1", True, None)
    top.finish()


def test_keys_that_mean_nothing(tmp_path: Path, document: Callable[[str], Section]) -> None:
    top = document("name: x\njurnal: y\n")
    top.text("name")
    top.optional("journal")
    with pytest.raises(ConfigError) as typo:
        top.finish()
    assert message(tmp_path, typo) == "file.yaml:2: jurnal is unknown here, did you mean journal?"
    top = document("name: x\nzzz: {}\n")
    top.text("name")
    with pytest.raises(ConfigError) as unknown:
        top.finish()
    assert message(tmp_path, unknown) == "file.yaml:2: zzz is unknown here, known are version, name"


def test_an_error_below_a_section_names_its_whole_key(tmp_path: Path, document: Callable[[str], Section]) -> None:
    top = document("a:\n  b:\n    c: x\n    d: 1\n")
    middle = top.section("a")
    assert middle is not None
    inner = middle.section("b")
    assert inner is not None
    with pytest.raises(ConfigError) as wrong:
        inner.number("c", 0, 1, 0)
    assert message(tmp_path, wrong) == "file.yaml:3: a.b.c: 'x' is not a whole number"
    with pytest.raises(ConfigError) as unknown:
        inner.finish()
    assert message(tmp_path, unknown) == "file.yaml:4: a.b.d is unknown here, known are c"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_file_with_secrets_must_be_private(tmp_path: Path, document: Callable[[str], Section], mode: int) -> None:
    top = document("k: 00\n")
    top.path.chmod(0o600)
    top.demand_private("a subscriber's keys")
    top.path.chmod(mode)
    with pytest.raises(ConfigError) as open_to_others:
        top.demand_private("a subscriber's keys")
    assert message(tmp_path, open_to_others) == (
        "file.yaml: it holds a subscriber's keys and others may read it: chmod 600 file.yaml"
    )
