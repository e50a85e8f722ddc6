-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads what Wireshark leaves as octets: EAP-AKA attributes, IKEv2 configuration attributes 16 and 19, the ports of
-- traffic selectors for the Mobility Header, RFC 4285 timestamps. Octets in, tables out; no Wireshark in here.

local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local u8, u16, u32, take, flag = octets.u8, octets.u16, octets.u32, octets.take, octets.flag

local values = {}

-- EAP-AKA and EAP-AKA' (RFC 4187 8.1, 9048).
values.EAP_AKA, values.EAP_AKA_PRIME = 23, 50

-- RFC 4187 10.19 and 11.
values.notifications = {
  [0] = "general failure after authentication", [1026] = "temporarily denied access to the requested service",
  [1031] = "not subscribed to the requested service", [16384] = "general failure before authentication",
  [32768] = "success",
}
-- RFC 4187 10.20; 1 to 3 are EAP-SIM's (RFC 4186 10.19).
values.client_errors = {
  [0] = "unable to process packet", [1] = "unsupported version", [2] = "insufficient number of challenges",
  [3] = "RANDs are not fresh",
}

local function fixed(count)
  return function(a, value)
    if #value < 2 + count then return "too short" end
    a.octets, a.octets_at = take(value, 2, count), a.value_at + 2
  end
end

-- A value behind its own length: in octets, or in bits for AT_RES.
local function counted(unit, as_text)
  return function(a, value)
    local announced = u16(value, 0)
    if not announced or announced % unit ~= 0 then return "an odd length" end
    local count = math.floor(announced / unit)
    a.octets = take(value, 2, count)
    if not a.octets then return ("announces %d octets, %d are there"):format(count, #value - 2) end
    a.octets_at, a.text = a.value_at + 2, as_text and octets.printable(a.octets) or nil
  end
end

local function number(a, value)
  a.number, a.octets_at = u16(value, 0), a.value_at
  a.octets = take(value, 0, 2)
end

local function auts(a, value)
  if #value < 14 then return "too short" end
  a.octets, a.octets_at = take(value, 0, 14), a.value_at
end

local function checkcode(a, value)
  if #value == 2 then
    a.empty = true
    return nil
  end
  if #value ~= 22 and #value ~= 34 then return "neither 0, 20 nor 32 octets" end
  a.octets, a.octets_at = value:sub(3), a.value_at + 2
end

local function encrypted(a, value)
  a.octets, a.octets_at = value:sub(3), a.value_at + 2
end

-- Key of the field that shows it and reader (RFC 4187 10, 9048 3).
local ATTRIBUTES = {
  [1] = { "rand", fixed(16) }, [2] = { "autn", fixed(16) }, [3] = { "res", counted(8) }, [4] = { "auts", auts },
  [11] = { "mac", fixed(16) }, [12] = { "notification", number }, [14] = { "identity", counted(1, true) },
  [19] = { "counter", number }, [21] = { "nonce_s", fixed(16) }, [22] = { "client_error", number },
  [23] = { "kdf_input", counted(1, true) }, [24] = { "kdf", number }, [129] = { "iv", fixed(16) },
  [130] = { "encrypted", encrypted }, [132] = { "next_pseudonym", counted(1, true) },
  [133] = { "next_reauth_id", counted(1, true) }, [134] = { "checkcode", checkcode }, [136] = { "bidding", number },
}

local function read_attribute(packet, at, length)
  local kind = u8(packet, at)
  local attribute = { type = kind, at = at, length = length, value_at = at + 2 }
  local known = ATTRIBUTES[kind]
  if not known then return attribute end
  attribute.key = known[1]
  attribute.problem = known[2](attribute, take(packet, at + 2, length - 2))
  return attribute
end

-- An EAP packet of method AKA or AKA': code, identifier, length, method, subtype, attributes (a list of
-- {type, key, at, length, value_at, octets, octets_at, text, number, empty, problem}) and problem; nil for any other.
function values.eap(packet)
  local method, length = u8(packet, 4), u16(packet, 2)
  if method ~= values.EAP_AKA and method ~= values.EAP_AKA_PRIME then return nil end
  local subtype = u8(packet, 5)
  if not subtype or u8(packet, 0) > 2 then return nil end
  local eap = { code = u8(packet, 0), identifier = u8(packet, 1), length = length, method = method, subtype = subtype,
    attributes = {} }
  local at, last = 8, math.min(length, #packet)
  while at < last do
    local count = 4 * (u8(packet, at + 1) or 0)
    if count == 0 or at + count > last then
      eap.problem, eap.problem_at = "an attribute runs past the packet or has length 0", at
      return eap
    end
    eap.attributes[#eap.attributes + 1] = read_attribute(packet, at, count)
    at = at + count
  end
  if length > #packet then eap.problem, eap.problem_at = "the packet is cut short", 0 end
  return eap
end

-- The attribute that `key` names, nil when there is none.
function values.eap_attribute(eap, key)
  for _, attribute in ipairs(eap.attributes) do
    if attribute.key == key and not attribute.problem then return attribute end
  end
  return nil
end

-- The words for a notification code: its name, and what its S and P bits say (RFC 4187 6).
function values.notification_words(code)
  local name = values.notifications[code]
  if name then return name end
  local outcome = flag(code, 0x8000) and "no failure" or "failure"
  return ("%s, %s authentication"):format(outcome, flag(code, 0x4000) and "before" or "after")
end

values.MIP6_HOME_PREFIX, values.HOME_AGENT_ADDRESS = 16, 19

-- The IKEv2 configuration attribute at `at` (RFC 7296 3.15.1): type, length, empty, and for 16 (RFC 5026 8.2) lifetime,
-- prefix and prefix_length, for 19 (TS 24.302 8.2.4.1) address and address4; problem when the length fits neither.
function values.configuration_attribute(payload, at)
  local kind, length = u16(payload, at), u16(payload, at + 2)
  if not length then return nil end
  local attribute = { type = kind % 0x8000, length = length, at = at, value_at = at + 4, empty = length == 0 }
  local value = take(payload, at + 4, length)
  if not value then
    attribute.problem = "cut short"
  elseif attribute.empty then
    return attribute
  elseif attribute.type == values.MIP6_HOME_PREFIX then
    if length == 21 then
      attribute.lifetime, attribute.prefix, attribute.prefix_length = u32(value, 0), take(value, 4, 16), u8(value, 20)
      if attribute.prefix_length > 128 then attribute.problem = "a prefix length above 128" end
    else
      attribute.problem = "neither 0 nor 21 octets (RFC 5026 8.2)"
    end
  elseif attribute.type == values.HOME_AGENT_ADDRESS then
    if length == 16 or length == 20 then
      attribute.address, attribute.address4 = take(value, 0, 16), take(value, 16, 4)
    else
      attribute.problem = "neither 0, 16 nor 20 octets (TS 24.302 8.2.4.1)"
    end
  end
  return attribute
end

local MOBILITY_HEADER, ICMPV6 = 135, 58

local function port_words(port, protocol)
  local kind, low = math.floor(port / 256), port % 256
  if protocol == ICMPV6 then return ("ICMPv6 type %d code %d"):format(kind, low) end
  local name = kind == 16 and "BRI/BRA" or mobility.names[kind] or ("MH type %d"):format(kind)
  return low == 0 and name or ("%s + %d"):format(name, low)
end

-- What the ports of a traffic selector for Mobility Header or ICMPv6 mean (RFC 7296 3.13.1: the type is the high
-- octet), nil for other protocols.
function values.port_words(protocol, first, last)
  if protocol ~= MOBILITY_HEADER and protocol ~= ICMPV6 then return nil end
  if first == 0 and last == 65535 then return protocol == ICMPV6 and "any ICMPv6 type" or "any MH type" end
  if first == 65535 and last == 0 then return "OPAQUE: type not visible" end
  if first == last then return port_words(first, protocol) end
  return port_words(first, protocol) .. " to " .. port_words(last, protocol)
end

-- The traffic selector at `at` (RFC 7296 3.13.1): type, protocol, length, start_port, end_port, start and finish
-- (addresses).
function values.traffic_selector(payload, at)
  local kind, protocol, length = u8(payload, at), u8(payload, at + 1), u16(payload, at + 2)
  local size = kind == 7 and 4 or kind == 8 and 16 or nil
  if not size or length ~= 8 + 2 * size or not take(payload, at, length) then return nil end
  return { type = kind, protocol = protocol, length = length, start_port = u16(payload, at + 4),
    end_port = u16(payload, at + 6), start = take(payload, at + 8, size), finish = take(payload, at + 8 + size, size) }
end

local NTP_TO_UNIX, ERA = 2208988800, 4294967296 -- RFC 5905 6 and 7.3

-- Seconds since 1970 and nanoseconds of an NTP timestamp; the high bit unset means the era that begins in 2036
-- (RFC 4330 3).
function values.ntp_time(seconds, fraction)
  local unix = seconds - NTP_TO_UNIX
  if seconds < 0x80000000 then unix = unix + ERA end
  return unix, math.floor(fraction * 1000000000 / ERA)
end

return values
