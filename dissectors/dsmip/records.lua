-- SPDX-License-Identifier: GPL-2.0-or-later
-- Messages as they are kept: those of which a session has many as one string each, the others as they are.

local mobility = require("dsmip.mobility")
local byte, UNIT = string.byte, mobility.LIFETIME_UNIT

local records = {}

local FIXED = 12 -- octets of BU, BA, BRI and BRA before the options

-- Offsets by type of the options of a Mobility Header of so many octets.
local function options_of(raw, last)
  local found, at = { [3] = nil, [29] = nil, [30] = nil, [31] = nil }, FIXED -- room for those that are common
  if #raw < last then last = #raw end
  while at < last do
    local kind, length = byte(raw, at + 1, at + 2)
    if kind == 0 then
      at = at + 1
    else
      if not length or at + 2 + length > last then return found end
      if kind > 1 then found[kind] = at end
      at = at + 2 + length
    end
  end
  return found
end

local REVOCATION = { "BRI", "BRA" }

-- What the octets of a Mobility Header tell by themselves; at least the fixed part is there.
function records.mobility(raw)
  local _, units, kind, _, _, _, m7, m8, m9, m10, m11, m12 = byte(raw, 1, 12)
  local message = { kind = "mh", raw = raw, type = kind, options = options_of(raw, 8 * (units + 1)), sequence = nil,
    lifetime = nil, hoa = nil, ha = nil, coa = nil, marked = nil, esp = nil, session = nil, step = nil, number = nil }
  if kind == mobility.BINDING_UPDATE then
    message.from_ue, message.sequence, message.lifetime = true, m7 * 256 + m8, UNIT * (m11 * 256 + m12)
    return message
  end
  if kind == mobility.BINDING_ACKNOWLEDGEMENT then
    message.status, message.sequence, message.lifetime = m7, m9 * 256 + m10, UNIT * (m11 * 256 + m12)
    return message
  end
  message.name = mobility.names[kind] or ("MH type %d"):format(kind)
  if kind == mobility.BINDING_ERROR then
    message.status = m7
  elseif kind == mobility.BINDING_REVOCATION then
    message.name, message.status, message.sequence = REVOCATION[m7] or message.name, m8, m9 * 256 + m10
    message.from_ue = message.name == "BRA"
  end
  return message
end

local NO_SPI = "\0\0\0\0" -- reserved (RFC 4303 2.1)

function records.pack(message)
  local kind = message.kind
  if kind ~= "mh" and kind ~= "esp" then return message end
  return table.concat({ kind == "mh" and "m" or "e", message.from_ue and "u" or "h", message.marked and "+" or "-",
    message.cut and "c" or "w", message.esp or NO_SPI, message.hoa, "\n", message.ha or "", "\n", message.coa, "\n",
    message.udp or "", "\n", message.raw or "" })
end

function records.unpack(text)
  local spi = text:sub(5, 8)
  local hoa, ha, coa, udp, at = text:match("^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n()", 9)
  local message = text:sub(1, 1) == "m" and records.mobility(text:sub(at))
    or { kind = "esp", from_ue = text:sub(2, 2) == "u" }
  message.marked, message.cut = text:sub(3, 3) == "+", text:sub(4, 4) == "c" or nil
  message.esp = spi ~= NO_SPI and spi or nil
  message.hoa, message.ha, message.coa, message.udp = hoa, ha, coa, tonumber(udp)
  return message
end

return records
