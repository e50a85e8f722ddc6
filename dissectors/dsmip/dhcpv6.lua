-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads the Mobile IPv6 options of DHCPv6 (RFC 6610) out of a whole DHCPv6 message (RFC 8415 8 and 9): Wireshark
-- shows their names alone.

local octets = require("dsmip.octets")
local u8, u16, take = octets.u8, octets.u16, octets.take

local dhcpv6 = {}

local RELAY_FORWARD, RELAY_REPLY, RELAY_MESSAGE = 12, 13, 9
local MAX_DEPTH = 8 -- relays and containers inside each other; RFC 8415 7.6 allows 8 relay hops (HOP_COUNT_LIMIT)

local function name_value(o, data)
  local text, behind = octets.domain_name(data, 0)
  if not text then
    o.problem = behind
  elseif behind ~= #data then
    o.problem = "octets behind the name"
  end
  o.name_value = text
end

local function prefix_value(o, data)
  if #data ~= 17 then
    o.problem = "not 17 octets"
    return
  end
  o.prefix_length, o.prefix = u8(data, 0), take(data, 1, 16)
  if o.prefix_length > 128 then o.problem = "a prefix length above 128" end
end

-- The well-known prefix 64:ff9b::/96 of RFC 6052 2.1, in which an IPv4 home agent address stands (RFC 6610 3.4).
local TRANSLATED = "\0\100\255\155" .. ("\0"):rep(8)

local function address_value(o, data)
  if #data ~= 16 then
    o.problem = "not 16 octets"
    return
  end
  o.address = data
  if data:sub(1, 12) == TRANSLATED then o.address4 = data:sub(13) end
end

-- Name, reader of the data, and whether options stand inside (RFC 6610 3; RFC 6422 3 for 66).
local OPTIONS = {
  [49] = { "MIP6_HNIDF (home network identifier)", name_value },
  [50] = { "MIP6_VDINF (visited home network)", nil, true },
  [66] = { "RSOO (relay-supplied options)", nil, true },
  [69] = { "MIP6_IDINF (identified home network)", nil, true },
  [70] = { "MIP6_UDINF (unrestricted home network)", nil, true },
  [71] = { "MIP6_HNP (home network prefix)", prefix_value },
  [72] = { "MIP6_HAA (home agent address)", address_value },
  [73] = { "MIP6_HAF (home agent name)", name_value },
}
dhcpv6.CONTAINERS = { [50] = true, [69] = true, [70] = true }
dhcpv6.names = {}
for code, option in pairs(OPTIONS) do dhcpv6.names[code] = option[1] end

local read_options

local function read_one(found, message, option, depth)
  local known = OPTIONS[option.code]
  option.name, option.children = known[1], known[3] and {} or nil
  found[#found + 1] = option
  if known[2] then known[2](option, take(message, option.data_at, option.length)) end
  if not known[3] then return end
  if depth >= MAX_DEPTH then
    option.problem = "options nested too deeply"
  else
    option.problem = read_options(option.children, message, option.data_at, option.data_at + option.length, depth + 1)
  end
end

-- Reads the options between two offsets; returns what stopped it, nil when all was read.
function read_options(found, message, at, last, depth)
  while at < last do
    local code, length = u16(message, at), u16(message, at + 2)
    if not length or at + 4 > last or at + 4 + length > last then return "an option runs past the end" end
    local option = { code = code, at = at, length = length, data_at = at + 4 }
    if OPTIONS[code] then
      read_one(found, message, option, depth)
    elseif code == RELAY_MESSAGE and depth < MAX_DEPTH then
      dhcpv6.read_into(found, message, at + 4, at + 4 + length, depth + 1)
    end
    at = at + 4 + length
  end
  return nil
end

function dhcpv6.read_into(found, message, at, last, depth)
  local kind = u8(message, at)
  if not kind or at >= last then return nil, nil end
  local relay = kind == RELAY_FORWARD or kind == RELAY_REPLY
  local stopped = read_options(found, message, at + (relay and 34 or 4), last, depth)
  return kind, stopped
end

-- The Mobile IPv6 options of one DHCPv6 message, also those behind relay headers: a list, the message type, and what
-- stopped the reading at the outermost level (nil when all of it was read). An option has code, name, at, length,
-- data_at, problem, and
-- name_value, prefix and prefix_length, address (address4 when an IPv4 address stands in it), or children (a list).
function dhcpv6.read(message)
  local found = {}
  local kind, stopped = dhcpv6.read_into(found, message, 0, #message, 0)
  return found, kind, stopped
end

return dhcpv6
