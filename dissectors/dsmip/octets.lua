-- SPDX-License-Identifier: GPL-2.0-or-later
-- Reading of octets out of Lua strings: offsets count from 0, whatever lies outside reads as nil.

local octets = {}

-- The unsigned value of the octet at `at`, nil outside the string.
function octets.u8(bytes, at)
  return bytes:byte(at + 1)
end

-- The unsigned 16-bit value at `at`, nil outside the string.
function octets.u16(bytes, at)
  local high, low = bytes:byte(at + 1, at + 2)
  return low and high * 256 + low
end

-- The unsigned 32-bit value at `at`, nil outside the string.
function octets.u32(bytes, at)
  local a, b, c, d = bytes:byte(at + 1, at + 4)
  return d and ((a * 256 + b) * 256 + c) * 256 + d
end

-- The `count` octets at `at`, nil when not all of them are there.
function octets.take(bytes, at, count)
  if at + count > #bytes then return nil end
  return bytes:sub(at + 1, at + count)
end

-- Whether the one bit of `mask` is set in `value`.
function octets.flag(value, mask)
  return value % (2 * mask) >= mask
end

-- Lower-case hexadecimal digits of `bytes`.
function octets.hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The octets that hexadecimal digits stand for, nil when `text` is not an even number of such digits.
function octets.from_hex(text)
  if #text % 2 ~= 0 or text:find("%X") then return nil end
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- Dotted text of a 4-octet IPv4 address.
function octets.ipv4(bytes)
  return ("%d.%d.%d.%d"):format(bytes:byte(1, 4))
end

-- RFC 5952 4.2: the first of the longest runs of at least two zero groups is left out.
local GROUPS = ("%x:"):rep(7) .. "%x"
local ZEROS = {} -- ":0:0:0:", longest first
for count = 8, 2, -1 do ZEROS[#ZEROS + 1] = (":0"):rep(count) .. ":" end

local function write_ipv6(bytes)
  local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p = bytes:byte(1, 16)
  local text = GROUPS:format(a * 256 + b, c * 256 + d, e * 256 + f, g * 256 + h, i * 256 + j, k * 256 + l,
    m * 256 + n, o * 256 + p)
  local bounded = ":" .. text .. ":"
  for _, zeros in ipairs(ZEROS) do
    local first, last = bounded:find(zeros, 1, true)
    if first then return bounded:sub(2, first - 1) .. "::" .. text:sub(last) end
  end
  return text
end

local REMEMBERED = 4096

-- `work`, a function of one string, that remembers its results; it forgets all of them when they become many.
function octets.remembering(work)
  local known, count = {}, 0
  return function(text)
    local result = known[text]
    if result == nil then
      result = work(text) or false
      if count == REMEMBERED then known, count = {}, 0 end
      known[text], count = result, count + 1
    end
    return result or nil
  end
end

-- Text of a 16-octet IPv6 address as RFC 5952 writes it, like Wireshark.
octets.ipv6 = octets.remembering(write_ipv6)

-- `bytes` for people: whatever is not printable ASCII becomes \xNN.
function octets.printable(bytes)
  if not bytes:find("[^\32-\126]") then return bytes end
  return (bytes:gsub("[^\32-\126]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- The name in DNS wire form at `at` (no compression, RFC 8415 10) and the offset behind it;
-- nil and the reason when there is none. A name may end with the octets, without its root label (RFC 4704 4.2).
function octets.domain_name(bytes, at)
  local labels, total = {}, 0
  while true do
    local length = bytes:byte(at + 1)
    if not length then
      if #labels == 0 then return nil, "no name" end
      return table.concat(labels, "."), at, false
    end
    if length == 0 then return table.concat(labels, "."), at + 1, true end
    if length > 63 then return nil, "a label longer than 63 octets" end
    local label = octets.take(bytes, at + 1, length)
    if not label then return nil, "a label longer than what is left" end
    total = total + length + 1
    if total > 254 then return nil, "a name longer than 255 octets" end
    labels[#labels + 1] = octets.printable(label)
    at = at + 1 + length
  end
end

return octets
