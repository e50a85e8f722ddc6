-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads IKEv2 headers and payload chains out of octets (RFC 7296 3), as far as a session is told by them. No Wireshark
-- in here. Thousands of these are read a second: few tables, and several octets at a time.
--
--   payloads.header(octets, captured, into) -> message or nil; `captured` counts the octets that there are, 32 may be
--     enough, else nil and true are returned; `into`: a message not needed any more, to be used again. It has kind
--     "ike", spi_i, exchange, id (number), initiator, response; `inside`: type of
--     the first payload in SK (nil: no SK), `clear`: chain of what is in clear when nothing is encrypted
--   payloads.chain(octets, first, at, last, into) -> chain: idi, idr, proof (AUTH is there), cfg (type), prefix,
--     prefix_length, lifetime, asks_prefix, eap (code), ts_i, ts_r (octets of the first single address), mh (a selector
--     of protocol 135), esp_spi, ike_spi, delete ("ike", "esp"), deleted (SPIs), error (code of the first error
--     notification), cookie, redirect (16407), redirected_from, rekey, problem; `into`: a chain to be used again

local octets = require("dsmip.octets")
local values = require("dsmip.values")
local u16 = octets.u16
local byte, sub = string.byte, string.sub

local payloads = {}

payloads.SA_INIT, payloads.AUTH, payloads.CREATE_CHILD_SA, payloads.INFORMATIONAL = 34, 35, 36, 37
payloads.names = { [34] = "IKE_SA_INIT", [35] = "IKE_AUTH", [36] = "CREATE_CHILD_SA", [37] = "INFORMATIONAL" }
payloads.HEADER = 28
local HEADER = payloads.HEADER

-- Payload types (RFC 7296 3.2, 7383 2.5).
local SA, IDI, IDR, AUTHENTICATION, NOTIFY, DELETE, TSI, TSR, SK, CP, EAP, SKF =
  33, 35, 36, 39, 41, 42, 44, 45, 46, 47, 48, 53
local FIRST_KNOWN, LAST_KNOWN = 33, 53

-- Status notifications that a session is told by (RFC 7296 3.10.1, 5685); smaller numbers are errors.
local STATUS = { [16390] = "cookie", [16393] = "rekey", [16407] = "redirect", [16408] = "redirected_from" }
local FIRST_STATUS = 16384

-- RFC 7296 3.10.1, registry "IKEv2 Notify Message Error Types"; 9000 and above: TS 24.302 8.1.2.
payloads.errors = {
  [1] = "UNSUPPORTED_CRITICAL_PAYLOAD", [4] = "INVALID_IKE_SPI", [5] = "INVALID_MAJOR_VERSION", [7] = "INVALID_SYNTAX",
  [9] = "INVALID_MESSAGE_ID", [11] = "INVALID_SPI", [14] = "NO_PROPOSAL_CHOSEN", [17] = "INVALID_KE_PAYLOAD",
  [24] = "AUTHENTICATION_FAILED", [34] = "SINGLE_PAIR_REQUIRED", [35] = "NO_ADDITIONAL_SAS",
  [36] = "INTERNAL_ADDRESS_FAILURE", [37] = "FAILED_CP_REQUIRED", [38] = "TS_UNACCEPTABLE",
  [39] = "INVALID_SELECTORS", [40] = "UNACCEPTABLE_ADDRESSES", [41] = "UNEXPECTED_NAT_DETECTED",
  [42] = "USE_ASSIGNED_HoA", [43] = "TEMPORARY_FAILURE", [44] = "CHILD_SA_NOT_FOUND",
}

local INITIATOR, RESPONSE = 0x08, 0x20

local function identity(message, from, to)
  if to - from <= 4 then return nil end
  return octets.printable(sub(message, from + 5, to))
end

local SIZES = { [7] = 4, [8] = 16 } -- of addresses, by type of traffic selector

-- `from` and `to`, here and below: the body of the payload is what is behind `from` octets and within `to`.
local function selectors(chain, message, from, to, name)
  local at = from + 4
  for _ = 1, from < to and byte(message, from + 1) or 0 do
    local kind, protocol, high, low = byte(message, at + 1, at + 4)
    local size = SIZES[kind]
    if not size or not low or high * 256 + low ~= 8 + 2 * size or at + 8 + 2 * size > to then return end
    if protocol == 135 then chain.mh = true end
    if not chain[name] then
      local start = sub(message, at + 9, at + 8 + size)
      if start == sub(message, at + 9 + size, at + 8 + 2 * size) then chain[name] = start end
    end
    at = at + 8 + 2 * size
  end
end

local function configuration(chain, message, from, to)
  chain.cfg = from < to and byte(message, from + 1) or nil
  local at = from + 4
  while at + 4 <= to do
    local high, low, length_high, length_low = byte(message, at + 1, at + 4)
    local behind = at + 4 + length_high * 256 + length_low
    if high % 128 * 256 + low == values.MIP6_HOME_PREFIX then
      local attribute = values.configuration_attribute(sub(message, at + 1, behind < to and behind or to), 0)
      if attribute.empty then chain.asks_prefix = true end
      if attribute.prefix and not attribute.problem then
        chain.prefix, chain.prefix_length, chain.lifetime =
          attribute.prefix, attribute.prefix_length, attribute.lifetime
      end
    end
    at = behind
  end
end

local READERS = {
  [SA] = function(chain, message, from, to)
    local protocol, size = byte(message, from + 6, from + 7)
    if protocol == 3 and size == 4 and from + 12 <= to then chain.esp_spi = sub(message, from + 9, from + 12) end
    if protocol == 1 and size == 8 and from + 16 <= to then chain.ike_spi = sub(message, from + 9, from + 16) end
  end,
  [IDI] = function(chain, message, from, to) chain.idi = identity(message, from, to) end,
  [IDR] = function(chain, message, from, to) chain.idr = identity(message, from, to) end,
  [AUTHENTICATION] = function(chain) chain.proof = true end,
  [NOTIFY] = function(chain, message, from, to)
    if from + 4 > to then return end
    local kind = u16(message, from + 2)
    if kind < FIRST_STATUS then
      chain.error = chain.error or kind
    else
      local name = STATUS[kind]
      if name then chain[name] = true end
    end
  end,
  [DELETE] = function(chain, message, from, to)
    local protocol, size, high, low = byte(message, from + 1, math.min(from + 4, to))
    chain.delete = protocol == 1 and "ike" or chain.delete or "esp"
    chain.deleted = chain.deleted or {}
    for i = 1, (size == 4 and low) and math.min(high * 256 + low, math.floor((to - from - 4) / 4)) or 0 do
      chain.deleted[#chain.deleted + 1] = sub(message, from + 1 + 4 * i, from + 4 + 4 * i)
    end
  end,
  [TSI] = function(chain, message, from, to) selectors(chain, message, from, to, "ts_i") end,
  [TSR] = function(chain, message, from, to) selectors(chain, message, from, to, "ts_r") end,
  [CP] = configuration,
  [EAP] = function(chain, message, from, to) chain.eap = from < to and byte(message, from + 1) or nil end,
}

function payloads.chain(message, first, at, last, into)
  local chain, kind, inside = into, first, nil
  if chain then
    for name in next, chain do chain[name] = nil end
  else
    chain = { eap = nil, esp_spi = nil, mh = nil, ts_i = nil, ts_r = nil }
  end
  while kind ~= 0 do
    local following, _, high, low = byte(message, at + 1, at + 4)
    local behind = low and at + high * 256 + low
    if not low or behind < at + 4 or behind > last then
      chain.problem = "a payload runs past the message"
      break
    end
    local reader = READERS[kind]
    if reader then
      reader(chain, message, at + 4, behind)
    elseif kind == SK or kind == SKF then
      inside = kind == SK and following or nil
      break
    elseif kind < FIRST_KNOWN or kind > LAST_KNOWN then
      chain.problem = "an unknown payload"
    end
    kind, at = following, behind
  end
  return chain, inside
end

local MAJOR = 0x10 -- of the version, in its upper half

-- What octets 17 to 20 of a header say: {exchange, initiator, response, whether SK is the first payload}; false when it
-- is none of IKEv2's.
local function open_header(head)
  local first, version, exchange, flags = byte(head, 1, 4)
  if not flags or version < 2 * MAJOR or version >= 3 * MAJOR then return false end
  if exchange < payloads.SA_INIT or exchange > payloads.INFORMATIONAL then return false end
  return { exchange, flags % (2 * INITIATOR) >= INITIATOR, flags % (2 * RESPONSE) >= RESPONSE, first == SK }
end

local HEADS, heads, MOST_HEADS = {}, 0, 4096

local function learn(head)
  if heads == MOST_HEADS then HEADS, heads = {}, 0 end
  local known = open_header(head)
  HEADS[head], heads = known, heads + 1
  return known
end

-- What is in clear of a message: chain and the type of the first payload in SK.
local function open_payloads(raw)
  local a, b, c, d = byte(raw, 25, 28)
  local length = ((a * 256 + b) * 256 + c) * 256 + d
  if length < HEADER then return nil end
  local chain, inside = payloads.chain(raw, byte(raw, 17), HEADER, length < #raw and length or #raw)
  return not inside and chain or nil, inside
end

function payloads.header(raw, captured, into)
  local head = sub(raw, 17, 20)
  local known = HEADS[head]
  if known == nil then known = learn(head) end
  if not known or captured < HEADER then return nil end
  local clear, inside
  if known[4] and captured >= HEADER + 4 then
    inside = byte(raw, 29)
  elseif #raw < captured then
    return nil, true
  else
    clear, inside = open_payloads(raw)
  end
  local a, b, c, d = byte(raw, 21, 24)
  local id = ((a * 256 + b) * 256 + c) * 256 + d
  if into then
    into.spi_i, into.exchange, into.id = sub(raw, 1, 8), known[1], id
    into.initiator, into.response, into.inside, into.clear = known[2], known[3], inside, clear
    into.again, into.inner, into.raw, into.step = nil, nil, nil, nil
    return into
  end
  return {
    kind = "ike", spi_i = sub(raw, 1, 8), exchange = known[1], id = id, initiator = known[2],
    response = known[3], inside = inside, clear = clear,
    -- Named, so that there is room for them: growing costs more than all the rest.
    session = nil, step = nil, from_ue = nil, number = nil, time = nil, again = nil, inner = nil, raw = nil, port = nil,
  }
end

-- The name of the first error notification in `chain`, nil when it has none.
function payloads.error_of(chain)
  local kind = chain.error
  return kind and (payloads.errors[kind] or ("error %d"):format(kind))
end

return payloads
