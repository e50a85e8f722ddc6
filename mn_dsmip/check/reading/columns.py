# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fields of tshark the checker asks for, which packets, and with which settings: the same for both readers.

The Mobility Header is not among the fields. Wireshark leaves out two octets of RFC 4285's authenticator, misnames
statuses, lets several options share field names, shows nothing of options it does not know, and never the octets that
checksum and authenticator are computed over. So its dissector is switched off and `mobility.py` reads the octets.
For the same reason DNS and DHCPv6 are read from the datagram: `udp.payload`.
"""

from __future__ import annotations

_COLUMNS = """
    frame.number frame.time_epoch frame.protocols frame.interface_id frame.time_relative _ws.malformed
    ipv6.src ipv6.dst ipv6.nxt ipv6.hlim ip.src ip.dst ip.proto ip.ttl
    ipv6.dstopts.nxt ipv6.routing.nxt ipv6.hopopts.nxt ipv6.fraghdr.nxt
    ipv6.opt.mipv6.home_address ipv6.routing.mipv6.home_address
    udp.srcport udp.dstport udp.payload udp.checksum.status
    tcp.srcport tcp.dstport tcp.flags tcp.seq_raw
    data.data esp.spi esp.sequence esp.icv_bad esp.decrypted_data esp.contained_data esp.protocol
    icmpv6.type icmpv6.code icmpv6.echo.identifier icmpv6.echo.sequence_number
    icmpv6.mip6.identifier icmpv6.mip6.home_agent_address
    icmpv6.opt.prefix icmpv6.opt.prefix.length icmpv6.opt.prefix.flag.a icmpv6.opt.rdnss
    icmpv6.nd.ra.router_lifetime icmpv6.nd.ra.flag.h icmp.type icmp.code icmp.ident icmp.seq
    isakmp.ispi isakmp.rspi isakmp.version isakmp.exchangetype isakmp.flag_i isakmp.flag_r isakmp.messageid
    isakmp.typepayload isakmp.payloadlength isakmp.nextpayload isakmp.enc.decrypted isakmp.ikev2.integrity_checksum
    isakmp.prop.protoid isakmp.prop.transforms isakmp.spisize isakmp.spi isakmp.tf.type isakmp.tf.id.encr
    isakmp.tf.id.prf isakmp.tf.id.integ isakmp.tf.id.dh isakmp.tf.id.esn isakmp.ike2.attr.key_length
    isakmp.key_exchange.dh_group isakmp.id.type isakmp.id.data.fqdn isakmp.id.data.user_fqdn
    isakmp.id.data.ipv4_addr isakmp.id.data.ipv6_addr isakmp.id.data.key_id isakmp.auth.method isakmp.cert.encoding
    isakmp.notify.msgtype isakmp.notify.data.redirect.gw_ident.type
    isakmp.notify.data.redirect.new_resp_gw_ident.ipv4 isakmp.notify.data.redirect.new_resp_gw_ident.ipv6
    isakmp.notify.data.redirect.new_resp_gw_ident.fqdn isakmp.notify.data.redirect.org_resp_gw_ident.ipv4
    isakmp.notify.data.redirect.org_resp_gw_ident.ipv6 isakmp.notify.data.redirect.nonce_data
    isakmp.delete.protoid isakmp.delete.spi isakmp.spinum isakmp.cfg.type isakmp.cfg.attr.type
    isakmp.cfg.attr.length isakmp.cfg.attr.value isakmp.ts.number isakmp.ts.type isakmp.ts.protoid
    isakmp.ts.start_port isakmp.ts.end_port isakmp.ts.start_ipv6 isakmp.ts.end_ipv6 isakmp.ts.start_ipv4
    isakmp.ts.end_ipv4 eap.code eap.id eap.type eap.identity eap.aka.subtype eap.aka.subtype.type
    eap.aka.notification_type
"""
COLUMNS = tuple(_COLUMNS.split())
# Wireshark's text for these differs from version to version: they are "1" when there, nothing else.
PRESENT = frozenset({"_ws.malformed", "isakmp.ikev2.integrity_checksum", "isakmp.enc.decrypted"})
_OCTETS = """
    udp.payload data.data esp.decrypted_data esp.contained_data isakmp.ispi isakmp.rspi isakmp.spi
    isakmp.delete.spi isakmp.cfg.attr.value isakmp.id.data.key_id isakmp.notify.data.redirect.nonce_data
"""
OCTETS = frozenset(_OCTETS.split())  # shown as hexadecimal digits
_TEXTS = """
    isakmp.id.data.fqdn isakmp.id.data.user_fqdn isakmp.notify.data.redirect.new_resp_gw_ident.fqdn eap.identity
"""
TEXTS = frozenset(_TEXTS.split())  # whatever a peer put there, with escape sequences for control characters

# ESP of which the content is not to be seen, or a Mobility Header, or signalling by the headers around it
_ESP = (
    "esp && (!esp.decrypted_data || esp.icv_bad == 1 || esp.protocol == 135 "
    "|| ipv6.opt.mipv6.home_address || ipv6.routing.mipv6.home_address)"
)
_SIGNALLING = (
    "isakmp",
    "dns",
    "dhcpv6",
    "ipv6.nxt == 135",
    "ipv6.dstopts.nxt == 135",
    "ipv6.routing.nxt == 135",
    "ipv6.hopopts.nxt == 135",
    "ipv6.fraghdr.nxt == 135",
    f"({_ESP})",
    "icmpv6.type in {1..4, 128, 129, 134, 144..147}",
    "icmp.type in {0, 3, 8, 11, 12}",
    "tcp.flags.syn == 1",
    "tcp.flags.fin == 1",
    "tcp.flags.reset == 1",
    "(udp.port in {4191, 4500} && udp.length < 28)",  # too short for an IP header: a keepalive
)
# Everything that flows and rules look at. Of user data only pings and the begin and end of TCP connections, plain or
# in the tunnel; the bulk of it stays inside tshark.
FILTER = " || ".join(_SIGNALLING)
PREFERENCES = {
    # Without this one, extension headers are not among frame.protocols.
    "ipv6.exthdr_under_root_protocol_tree": "TRUE",
    "esp.enable_encryption_decode": "TRUE",
    "esp.enable_authentication_check": "TRUE",
    "udp.check_checksum": "TRUE",
}
# RFC 5555: Wireshark knows the port by name only. Its dissector for IPv4 hands over to IPv6 by the version.
DECODE_AS = {"udp.port==4191": "ip"}
DISABLED = ("mipv6",)
