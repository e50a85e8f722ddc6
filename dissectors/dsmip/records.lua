-- SPDX-License-Identifier: GPL-2.0-or-later
-- Messages as they are kept: those of which a session has many as one string each, the others as they are.

local mobility = require("dsmip.mobility")

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

-- Whether a Mobility Header goes from the UE to the home agent.
function records.from_ue(raw)
  local kind = raw:byte(3)
  return kind == mobility.BINDING_UPDATE or (kind == mobility.BINDING_REVOCATION and raw:byte(7) == 2)
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
  local message = { kind = "esp", from_ue = text:sub(2, 2) == "u", marked = text:sub(3, 3) == "+",
    esp = spi ~= NO_SPI and spi or nil, hoa = hoa, ha = ha, coa = coa, udp = tonumber(udp) }
  if text:sub(1, 1) == "m" then
    local raw = text:sub(at)
    message.kind, message.raw, message.type, message.options = "mh", raw, raw:byte(3), records.options(raw)
  end
  return message
end

return records
