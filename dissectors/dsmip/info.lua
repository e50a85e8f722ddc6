-- SPDX-License-Identifier: GPL-2.0-or-later
-- One sentence for the Info column: what this message is in the session.

local corrections = require("dsmip.corrections")
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local discovery = require("dsmip.discovery")
local steps = require("dsmip.steps")

local info = {}

local IPV4_HOA, IPV4_ACK = 29, 30

local function ipv4_at(message, kind)
  local at = message.options[kind]
  local bytes = at and octets.take(message.raw, at + 4, 4)
  return bytes and octets.ipv4(bytes)
end

local function binding_update(message)
  local words = ("BU → %s HoA %s"):format(message.ha, message.hoa)
  if message.lifetime == 0 then
    words = words .. (message.step == steps.HANDOVER and ", returns home" or ", deregisters")
  else
    words = ("%s, CoA %s, lifetime %d s"):format(words, message.coa, message.lifetime)
  end
  local ipv4 = ipv4_at(message, IPV4_HOA)
  if not ipv4 then return words end
  return words .. (ipv4 == "0.0.0.0" and ", asks IPv4" or ", IPv4 " .. ipv4)
end

local function binding_acknowledgement(message)
  if message.status >= 128 then
    return ("BA: refused, %s (%d)"):format(corrections.name(corrections.binding_status, message.status), message.status)
  end
  local words = message.lifetime > 0 and ("BA: accepted, lifetime %d s"):format(message.lifetime)
    or "BA: deregistration accepted"
  local at = message.options[IPV4_ACK]
  local status, ipv4 = at and octets.u8(message.raw, at + 2), ipv4_at(message, IPV4_ACK)
  if not status or not ipv4 then return words end
  if status >= 128 then return words .. ", no IPv4: " .. corrections.name(corrections.ipv4_status, status) end
  return words .. ", IPv4 " .. ipv4
end

local MOBILITY = {
  BU = binding_update, BA = binding_acknowledgement,
  BRI = function(message)
    return "BRI: " .. corrections.name(corrections.revocation_trigger, message.status)
  end,
  BRA = function(message)
    return "BRA: " .. corrections.name(corrections.revocation_status, message.status)
  end,
  BE = function(message)
    return "Binding Error: " .. corrections.name(corrections.error_status, message.status)
  end,
}

local function unnamed(message) return message.name end

local EAP = { "request", "response", "Success", "Failure" }

local function inside_words(chain, words)
  if chain.idi then words[#words + 1] = chain.idi end
  if chain.idr and chain.idi then words[#words + 1] = "APN " .. chain.idr end
  if chain.eap then words[#words + 1] = "EAP " .. (EAP[chain.eap] or chain.eap) end
  if chain.prefix then
    words[#words + 1] = ("home prefix %s/%d"):format(octets.ipv6(chain.prefix), chain.prefix_length)
  elseif chain.asks_prefix then
    words[#words + 1] = "asks for a home prefix"
  end
  if chain.delete == "ike" then words[#words + 1] = "deletes the IKE SA" end
  if chain.delete == "esp" then words[#words + 1] = "deletes child SAs" end
end

-- The names of requests and responses by exchange, and with "encrypted".
local REQUESTS, RESPONSES, CLOSED_REQUESTS, CLOSED_RESPONSES = {}, {}, {}, {}
for number, name in pairs(payloads.names) do
  REQUESTS[number], RESPONSES[number] = name .. " request", name .. " response"
  CLOSED_REQUESTS[number], CLOSED_RESPONSES[number] = name .. " request: encrypted", name .. " response: encrypted"
end

local function exchange(message)
  local chain = message.inner or message.clear
  if not chain then
    if message.inside then return (message.response and CLOSED_RESPONSES or CLOSED_REQUESTS)[message.exchange] end
    return (message.response and RESPONSES or REQUESTS)[message.exchange]
  end
  local name = (message.response and RESPONSES or REQUESTS)[message.exchange]
  if not next(chain) then return name end
  local words = {}
  inside_words(chain, words)
  local failure = payloads.error_of(chain)
  if failure then words[#words + 1] = failure end
  if chain.cookie then words[#words + 1] = "cookie" end
  if chain.redirect then words[#words + 1] = "redirect" end
  if chain.rekey then words[#words + 1] = "rekeying" end
  local hoa = chain.ts_r
  if message.from_ue ~= message.response then hoa = chain.ts_i end
  if chain.mh and hoa and #hoa == 16 then words[#words + 1] = "SA for HoA " .. octets.ipv6(hoa) end
  return #words > 0 and name .. ": " .. table.concat(words, ", ") or name
end

local function dns(message)
  local kind = discovery.types[message.type] or ("type %d"):format(message.type)
  if not message.response then return ("asks DNS for the home agent (%s)"):format(kind) end
  if #message.addresses == 0 then return ("DNS names no home agent (%s)"):format(kind) end
  return "home agent is " .. table.concat(message.addresses, ", ")
end

local function dhcpv6(message)
  if not message.response then return "asks DHCPv6 for the home agent" end
  if #message.addresses == 0 then return "DHCPv6 names no home agent address" end
  return "home agent is " .. table.concat(message.addresses, ", ")
end

local WORDS = {
  mh = function(message) return (MOBILITY[message.name] or unnamed)(message) end,
  ike = exchange, dns = dns, dhcpv6 = dhcpv6,
  esp = function(message) return ("ESP of HoA %s, closed"):format(message.hoa) end,
  gap = function(message) return ("silent for %.0f s"):format(message.seconds) end,
}

-- What `message`, gone over by the analysis, is in words, without the step.
function info.words(message)
  return WORDS[message.kind](message)
end

local WHERE = {}
for step = 1, steps.COUNT do WHERE[step] = (" | S2c step %d/%d: "):format(step, steps.COUNT) end

-- The sentence for the end of the Info column.
function info.sentence(message)
  local text = (WHERE[message.step] or " | S2c: ") .. WORDS[message.kind](message)
  if message.again then return ("%s (again, frame %d)"):format(text, message.again) end
  return text
end

return info
