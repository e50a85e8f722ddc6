-- SPDX-License-Identifier: GPL-2.0-or-later
-- Octets of a Wireshark `Address`, which offers only its text - and that is a name when names are resolved.

local octets = require("dsmip.octets")
local quick = require("dsmip.quick")

local address = {}

local function ipv4_octets(text)
  local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for i, part in ipairs(parts) do
    parts[i] = tonumber(part)
    if parts[i] > 255 then return nil end
  end
  return #parts == 4 and string.char(parts[1], parts[2], parts[3], parts[4]) or nil
end

local function groups_of(text)
  local groups = {}
  for word in (text == "" and "" or text .. ":"):gmatch("([^:]*):") do
    if not word:find("^%x%x?%x?%x?$") then return nil end
    local value = tonumber(word, 16)
    groups[#groups + 1] = string.char(math.floor(value / 256), value % 256)
  end
  return groups
end

local function ipv6_octets(text)
  local tail4 = text:match(":(%d+%.%d+%.%d+%.%d+)$")
  if tail4 then
    local low = ipv4_octets(tail4)
    if not low then return nil end
    text = text:sub(1, -#tail4 - 1) .. ("%x:%x"):format(octets.u16(low, 0), octets.u16(low, 2))
  end
  local before, after = text:match("^(.-)::(.*)$")
  local first, last = groups_of(before or text), groups_of(after or "")
  if not first or not last then return nil end
  local missing = 8 - #first - #last
  if (before and missing < 1) or (not before and missing ~= 0) then return nil end
  return table.concat(first) .. ("\0\0"):rep(missing) .. table.concat(last)
end

-- The 4 or 16 octets that numeric text stands for, nil for anything else.
address.parse = octets.remembering(function(text)
  return ipv4_octets(text) or (text:find(":", 1, true) and ipv6_octets(text)) or nil
end)

-- Octets by comparison, bit by bit: 128 comparisons, only for an address whose text is a name.
local function bisect(value, size, make, write)
  local known = {}
  for i = 1, size do known[i] = 0 end
  for bit_number = 0, 8 * size - 1 do
    local index, mask = math.floor(bit_number / 8) + 1, 2 ^ (7 - bit_number % 8)
    known[index] = math.floor(known[index] + mask)
    if make(write(string.char(table.unpack(known)))) > value then
      known[index] = math.floor(known[index] - mask)
    end
  end
  local found = string.char(table.unpack(known))
  return make(write(found)) == value and found or nil
end

-- The 4 or 16 octets of Wireshark's `value`, nil when it is no IP address.
function address.octets(value)
  if not value then return nil end
  local found = address.parse(tostring(value))
  if found then return found end
  return bisect(value, 16, Address.ipv6, octets.ipv6) or bisect(value, 4, Address.ip, octets.ipv4)
end

-- Texts of addresses without names, which may change while a capture is read.
local texts = {}

local function learn(value, text)
  local known = text
  if not text:find("^[%x:.]+$") then
    local found = address.octets(value)
    known = found and (#found == 16 and octets.ipv6(found) or octets.ipv4(found)) or text
  end
  texts[text] = known
  return known
end

-- The text of Wireshark's `value` without names.
function address.text(value)
  local text = quick.text(value)
  return texts[text] or learn(value, text)
end

-- `address.here`: the Pinfo of the frame that is being dissected, set by whoever leaves addresses to be read later on.

-- Forgets the names of a capture.
function address.reset()
  texts = {}
end

return address
