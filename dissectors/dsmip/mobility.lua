-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads a Mobility Header (RFC 6275 6.1) out of a string of octets. No Wireshark in here: plain Lua reads it too.
--
--   mobility.fixed(mh)    -> message or nil, reason       the fixed part only (quick)
--   mobility.read(mh, on_wire) -> message or nil, reason  with `options`; on_wire: octets there were before the capture
--                                                         cut them (#mh when left out)
--   mobility.find(message, type) -> first option of that type or nil
--
-- message: type, name ("BU"), length (octets on the wire as its header says), checksum, payload_proto,
--   options_at (offset of the first option), options (list), problems (list of {key, at, length, text}), and by type
--   BU (5):  sequence, flags (16 bits), lifetime (units of 4 s), seconds
--   BA (6):  status, flags (8 bits), sequence, lifetime, seconds
--   BE (7):  status, home_address
--   HA Switch (12): addresses (list of octets)
--   revocation (16): indication (true: BRI, false: BRA, nil: neither), revocation_type, trigger or status,
--            sequence, flags
-- option: type, at (offset of the type octet), length (of the data), data_at, data (octets), and the fields below.
-- Addresses are octets (4 or 16); `octets.ipv6` and `octets.ipv4` write them. Offsets count from the start of the MH.

local octets = require("dsmip.octets")
local u8, u16, u32, take, flag = octets.u8, octets.u16, octets.u32, octets.take, octets.flag

local mobility = {}

-- RFC 6275 6.1, 5142, 5846; registry "Mobility Header Types".
mobility.names = {
  [0] = "BRR", [1] = "HoTI", [2] = "CoTI", [3] = "HoT", [4] = "CoT", [5] = "BU", [6] = "BA", [7] = "BE",
  [8] = "FBU", [9] = "FBAck", [10] = "FNA", [11] = "Experimental", [12] = "HA Switch", [13] = "Heartbeat",
  [14] = "HI", [15] = "HAck", [16] = "Binding Revocation", [17] = "LRI", [18] = "LRA", [19] = "UPN", [20] = "UPA",
  [21] = "Flow Binding", [22] = "Subscription Query", [23] = "Subscription Response",
}

mobility.BINDING_UPDATE, mobility.BINDING_ACKNOWLEDGEMENT, mobility.BINDING_ERROR = 5, 6, 7
mobility.HOME_AGENT_SWITCH, mobility.BINDING_REVOCATION = 12, 16

-- Flags of a Binding Update (RFC 6275 6.1.7, 3963 4.1, 5213, 5555 3.1.3, 5845; 0x0040: RFC 5648 O, RFC 6602 B).
mobility.BU_FLAGS = {
  acknowledge = 0x8000, home = 0x4000, link_local = 0x2000, key_management = 0x1000, map = 0x0800,
  mobile_router = 0x0400, proxy = 0x0200, force_udp = 0x0100, tlv = 0x0080, overwrite = 0x0040,
}
-- Flags of a Binding Acknowledgement (RFC 6275 6.1.8, 3963 4.2).
mobility.BA_FLAGS = { key_management = 0x80, mobile_router = 0x40, proxy = 0x20, tlv = 0x10, bulk = 0x08 }

mobility.LIFETIME_UNIT = 4 -- seconds (RFC 6275 6.1.7)

local function binding_update(m, mh)
  m.sequence, m.flags, m.lifetime = u16(mh, 6), u16(mh, 8), u16(mh, 10)
  m.seconds = m.lifetime * mobility.LIFETIME_UNIT
end

local function binding_acknowledgement(m, mh)
  m.status, m.flags = u8(mh, 6), u8(mh, 7)
  m.sequence, m.lifetime = u16(mh, 8), u16(mh, 10)
  m.seconds = m.lifetime * mobility.LIFETIME_UNIT
end

local function binding_error(m, mh)
  m.status, m.home_address = u8(mh, 6), take(mh, 8, 16)
end

local function home_agent_switch(m, mh)
  m.addresses = {}
  local count = u8(mh, 6)
  for i = 1, count do
    m.addresses[i] = take(mh, 8 + 16 * (i - 1), 16)
    if not m.addresses[i] or 8 + 16 * i > m.length then
      m.addresses[i] = nil
      break
    end
  end
  if 8 + 16 * count > m.length then
    m.problems[1] = { key = "addresses", at = 6, length = 1,
      text = ("HA Switch announces %d addresses, the message ends before (RFC 5142 4)"):format(count) }
  end
  m.options_at = 8 + 16 * #m.addresses
end

local function binding_revocation(m, mh)
  m.revocation_type, m.sequence, m.flags = u8(mh, 6), u16(mh, 8), u16(mh, 10)
  if m.revocation_type == 1 then
    m.indication, m.name, m.trigger = true, "BRI", u8(mh, 7)
  elseif m.revocation_type == 2 then
    m.indication, m.name, m.status = false, "BRA", u8(mh, 7)
  end
end

-- Octets of the fixed part, counted from the start of the MH, and its reader.
local MESSAGES = {
  [0] = { 8 }, [1] = { 16 }, [2] = { 16 }, [3] = { 24 }, [4] = { 24 },
  [5] = { 12, binding_update }, [6] = { 12, binding_acknowledgement }, [7] = { 24, binding_error },
  [12] = { 8, home_agent_switch }, [13] = { 12 }, [16] = { 12, binding_revocation },
}

-- The fixed part of the MH in `mh` (which may be longer than the message); nil and a reason when it is not all there.
function mobility.fixed(mh)
  local payload_proto, header_length, kind = mh:byte(1, 3)
  local checksum = u16(mh, 4)
  if not checksum then return nil, "shorter than 6 octets" end
  local m = { type = kind, name = mobility.names[kind] or ("MH type %d"):format(kind), payload_proto = payload_proto,
    length = 8 * (header_length + 1), checksum = checksum, problems = {} }
  local known = MESSAGES[kind]
  if not known then return m end
  if #mh < known[1] then return nil, ("%s needs %d octets, here are %d"):format(m.name, known[1], #mh) end
  if m.length < known[1] then
    return nil, ("header length says %d octets, %s needs %d (RFC 6275 9.2)"):format(m.length, m.name, known[1])
  end
  m.options_at = known[1]
  if known[2] then known[2](m, mh) end
  return m
end

-- Readers of options: allowed lengths of the data ({exact…} or a function), then the fields.
local function exactly(...)
  local allowed = { ... }
  return function(length)
    for _, wanted in ipairs(allowed) do
      if length == wanted then return true end
    end
    return false
  end
end

local function at_least(wanted)
  return function(length) return length >= wanted end
end

local function anything() return true end

local function home_prefix(o, d) o.prefix_length, o.prefix = u8(d, 1), take(d, 2, 16) end

local function dns_update(o, d)
  o.status, o.remove = u8(d, 0), flag(u8(d, 1), 0x80)
  o.identity = octets.domain_name(d, 2) or octets.printable(d:sub(3))
end

local function authentication(o, d)
  o.subtype, o.spi = u8(d, 0), u32(d, 1)
  o.authenticator = d:sub(6)
  o.covered = o.data_at + 5 -- octets from the start of the MH up to and with the SPI (RFC 4285 5.1)
end

local function ipv4_home_address(o, d)
  local bits = u16(d, 0)
  o.prefix_length, o.prefix_requested = math.floor(bits / 1024), flag(bits, 0x0200)
  o.address = take(d, 2, 4)
end

local function ipv4_acknowledgement(o, d)
  o.status, o.prefix_length, o.address = u8(d, 0), math.floor(u8(d, 1) / 4), take(d, 2, 4)
end

local function binding_identifier(o, d)
  local bits = u8(d, 3)
  o.bid, o.status, o.home, o.priority = u16(d, 0), u8(d, 2), flag(bits, 0x80), bits % 128
  if #d > 4 then o.care_of = d:sub(5) end
end

local function flow_summary(o, d)
  o.flows = {}
  for at = 0, #d - 2, 2 do o.flows[#o.flows + 1] = u16(d, at) end
end

-- Fields of the binary traffic selectors in the order of their flags (RFC 6088 3.1, 3.2): name and octets of each pair.
local SELECTORS = {
  [1] = { { "source", 4 }, { "destination", 4 }, { "spi", 4 }, { "source_port", 2 }, { "destination_port", 2 },
    { "ds", 1 }, { "protocol", 1 } },
  [2] = { { "source", 16 }, { "destination", 16 }, { "spi", 4 }, { "flow_label", 4 }, { "source_port", 2 },
    { "destination_port", 2 }, { "traffic_class", 1 }, { "next_header", 1 } },
}

local function selector_value(octet_string, name)
  if name == "source" or name == "destination" then return octet_string end
  local value = 0
  for i = 1, #octet_string do value = value * 256 + octet_string:byte(i) end
  return value
end

-- The fields of one traffic selector as a list of {name, first, last, at, length}; nil when they do not fit.
local function traffic_selector(d, start)
  local fields, bits = SELECTORS[u8(d, start) or 0], u32(d, start + 2)
  if not fields or not bits then return nil end
  local found, at, mask = {}, start + 6, 0x80000000
  for _, field in ipairs(fields) do
    local name, size = field[1], field[2]
    local entry = { name = name, at = at }
    for _, edge in ipairs({ "first", "last" }) do
      if flag(bits, mask) then
        local raw = take(d, at, size)
        if not raw then return nil end
        entry[edge] = selector_value(raw, name)
        at = at + size
      end
      mask = mask / 2
    end
    entry.length = at - entry.at
    if entry.first then found[#found + 1] = entry end
  end
  return found
end

local function bids_of(d, at, length)
  local bids = {}
  for i = at, at + length - 2, 2 do bids[#bids + 1] = u16(d, i) end
  return bids
end

-- Sub-options of the Flow Identification option (RFC 6089 4.2.1); offsets are those of the MH.
local function flow_suboptions(o, d)
  o.suboptions = {}
  local at = 6
  while at < #d do
    local kind, length = u8(d, at), u8(d, at + 1)
    if kind == 0 then
      at = at + 1
    elseif not length or at + 2 + length > #d then
      o.problem = "a sub-option runs past the option"
      return
    else
      local sub = { type = kind, at = o.data_at + at, length = length }
      if kind == 2 then
        sub.bids = bids_of(d, at + 2, length)
      elseif kind == 3 then
        sub.format = u8(d:sub(1, at + 2 + length), at + 2)
        sub.selector = traffic_selector(d:sub(1, at + 2 + length), at + 2)
        for _, field in ipairs(sub.selector or {}) do field.at = o.data_at + field.at end
      end
      o.suboptions[#o.suboptions + 1] = sub
      at = at + 2 + length
    end
  end
end

local function flow_identification(o, d)
  o.flow, o.priority, o.status = u16(d, 0), u16(d, 2), u8(d, 5)
  flow_suboptions(o, d)
end

local function even_pairs(length) return length >= 2 and length % 2 == 0 end

-- name, lengths, reader; RFC 6275 6.2, 3963 4.3, 4283 3, 4285 5 and 6, 5026 8.1, 5149 3, 5555 3, 5648 4.3, 6089 4
-- (whose section 8 swaps 44 and 45; sections 4.2 and 4.2.2 and the registry agree).
local OPTIONS = {
  [1] = { "PadN", anything },
  [2] = { "Binding Refresh Advice", exactly(2), function(o, d)
    o.interval = u16(d, 0)
    o.seconds = o.interval * mobility.LIFETIME_UNIT
  end },
  [3] = { "Alternate Care-of Address", exactly(16), function(o, d) o.address = d end },
  [4] = { "Nonce Indices", exactly(4), function(o, d) o.home_nonce, o.care_of_nonce = u16(d, 0), u16(d, 2) end },
  [5] = { "Binding Authorization Data", anything, function(o, d) o.authenticator = d end },
  [6] = { "Mobile Network Prefix", exactly(18), home_prefix },
  [8] = { "Mobile Node Identifier", at_least(1), function(o, d) o.subtype, o.identifier = u8(d, 0), d:sub(2) end },
  [9] = { "Mobility Message Authentication", at_least(5), authentication },
  [10] = { "Mobility Message Replay Protection", exactly(8), function(o, d)
    o.ntp_seconds, o.ntp_fraction = u32(d, 0), u32(d, 4)
  end },
  [17] = { "DNS Update", at_least(2), dns_update },
  [20] = { "Service Selection", at_least(1), function(o, d) o.identifier = d end },
  [22] = { "Home Network Prefix", exactly(18), home_prefix },
  [29] = { "IPv4 Home Address", exactly(6), ipv4_home_address },
  [30] = { "IPv4 Address Acknowledgement", exactly(6), ipv4_acknowledgement },
  [31] = { "NAT Detection", exactly(6), function(o, d) o.force_udp, o.refresh = flag(u8(d, 0), 0x80), u32(d, 2) end },
  [32] = { "IPv4 Care-of Address", exactly(6), function(o, d) o.address = take(d, 2, 4) end },
  [35] = { "Binding Identifier", exactly(4, 8, 20), binding_identifier },
  [44] = { "Flow Summary", even_pairs, flow_summary },
  [45] = { "Flow Identification", at_least(6), flow_identification },
}

-- Name of an option type, nil for one that this file does not read.
function mobility.option_name(kind)
  return OPTIONS[kind] and OPTIONS[kind][1]
end

local function problem(m, key, at, length, text)
  if m.cut and key == "truncated" then return end -- by the capture, not by the sender
  m.problems[#m.problems + 1] = { key = key, at = at, length = length, text = text }
end

local function read_option(m, mh, at, kind, length)
  local option = { type = kind, at = at, length = length, data_at = at + 2, data = take(mh, at + 2, length) }
  local known = OPTIONS[kind]
  if not known then return option end
  option.name = known[1]
  if not known[2](length) then
    option.malformed = true
    problem(m, "option", at, 2 + length, ("%s option with %d octets of data"):format(known[1], length))
    return option
  end
  if known[3] then known[3](option, option.data) end
  if option.problem then problem(m, "option", at, 2 + length, known[1] .. " option: " .. option.problem) end
  return option
end

-- Reads the options of `m` into `m.options` (Pad1 left out), once; reading ends at the first that does not fit.
function mobility.read_options(m, mh)
  m.options = {}
  local at, last = m.options_at or m.length, math.min(m.length, #mh)
  while at < last do
    local kind, length = mh:byte(at + 1, at + 2)
    if kind == 0 then
      at = at + 1
    elseif at + 2 > last or at + 2 + length > last then
      problem(m, "truncated", at, last - at, ("option %d runs past the end of the message"):format(kind))
      return m
    else
      m.options[#m.options + 1] = read_option(m, mh, at, kind, length)
      at = at + 2 + length
    end
  end
  return m
end

-- The whole message; nil and a reason when not even its fixed part can be read.
function mobility.read(mh, on_wire)
  local m, reason = mobility.fixed(mh)
  if not m then return nil, reason end
  m.cut = (on_wire or #mh) > #mh
  if m.payload_proto ~= 59 then
    problem(m, "payload_proto", 0, 1, ("Payload Proto is %d, not 59 (RFC 6275 6.1.1)"):format(m.payload_proto))
  end
  if #mh < m.length then
    problem(m, "truncated", 0, #mh, ("header length says %d octets, here are %d"):format(m.length, #mh))
  end
  return mobility.read_options(m, mh)
end

-- The first well-formed option of type `kind` in a message that was read with its options.
function mobility.find(m, kind)
  for _, option in ipairs(m.options) do
    if option.type == kind and not option.malformed then return option end
  end
  return nil
end

return mobility
