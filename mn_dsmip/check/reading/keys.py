# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark's two key tables: which security associations a folder has keys for, and copies of it for tshark.

Only the tables are taken along, not the folder's preferences: the checker sets its own, and what it sees must not
depend on somebody's personal configuration.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mn_dsmip.check.context import MobilityKey

IKE_TABLE, ESP_TABLE, DECODE_AS = "ikev2_decryption_table", "esp_sa", "decode_as_entries"
MOBILITY_TABLE = "dsmip_auth_keys"  # not Wireshark's own: keys of RFC 4285, which the dissector reads as well


class KeysError(Exception):
    """The folder given with the keys cannot be used; the message names file and line."""


@dataclass(frozen=True)
class Keys:
    """The SPI pairs (hex) and ESP SPIs that there are keys for; `folder` is None when no keys were given.

    `mobility` holds the keys of RFC 4285, one a line: SPI, key in hexadecimal, and perhaps whose it is.
    """

    folder: Path | None = None
    ike: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    esp: frozenset[int] = field(default_factory=frozenset)
    mobility: tuple[MobilityKey, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Keys:
        """Read the tables of a folder; KeysError when it has neither or a line is not one of a table."""
        if not folder.is_dir():
            raise KeysError(f"{folder}: there is no such folder of keys")
        if not has_tables(folder):
            raise KeysError(
                f"{folder}: holds none of {IKE_TABLE}, {ESP_TABLE} (Wireshark's key tables), {MOBILITY_TABLE}"
            )
        ike = frozenset((row[0].lower(), row[1].lower()) for row in _rows(folder / IKE_TABLE, 8))
        esp = frozenset(int(row[3], 16) for row in _rows(folder / ESP_TABLE, 8, hexadecimal=3))
        return cls(folder, ike, esp, tuple(_mobility_keys(folder / MOBILITY_TABLE)))

    def copy_to(self, folder: Path) -> None:
        """Put the tables where tshark will look for them."""
        for name in (IKE_TABLE, ESP_TABLE, DECODE_AS):
            if self.folder and (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)


def has_tables(folder: Path) -> bool:
    """Whether a folder holds any of Wireshark's key tables."""
    return any((folder / name).is_file() for name in (IKE_TABLE, ESP_TABLE, MOBILITY_TABLE))


def _rows(file: Path, columns: int, hexadecimal: int = 0) -> list[list[str]]:
    """The lines of one table, each with at least `columns` columns and a hexadecimal SPI where it belongs."""
    rows = []
    for number, line in _lines(file):
        row = next(csv.reader([line]))
        if len(row) < columns:
            raise KeysError(f"{file}:{number}: expected {columns} columns, found {len(row)}")
        try:
            int(row[hexadecimal], 16)
        except ValueError:
            raise KeysError(f"{file}:{number}: expected a hexadecimal SPI, found {row[hexadecimal]!r}") from None
        rows.append(row)
    return rows


def _mobility_keys(file: Path) -> Iterator[MobilityKey]:
    for number, line in _lines(file):
        words = line.split("#")[0].split()
        try:
            spi, key = int(words[0], 0), bytes.fromhex(words[1].removeprefix("0x"))
        except (IndexError, ValueError):
            raise KeysError(f"{file}:{number}: expected `SPI KEY [IDENTITY]`, the key in hexadecimal") from None
        yield MobilityKey(spi, key, words[2] if len(words) > 2 else "")


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that say something, with their numbers."""
    if not file.is_file():
        return
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{file}: cannot be read: {error}") from error
    yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#"))
