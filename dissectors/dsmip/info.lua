-- SPDX-License-Identifier: GPL-2.0-or-later
-- One sentence for the Info column: what this message is in the session.

local corrections = require("dsmip.corrections")
local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local discovery = require("dsmip.discovery")
local steps = require("dsmip.steps")

local concat = table.concat

local info = {}

local IPV4_HOA, IPV4_ACK = 29, 30

local ipv4_text = octets.remembering(octets.ipv4)

local function ipv4_at(message, kind)
  local at = message.options[kind]
  local bytes = at and octets.take(message.raw, at + 4, 4)
  return bytes and ipv4_text(bytes)
end

local function binding_update(message)
  local words = "BU → " .. message.ha .. " HoA " .. message.hoa
  if message.lifetime > 0 then
    words = words .. ", CoA " .. message.coa .. ", lifetime " .. message.lifetime .. " s"
  else
    words = words .. (message.step == steps.HANDOVER and ", returns home" or ", deregisters")
  end
  local ipv4 = ipv4_at(message, IPV4_HOA)
  if not ipv4 then return words end
  return words .. (ipv4 == "0.0.0.0" and ", asks IPv4" or ", IPv4 " .. ipv4)
end

local function binding_acknowledgement(message)
  if message.status >= 128 then
    return ("BA: refused, %s (%d)"):format(corrections.name(corrections.binding_status, message.status), message.status)
  end
  local words = message.lifetime > 0 and "BA: accepted, lifetime " .. message.lifetime .. " s"
    or "BA: deregistration accepted"
  local at = message.options[IPV4_ACK]
  local status, ipv4 = at and octets.u8(message.raw, at + 2), at and ipv4_at(message, IPV4_ACK)
  if not status or not ipv4 then return words end
  if status >= 128 then return words .. ", no IPv4: " .. corrections.name(corrections.ipv4_status, status) end
  return words .. ", IPv4 " .. ipv4
end

local MOBILITY = {
  [mobility.BINDING_UPDATE] = binding_update, [mobility.BINDING_ACKNOWLEDGEMENT] = binding_acknowledgement,
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

local EAP_WORDS = { "EAP request", "EAP response", "EAP Success", "EAP Failure" }

local function prefix_words(chain)
  return ("home prefix %s/%d"):format(octets.ipv6(chain.prefix), chain.prefix_length)
end

local said = {} -- used again and again

local function say(count, word)
  said[count + 1] = word
  return count + 1
end

-- `name` and what a chain of payloads says; `hoa`: octets of the address that a selector names.
local function with_chain(name, chain, hoa)
  local count = 0
  local eap, deletes = chain.eap, chain.delete
  if chain.idi then
    count = say(count, chain.idi)
    if chain.idr then count = say(count, "APN " .. chain.idr) end
  end
  if eap then count = say(count, EAP_WORDS[eap] or "EAP " .. eap) end
  if chain.prefix then
    count = say(count, prefix_words(chain))
  elseif chain.asks_prefix then
    count = say(count, "asks for a home prefix")
  end
  if deletes then count = say(count, deletes == "ike" and "deletes the IKE SA" or "deletes child SAs") end
  if chain.error then count = say(count, payloads.error_of(chain)) end
  if chain.cookie then count = say(count, "cookie") end
  if chain.redirect then count = say(count, "redirect") end
  if chain.rekey then count = say(count, "rekeying") end
  if chain.mh and hoa and #hoa == 16 then count = say(count, "SA for HoA " .. octets.ipv6(hoa)) end
  if count == 0 then return name end
  return name .. ": " .. concat(said, ", ", 1, count)
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
  local hoa = chain.ts_r
  if message.from_ue ~= message.response then hoa = chain.ts_i end
  return with_chain(name, chain, hoa)
end

local function of_dns(message)
  local kind = discovery.types[message.type] or ("type %d"):format(message.type)
  if not message.response then return ("asks DNS for the home agent (%s)"):format(kind) end
  if #message.addresses == 0 then return ("DNS names no home agent (%s)"):format(kind) end
  return "home agent is " .. table.concat(message.addresses, ", ")
end

local function dns(message)
  local content = message.content
  local words = content.words
  if not words then
    words = of_dns(message)
    content.words = words
  end
  return words
end

local function dhcpv6(message)
  if not message.response then return "asks DHCPv6 for the home agent" end
  if #message.addresses == 0 then return "DHCPv6 names no home agent address" end
  return "home agent is " .. table.concat(message.addresses, ", ")
end

local WORDS = {
  mh = function(message) return (MOBILITY[message.name or message.type] or unnamed)(message) end,
  ike = exchange, dns = dns, dhcpv6 = dhcpv6,
  esp = function(message) return "ESP of HoA " .. message.hoa .. ", closed" end,
  gap = function(message) return ("silent for %.0f s"):format(message.seconds) end,
}

-- What `message`, gone over by the analysis, is in words, without the step.
function info.words(message)
  return WORDS[message.kind](message)
end

local WHERE = {}
for step = 1, steps.COUNT do WHERE[step] = (" | S2c step %d/%d: "):format(step, steps.COUNT) end

-- Sentences of what stays closed, by step (0: none), then by exchange and direction.
local CLOSED = {}

local function closed(message)
  local known, key = CLOSED[message.step or 0], message.response and -message.exchange or message.exchange
  local text = known[key]
  if not text then
    text = (WHERE[message.step] or " | S2c: ") .. exchange(message)
    known[key] = text
  end
  return text
end

for step = 0, steps.COUNT do CLOSED[step] = {} end

-- The sentence for the end of the Info column.
function info.sentence(message)
  if message.inside and not message.inner and not message.again then return closed(message) end
  local text = (WHERE[message.step] or " | S2c: ") .. WORDS[message.kind](message)
  if message.again then return ("%s (again, frame %d)"):format(text, message.again) end
  return text
end

return info
