-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads the two discoveries of a home agent out of octets: DNS (TS 24.303 5.1.2.1.2, RFC 5026 5.1) and DHCPv6
-- (RFC 6610), and nothing else that DNS and DHCPv6 are used for. No Wireshark in here.

local dhcpv6 = require("dsmip.dhcpv6")
local octets = require("dsmip.octets")
local u8, u16 = octets.u8, octets.u16

local discovery = {}

local A, AAAA = 1, 28
discovery.types = { [A] = "A", [AAAA] = "AAAA", [33] = "SRV" }
local MOST_LABELS, MOST_ANSWERS = 32, 16
local QUESTION = 12 -- octets of the header before it (RFC 1035 4.1.1)

-- The name at `at` and the offset behind it; compression is not followed (RFC 1035 4.1.4): questions have none.
local function name_at(message, at)
  local labels = {}
  for _ = 1, MOST_LABELS do
    local length = u8(message, at)
    if not length or length > 63 then return nil end
    if length == 0 then return table.concat(labels, "."):lower(), at + 1 end
    labels[#labels + 1] = octets.take(message, at + 1, length)
    at = at + 1 + length
  end
  return nil
end

local function is_home_agent(name)
  return name:find(".ha-apn.", 1, true) or name:find("^_mip6%.")
end

local function behind_name(message, at)
  for _ = 1, MOST_LABELS do
    local length = u8(message, at)
    if not length then return nil end
    if length >= 192 then return at + 2 end
    at = at + 1 + length
    if length == 0 then return at end
  end
  return nil
end

local function answers(message, at, count)
  local found = {}
  for _ = 1, math.min(count, MOST_ANSWERS) do
    at = behind_name(message, at)
    local kind, size = at and u16(message, at), at and u16(message, at + 8)
    if not size then break end
    local data = octets.take(message, at + 10, size)
    if data and kind == AAAA and size == 16 then found[#found + 1] = octets.ipv6(data) end
    if data and kind == A and size == 4 then found[#found + 1] = octets.ipv4(data) end
    at = at + 10 + size
  end
  return found
end

-- What a message asks and answers, by all of it but the identifier: many UEs ask the same. Only questions for home
-- agents are remembered: an APN's name (TS 23.003 21) or a service record (RFC 5026 5.1).
local KNOWN, count, MOST = {}, 0, 4096

local function read_dns(text)
  local lower = text:lower()
  if not lower:find("ha-apn", 1, true) and not lower:find("_mip6", 1, true) then return nil end
  local message = "\0\0" .. text
  if not u16(message, 10) or u16(message, 4) ~= 1 then return nil end
  local name, at = name_at(message, QUESTION)
  if not name or not is_home_agent(name) or not u16(message, at + 2) then return nil end
  local response = u8(message, 2) >= 0x80
  local kind = u16(message, at)
  local dns = { response = response, type = kind, name = name, question = name .. " " .. kind, addresses = nil,
    rcode = u8(message, 3) % 16 }
  if response then dns.addresses = answers(message, at + 4, u16(message, 6)) end
  if count == MOST then KNOWN, count = {}, 0 end
  KNOWN[text], count = dns, count + 1
  return dns
end

-- kind "dns", id, response, type, name, question (name and type), rcode, (in a response) addresses as texts, and
-- `content`: a table that messages have in common which differ in nothing but the identifier; nil for other DNS.
-- `into`: a message not needed any more, to be used again.
function discovery.dns(message, into)
  local text = message:sub(3)
  local known = KNOWN[text] or read_dns(text)
  if not known then return nil end
  local dns = into or { kind = "dns", id = nil, response = nil, type = nil, name = nil, question = nil, rcode = nil,
    addresses = nil, content = nil, client = nil, port = nil, session = nil, step = nil, again = nil, number = nil,
    time = nil } -- named, so that there is room for them
  dns.id, dns.response, dns.type, dns.name, dns.question = u16(message, 0), known.response, known.type, known.name,
    known.question
  dns.rcode, dns.addresses, dns.content, dns.session, dns.again = known.rcode, known.addresses, known, nil, nil
  return dns
end

-- DHCPv6 options that name a home network or home agent, and where options of theirs are (RFC 6610 3).
local function collect(options, found)
  local seen = false
  for _, option in ipairs(options or {}) do
    if option.code == 49 or (option.code >= 69 and option.code <= 73) or option.code == 50 then
      seen = true
      if option.address then found[#found + 1] = octets.ipv6(option.address) end
      if option.address4 then found[#found + 1] = octets.ipv4(option.address4) end
      if collect(option.children, found) then seen = true end
    end
  end
  return seen
end

local INFORMATION_REQUEST, REPLY = 11, 7

-- id, response, addresses and question; nil for DHCPv6 that asks for no home agent.
function discovery.dhcpv6(message)
  local options, kind = dhcpv6.read(message)
  if kind ~= INFORMATION_REQUEST and kind ~= REPLY then return nil end
  local addresses = {}
  if not collect(options, addresses) then return nil end
  return { id = message:sub(2, 4), response = kind == REPLY, addresses = addresses, question = "dhcpv6" }
end

return discovery
