# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark's two key tables: which security associations a folder has keys for, and copies of it for tshark.

Only the tables are taken along, not the folder's preferences: the checker sets its own, and what it sees must not
depend on somebody's personal configuration.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, field
from pathlib import Path

IKE_TABLE, ESP_TABLE, DECODE_AS = "ikev2_decryption_table", "esp_sa", "decode_as_entries"


class KeysError(Exception):
    """The folder given with the keys cannot be used; the message names file and line."""


@dataclass(frozen=True)
class Keys:
    """The SPI pairs (hex) and ESP SPIs that there are keys for; `folder` is None when no keys were given."""

    folder: Path | None = None
    ike: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    esp: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def load(cls, folder: Path) -> Keys:
        """Read the tables of a folder; KeysError when it has neither or a line is not one of a table."""
        if not folder.is_dir():
            raise KeysError(f"{folder}: there is no such folder of keys")
        if not has_tables(folder):
            raise KeysError(f"{folder}: holds neither {IKE_TABLE} nor {ESP_TABLE} (Wireshark's key tables)")
        ike = frozenset((row[0].lower(), row[1].lower()) for row in _rows(folder / IKE_TABLE, 8))
        return cls(folder, ike, frozenset(int(row[3], 16) for row in _rows(folder / ESP_TABLE, 8, hexadecimal=3)))

    def copy_to(self, folder: Path) -> None:
        """Put the tables where tshark will look for them."""
        for name in (IKE_TABLE, ESP_TABLE, DECODE_AS):
            if self.folder and (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)


def has_tables(folder: Path) -> bool:
    """Whether a folder holds any of Wireshark's key tables."""
    return any((folder / name).is_file() for name in (IKE_TABLE, ESP_TABLE))


def _rows(file: Path, columns: int, hexadecimal: int = 0) -> list[list[str]]:
    """The lines of one table, each with at least `columns` columns and a hexadecimal SPI where it belongs."""
    if not file.is_file():
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{file}: cannot be read: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = next(csv.reader([line]))
        if len(row) < columns:
            raise KeysError(f"{file}:{number}: expected {columns} columns, found {len(row)}")
        try:
            int(row[hexadecimal], 16)
        except ValueError:
            raise KeysError(f"{file}:{number}: expected a hexadecimal SPI, found {row[hexadecimal]!r}") from None
        rows.append(row)
    return rows
