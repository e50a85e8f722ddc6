-- SPDX-License-Identifier: GPL-2.0-or-later
-- DS-MIPv6 over UDP (RFC 5555 4.1, 4.2): an IPv6 or IPv4 packet follows the UDP header at once, its first four
-- bits tell which. Keepalives and whatever else comes to the port are left to Wireshark.

local octets = require("dsmip.octets")
local safe_call = require("dsmip.safe_call")

local udp4191 = {}

local NAME = "dsmip_udp"
local PORT = 4191 -- IANA "dsmipv6"
local IPV6_HEADER, IPV4_HEADER = 40, 20

-- The name of Wireshark's dissector for the packet that `start` (up to 40 octets) begins, nil when it is no IP packet:
-- version, header length and the length of the packet must fit into the `length` octets of the datagram.
function udp4191.inner(start, length)
  local first = octets.u8(start, 0)
  local version, low = math.floor((first or 0) / 16), (first or 0) % 16
  if version == 6 and #start >= IPV6_HEADER and IPV6_HEADER + octets.u16(start, 4) <= length then return "ipv6" end
  if version ~= 4 or #start < IPV4_HEADER or 4 * low < IPV4_HEADER then return nil end
  local total = octets.u16(start, 2)
  return total >= 4 * low and total <= length and "ip" or nil
end

local function dissector_of(proto, inner)
  local own -- TreeItem.referenced knows dissectors and fields, not protocols
  return function(tvb, pinfo, tree)
    local start = tvb:raw(0, math.min(tvb:captured_len(), IPV6_HEADER))
    local name = udp4191.inner(start, tvb:reported_len() + safe_call.missing)
    if not name then return 0 end
    own = own or Dissector.get(NAME)
    if tree:referenced(own) then tree:add(proto, tvb:range(0, 0)):set_generated() end
    return safe_call.call(inner[name], tvb, pinfo, tree)
  end
end

-- Registers the protocol on its port; called once, by the entry file.
function udp4191.attach()
  local proto = Proto(NAME, "DS-MIPv6 UDP encapsulation (RFC 5555)")
  local ports = DissectorTable.get("udp.port")
  local registered = PORT
  proto.prefs.port = Pref.uint("UDP port", PORT, "Port whose datagrams carry IPv6 or IPv4 packets; 0: none")
  proto.dissector = dissector_of(proto, { ipv6 = Dissector.get("ipv6"), ip = Dissector.get("ip") })
  function proto.prefs_changed()
    if proto.prefs.port == registered then return end
    if registered > 0 then ports:remove(registered, proto) end
    registered = proto.prefs.port <= 65535 and proto.prefs.port or 0
    if registered > 0 then ports:add(registered, proto) end
  end
  ports:add(PORT, proto)
end

return udp4191
