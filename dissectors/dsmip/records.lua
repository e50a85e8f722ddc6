-- SPDX-License-Identifier: GPL-2.0-or-later
-- Messages as they are kept: those of which a session has many as one string each, the others as they are.

local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local u16, UNIT = octets.u16, mobility.LIFETIME_UNIT

local records = {}

local FIXED = 12 -- octets of BU, BA, BRI and BRA before the options

-- Offsets by type of the options of a Mobility Header.
function records.options(raw)
  local found, at, last = {}, FIXED, math.min(#raw, 8 * (raw:byte(2) + 1))
  while at < last do
    local kind, length = raw:byte(at + 1, at + 2)
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
  local kind = raw:byte(3)
  local message = { kind = "mh", raw = raw, type = kind, options = records.options(raw),
    name = mobility.names[kind] or ("MH type %d"):format(kind) }
  if kind == mobility.BINDING_UPDATE then
    message.from_ue, message.sequence, message.lifetime = true, u16(raw, 6), UNIT * u16(raw, 10)
  elseif kind == mobility.BINDING_ACKNOWLEDGEMENT then
    message.status, message.sequence, message.lifetime = raw:byte(7), u16(raw, 8), UNIT * u16(raw, 10)
  elseif kind == mobility.BINDING_ERROR then
    message.status = raw:byte(7)
  elseif kind == mobility.BINDING_REVOCATION then
    message.name, message.status, message.sequence = REVOCATION[raw:byte(7)] or message.name, raw:byte(8), u16(raw, 8)
    message.from_ue = message.name == "BRA"
  end
  return message
end

local NO_SPI = "\0\0\0\0" -- reserved (RFC 4303 2.1)

function records.pack(message)
  local kind = message.kind
  if kind ~= "mh" and kind ~= "esp" then return message end
  return table.concat({ kind == "mh" and "m" or "e", message.from_ue and "u" or "h", message.marked and "+" or "-",
    message.esp or NO_SPI, message.hoa, "\n", message.ha, "\n", message.coa, "\n", message.udp or "", "\n",
    message.raw or "" })
end

function records.unpack(text)
  local spi = text:sub(4, 7)
  local hoa, ha, coa, udp, at = text:match("^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n()", 8)
  local message = text:sub(1, 1) == "m" and records.mobility(text:sub(at))
    or { kind = "esp", from_ue = text:sub(2, 2) == "u" }
  message.marked, message.esp = text:sub(3, 3) == "+", spi ~= NO_SPI and spi or nil
  message.hoa, message.ha, message.coa, message.udp = hoa, ha, coa, tonumber(udp)
  return message
end

return records
