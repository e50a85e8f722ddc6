# SPDX-License-Identifier: GPL-2.0-or-later
"""Session keys in Wireshark's own tables, written only when the configuration asks for it.

The folder serves as ``WIRESHARK_CONFIG_DIR``. Names must be Wireshark's to the letter, or it refuses the whole table;
ESP SAs match any address, because SPIs are random and Wireshark compares home addresses, not care-of addresses.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..crypto.kdf import ChildKeys
from ..crypto.suites import Protection
from ..engine.base import Event
from ..engine.ike.events import EspKeysDerived, IkeKeysDerived

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_GCM, _CBC, _NULL = 20, 12, 11
_IKE_INTEGRITY = {
    2: "HMAC_SHA1_96 [RFC2404]",
    12: "HMAC_SHA2_256_128 [RFC4868]",
    13: "HMAC_SHA2_384_192 [RFC4868]",
    14: "HMAC_SHA2_512_256 [RFC4868]",
}
_ESP_INTEGRITY = {
    2: "HMAC-SHA-1-96 [RFC2404]",
    12: "HMAC-SHA-256-128 [RFC4868]",
    13: "HMAC-SHA-384-192 [RFC4868]",
    14: "HMAC-SHA-512-256 [RFC4868]",
}
_FIXED_FILES = {
    "preferences": "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n",
    "decode_as_entries": "decode_as_entry: udp.port,4191,(none),IPv4\n",  # its dissector takes both versions
}


class KeyLog:
    """Appends keys as they are derived; several agents may share a folder, because each line is one write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._folder = folder
        for name, content in _FIXED_FILES.items():
            if not (folder / name).exists():
                self._append(name, content)
        for name in ("ikev2_decryption_table", "esp_sa"):
            self._append(name, "")

    def take(self, event: Event) -> None:
        """Write the keys that ``event`` carries, if it does."""
        if isinstance(event, IkeKeysDerived):
            self._append("ikev2_decryption_table", ike_line(event))
        elif isinstance(event, EspKeysDerived):
            child = event.child
            lines = esp_line(child.inbound_spi, child.protection, child.inbound_keys)
            self._append("esp_sa", lines + esp_line(child.outbound_spi, child.protection, child.outbound_keys))

    def _append(self, name: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._folder / name, flags, _PRIVATE_FILE)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def ike_line(event: IkeKeysDerived) -> str:
    """A record of ``ikev2_decryption_table``."""
    keys, protection = event.keys, event.chosen.protection
    bits = protection.encryption.key_bits
    if protection.encryption.transform == _GCM:
        name = f"AES-GCM-{bits} with 16 octet ICV [RFC5282]"
    else:
        name = f"AES-CBC-{bits} [RFC3602]"
    integrity = _IKE_INTEGRITY[protection.integrity.transform] if protection.integrity else "NONE [RFC4306]"
    fields = (
        event.initiator_spi.hex(), event.responder_spi.hex(), keys.ei.hex(), keys.er.hex(), f'"{name}"',
        keys.ai.hex(), keys.ar.hex(), f'"{integrity}"',
    )  # fmt: skip
    return ",".join(fields) + "\n"


def esp_line(spi: bytes, protection: Protection, keys: ChildKeys) -> str:
    """A record of ``esp_sa``."""
    names = {_GCM: "AES-GCM with 16 octet ICV [RFC4106]", _CBC: "AES-CBC [RFC3602]", _NULL: "NULL"}
    encryption = names[protection.encryption.transform]
    integrity = _ESP_INTEGRITY[protection.integrity.transform] if protection.integrity else "NULL"
    key = f"0x{keys.encryption.hex()}" if keys.encryption else ""
    integrity_key = f"0x{keys.integrity.hex()}" if keys.integrity else ""
    fields = ("IPv6", "*", "*", f"0x{spi.hex()}", encryption, key, integrity, integrity_key)
    return ",".join(f'"{each}"' for each in fields) + "\n"
