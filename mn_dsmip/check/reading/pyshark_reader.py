# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a capture with pyshark: the only file of the checker that talks to tshark.

pyshark's XML mode is used although its EK mode is faster: only XML says where each field's octets lie. Without that,
the attributes of a configuration payload, the transforms of two proposals or the selectors of TSi and TSr cannot be
told apart (an attribute without a value shifts all later ones), and the Mobility Header's octets, needed to verify
its checksum, are not to be had for a message in the clear.

What tshark sees does not depend on the user: configuration, home and plugins are those of an empty temporary folder
that holds nothing but copies of the key tables.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyshark
from pyshark.capture.capture import TSharkCrashException

from mn_dsmip.check.model import Field, Layer, Packet
from mn_dsmip.check.reading.keys import Keys

PREFERENCES = {
    # Without this one, Mobility Header and extension headers are hidden inside the layer "ipv6".
    "ipv6.exthdr_under_root_protocol_tree": "TRUE",
    "esp.enable_encryption_decode": "TRUE",
    "esp.enable_authentication_check": "TRUE",
    "udp.check_checksum": "TRUE",
}
DECODE_AS = {"udp.port==4191": "ipv6"}  # RFC 5555: Wireshark knows the port by name only
LAST_WORDS = 20.0  # seconds that tshark may take to end after its last packet

# The fields that `dissect.py` reads; everything of the Mobility Header is kept, for its checksum.
_WANTED = """
    ipv6.src ipv6.dst ipv6.nxt ipv6.dstopts.nxt ipv6.routing.nxt ip.src ip.dst ip.proto
    ipv6.opt.mipv6.home_address ipv6.routing.type ipv6.routing.mipv6.home_address udp.srcport udp.dstport
    udp.payload udp.checksum.status esp.spi esp.sequence esp.icv_good esp.icv_bad esp.decrypted_data
    esp.contained_data esp.protocol isakmp.ispi isakmp.rspi isakmp.nextpayload isakmp.exchangetype isakmp.flag_i
    isakmp.flag_r isakmp.messageid isakmp.typepayload isakmp.enc.decrypted isakmp.ikev2.integrity_checksum
    isakmp.version isakmp.id.type isakmp.id.data isakmp.id.data.fqdn isakmp.id.data.user_fqdn
    isakmp.id.data.ipv6_addr isakmp.id.data.ipv4_addr isakmp.auth.method isakmp.cert.encoding
    isakmp.key_exchange.dh_group isakmp.notify.msgtype isakmp.notify.data isakmp.cfg.type isakmp.cfg.attr.type
    isakmp.cfg.attr.value isakmp.cfg.attr.length isakmp.cfg.attr.internal_ip6_dns
    isakmp.cfg.attr.internal_ip4_dns isakmp.ts.protoid isakmp.ts.start_port isakmp.ts.end_port
    isakmp.ts.start_ipv6 isakmp.ts.end_ipv6 isakmp.ts.start_ipv4 isakmp.ts.end_ipv4 isakmp.prop.protoid
    isakmp.spi isakmp.delete.protoid isakmp.delete.spi isakmp.tf.id.encr isakmp.tf.id.prf isakmp.tf.id.integ
    isakmp.tf.id.dh isakmp.ike2.attr.key_length eap.code eap.id eap.type eap.aka.subtype eap.identity dns.id
    dns.flags.response dns.flags.rcode dns.qry.name dns.qry.type dns.aaaa dns.a dns.cname dns.srv.target
    icmpv6.type icmpv6.code icmpv6.opt.prefix icmpv6.opt.prefix.length icmpv6.opt.prefix.flag.a icmpv6.opt.rdnss
    icmpv6.nd.ra.router_lifetime icmpv6.echo.identifier icmpv6.echo.sequence_number icmp.type icmp.code
    icmp.ident icmp.seq
"""
WANTED = frozenset(_WANTED.split())


class TraceError(Exception):
    """The capture cannot be used: missing, damaged, of an unknown type, or there is no tshark to read it."""


def read(capture: Path, keys: Keys) -> Iterator[Packet]:
    """The packets of a capture, decrypted as far as the keys go; TraceError when it cannot be read to its end."""
    if not capture.is_file():
        raise TraceError(f"{capture}: there is no such file")
    if capture.stat().st_size == 0:
        raise TraceError(f"{capture}: the file is empty")
    if not shutil.which("tshark"):
        raise TraceError("tshark is missing: install it (Debian, Ubuntu: apt install tshark)")
    with tempfile.TemporaryDirectory(prefix="mn-dsmip-check-") as folder:
        keys.copy_to(Path(folder))
        yield from _read(capture, folder)


class _Capture(pyshark.FileCapture):  # type: ignore[misc]  # pyshark carries no types
    """pyshark's reader, except that it waits for tshark's end instead of killing it.

    Otherwise tshark's exit status, and with it the news that the file is cut short, is lost to a race; and what pyshark
    raises about it would come out of its destructor.
    """

    exit_status: int | None = None

    async def _cleanup_subprocess(self, process: Any) -> None:  # Any: asyncio's process, pyshark's signature
        if process.returncode is None and not self._eof_reached:
            process.kill()
        try:
            self.exit_status = await asyncio.wait_for(process.wait(), LAST_WORDS)
        except asyncio.TimeoutError:
            process.kill()
            self.exit_status = await process.wait()

    @property
    def complaint(self) -> str:
        """tshark's last line on its standard error."""
        return str(self._last_error_line or "no reason given").removeprefix("tshark: ")


def _read(capture: Path, folder: str) -> Iterator[Packet]:
    loop = asyncio.new_event_loop()  # pyshark's own choice of a loop uses calls that newer Pythons have dropped
    reader = _Capture(str(capture), keep_packets=False, override_prefs=PREFERENCES, decode_as=DECODE_AS, eventloop=loop)
    packets = iter(reader)
    try:
        with _isolated(folder):
            packet = next(packets, None)
        while packet is not None:
            yield _convert(packet)
            packet = next(packets, None)
        ended = True
    except (OSError, TSharkCrashException) as error:
        raise TraceError(f"{capture}: tshark cannot read it: {error}") from error
    except GeneratorExit:
        ended = False
        raise
    finally:
        packets.close()
        reader.close()
        reader._running_processes.clear()  # nothing left for the destructor to do
        loop.close()
    if ended and reader.exit_status:
        reason = reader.complaint.replace(f'The file "{capture}" ', "")
        raise TraceError(f"{capture}: tshark: {reason}")


@contextmanager
def _isolated(folder: str) -> Iterator[None]:
    """Let tshark, which starts in here, find nothing of the user's; personal plugins load even with the first alone."""
    names = ("WIRESHARK_CONFIG_DIR", "HOME", "XDG_CONFIG_HOME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _convert(packet: Any) -> Packet:  # Any: pyshark carries no types
    return Packet(int(packet.number), float(packet.sniff_timestamp), tuple(_layer(layer) for layer in packet.layers))


def _layer(layer: Any) -> Layer:  # Any: as above
    fields = []
    for name, container in layer._all_fields.items():
        if name in WANTED or name.startswith("mip6.") or (not name and layer.layer_name == "mipv6"):
            fields += [_field(name, found) for found in container.all_fields]
    return Layer(layer.layer_name, tuple(sorted(fields, key=lambda item: (item.position, -item.size))))


def _field(name: str, found: Any) -> Field:  # Any: as above
    value = found.unmaskedvalue or found.raw_value or ""
    return Field(name, found.show or "", value, int(found.pos or 0), int(found.size or 0))
