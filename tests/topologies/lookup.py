# SPDX-License-Identifier: GPL-2.0-or-later
"""`lookup.py SERVER NAME TYPE`: ask as a UE does, without recursion, and print the answer in one line."""

from __future__ import annotations

import sys

import dns.flags
import dns.message
import dns.query
import dns.rcode

server, name, kind = sys.argv[1:]
query = dns.message.make_query(name, kind, flags=0)
reply = dns.query.udp(query, server, timeout=5)
authoritative = "authoritative" if reply.flags & dns.flags.AA else "not authoritative"
records = [str(record) for rrset in reply.answer for record in rrset]
print("LOOKUP", kind, dns.rcode.to_text(reply.rcode()), authoritative, *records)
