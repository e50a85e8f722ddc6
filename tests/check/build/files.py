# SPDX-License-Identifier: GPL-2.0-or-later
"""A built case on disk: the capture and the key folder in the form that our agents write."""

from __future__ import annotations

from pathlib import Path

from tests.check.build.scene import Scene
from tests.check.forge import write_capture, write_keys

SPDX = "# SPDX-License-Identifier: GPL-2.0-or-later\n"
PREFERENCES = "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n"
DECODE_AS = "decode_as_entry: udp.port,4191,(none),IPv4\n"


def write_case(folder: Path, scene: Scene) -> Path:
    """Write `trace.pcapng` and `wireshark/`; the folder's name when done."""
    folder.mkdir(parents=True, exist_ok=True)
    write_capture(folder / "trace.pcapng", scene.frames)
    keys = folder / "wireshark"
    if scene.kept:
        write_keys(keys, *scene.kept)
    keys.mkdir(exist_ok=True)
    for table in ("ikev2_decryption_table", "esp_sa"):
        text = (keys / table).read_text() if scene.kept else ""
        (keys / table).write_text(SPDX + text)
    (keys / "preferences").write_text(SPDX + PREFERENCES)
    (keys / "decode_as_entries").write_text(SPDX + DECODE_AS)
    if scene.shared_key:
        (keys / "dsmip_auth_keys").write_text(f"{SPDX}# RFC 4285: mobility SPI, key\n256 {scene.shared_key.hex()}\n")
    return folder
