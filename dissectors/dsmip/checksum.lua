-- SPDX-License-Identifier: GPL-2.0-or-later
-- Verifies the Mobility Header checksum (RFC 6275 6.1.1) as the end points do: over the home address, not the care-of
-- address, wherever a Home Address option or a type 2 routing header carries it.

local octets = require("dsmip.octets")

local checksum = {}

local MOBILITY_HEADER = 135
local CHUNK = 128 -- octets a call of string.byte reads; far below Lua's limit on results

-- Sum of the 16-bit words of `bytes`; an odd last octet counts as the high one (RFC 1071 4.1).
local function sum(bytes)
  local total = 0
  for start = 1, #bytes, CHUNK do
    local chunk = { bytes:byte(start, start + CHUNK - 1) }
    for i = 1, #chunk, 2 do total = total + chunk[i] * 256 + (chunk[i + 1] or 0) end
  end
  return total
end

local function fold(total)
  while total > 0xffff do total = total % 0x10000 + math.floor(total / 0x10000) end
  return total
end

-- The checksum that `mh` should carry between two 16-octet addresses; what its checksum field holds is ignored.
function checksum.expected(source, destination, mh)
  local total = sum(source) + sum(destination) + #mh + MOBILITY_HEADER + sum(mh) - octets.u16(mh, 4)
  return 0xffff - fold(total)
end

-- "good", "bad" and the right value, or "unchecked" and why. `source` and `destination` are octets; `mh` may be longer
-- or shorter than the `length` that its header announces.
function checksum.verify(source, destination, mh, length)
  if not source or #source ~= 16 or not destination or #destination ~= 16 then
    return "unchecked", "no IPv6 addresses around it"
  end
  if #mh < length or length < 8 then return "unchecked", "the message is cut short" end
  local message = mh:sub(1, length)
  local right = checksum.expected(source, destination, message)
  -- 0 and 0xffff are the same number in one's complement (RFC 1071 2).
  local carried = octets.u16(message, 4)
  if carried == right or carried % 0xffff == right % 0xffff then return "good", right end
  return "bad", right
end

return checksum
