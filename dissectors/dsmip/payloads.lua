-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reads IKEv2 headers and payload chains out of octets (RFC 7296 3), as far as a session is told by them. No Wireshark
-- in here.
--
--   payloads.header(message) -> spi_i, spi_r, exchange, id, initiator, response, first (payload), length; or nil
--   payloads.outer(message, first) -> chain of what is in clear, and the first payload type inside SK (nil: no SK)
--   payloads.chain(octets, first, at, last) -> chain: has (by type), notify (list of types), redirected (16407),
--   payloads.outer(message, header) -> chain of what is in clear; `inside`: type of the first payload in SK (nil: none)
--     mh (a selector of protocol 135), esp_spi, ike_spi, delete ("ike", "esp"), deleted (SPIs), problem

local octets = require("dsmip.octets")
local values = require("dsmip.values")
local u8, u16, u32 = octets.u8, octets.u16, octets.u32

local payloads = {}

payloads.SA_INIT, payloads.AUTH, payloads.CREATE_CHILD_SA, payloads.INFORMATIONAL = 34, 35, 36, 37
payloads.names = { [34] = "IKE_SA_INIT", [35] = "IKE_AUTH", [36] = "CREATE_CHILD_SA", [37] = "INFORMATIONAL" }
payloads.HEADER = 28

-- Payload types (RFC 7296 3.2, 7383 2.5).
local SA, IDI, IDR, NOTIFY, DELETE, TSI, TSR, SK, CP, EAP, SKF = 33, 35, 36, 41, 42, 44, 45, 46, 47, 48, 53
payloads.AUTHENTICATION = 39
local FIRST_KNOWN, LAST_KNOWN = 33, 53

payloads.COOKIE, payloads.USE_TRANSPORT_MODE, payloads.REKEY_SA = 16390, 16391, 16393
payloads.REDIRECT, payloads.REDIRECTED_FROM = 16407, 16408
payloads.FIRST_STATUS = 16384 -- smaller notifications are errors (RFC 7296 3.10.1)

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

function payloads.header(message)
  local first, version, exchange, flags = message:byte(17, 20)
  local length = u32(message, 24)
  if not length or math.floor(version / 16) ~= 2 then return nil end
  if exchange < payloads.SA_INIT or exchange > payloads.INFORMATIONAL or length < payloads.HEADER then return nil end
  return {
    spi_i = message:sub(1, 8), spi_r = message:sub(9, 16), exchange = exchange, id = u32(message, 20),
    initiator = octets.flag(flags, INITIATOR), response = octets.flag(flags, RESPONSE), first = first, length = length,
  }
end

local function identity(body)
  local text = octets.printable(body:sub(5))
  return #text > 0 and text or nil
end

local function selectors(chain, body, name)
  local at = 4
  for _ = 1, u8(body, 0) or 0 do
    local selector = values.traffic_selector(body, at)
    if not selector then return end
    if selector.protocol == 135 then chain.mh = true end
    if selector.start == selector.finish then chain[name] = chain[name] or selector.start end
    at = at + selector.length
  end
end

local function configuration(chain, body)
  chain.cfg = u8(body, 0)
  local at = 4
  while at + 4 <= #body do
    local attribute = values.configuration_attribute(body, at)
    if attribute.type == values.MIP6_HOME_PREFIX then
      if attribute.empty then chain.asks_prefix = true end
      if attribute.prefix and not attribute.problem then
        chain.prefix, chain.prefix_length, chain.lifetime =
          attribute.prefix, attribute.prefix_length, attribute.lifetime
      end
    end
    at = at + 4 + attribute.length
  end
end

local READERS = {
  [SA] = function(chain, body)
    local protocol, size = u8(body, 5), u8(body, 6)
    if protocol == 3 and size == 4 then chain.esp_spi = octets.take(body, 8, 4) end
    if protocol == 1 and size == 8 then chain.ike_spi = octets.take(body, 8, 8) end
  end,
  [IDI] = function(chain, body) chain.idi = identity(body) end,
  [IDR] = function(chain, body) chain.idr = identity(body) end,
  [NOTIFY] = function(chain, body)
    local kind = u16(body, 2)
    if kind then chain.notify[#chain.notify + 1] = kind end
  end,
  [DELETE] = function(chain, body)
    local protocol, size, count = u8(body, 0), u8(body, 1), u16(body, 2)
    chain.delete = protocol == 1 and "ike" or chain.delete or "esp"
    chain.deleted = chain.deleted or {}
    for i = 0, (size == 4 and count or 0) - 1 do chain.deleted[#chain.deleted + 1] = octets.take(body, 4 + 4 * i, 4) end
  end,
  [TSI] = function(chain, body) selectors(chain, body, "ts_i") end,
  [TSR] = function(chain, body) selectors(chain, body, "ts_r") end,
  [CP] = configuration,
  [EAP] = function(chain, body) chain.eap = u8(body, 0) end,
}

function payloads.chain(message, first, at, last)
  local chain, kind = { has = {}, notify = {} }, first
  while kind ~= 0 do
    local following, length = u8(message, at), u16(message, at + 2)
    if not length or length < 4 or at + length > last then
      chain.problem = "a payload runs past the message"
      return chain
    end
    if kind < FIRST_KNOWN or kind > LAST_KNOWN then chain.problem = "an unknown payload" end
    chain.has[kind] = true
    if kind == SK or kind == SKF then
      if kind == SK then chain.inside = following end
      return chain
    end
    if READERS[kind] then READERS[kind](chain, message:sub(at + 5, at + length)) end
    kind, at = following, at + length
  end
  return chain
end

-- The chain in clear of a whole IKE message whose header is `header`.
function payloads.outer(message, header)
  return payloads.chain(message, header.first, payloads.HEADER, math.min(header.length, #message))
end

function payloads.lists(chain, kind)
  for _, one in ipairs(chain and chain.notify or {}) do
    if one == kind then return true end
  end
  return false
end

-- The name of the first error notification in `chain`, nil when it has none.
function payloads.error_of(chain)
  for _, kind in ipairs(chain and chain.notify or {}) do
    if kind < payloads.FIRST_STATUS then return payloads.errors[kind] or ("error %d"):format(kind) end
  end
  return nil
end

return payloads
