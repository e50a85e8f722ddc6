-- SPDX-License-Identifier: GPL-2.0-or-later
-- SHA-1 (FIPS 180-4) and HMAC (RFC 2104) on strings of octets: Wireshark's Lua has ciphers at most, no hash.
-- Runs under Wireshark (its `bit`), plain Lua 5.2 (`bit32`) and plain Lua 5.4 (operators, hidden from 5.2's parser).

local hmac = {}

local WORD = 4294967296 -- 2^32

local OPERATORS = [[
  return {
    band = function(a, b) return a & b end,
    bor = function(a, b) return a | b end,
    bxor = function(a, b) return a ~ b end,
    bnot = function(a) return ~a & 0xffffffff end,
    rol = function(a, n) return ((a << n) | (a >> (32 - n))) & 0xffffffff end,
  }
]]

local function word_operations()
  local native = _VERSION ~= "Lua 5.2" and load(OPERATORS)
  if native then return native() end
  local library = rawget(_G, "bit") or rawget(_G, "bit32")
  return { band = library.band, bor = library.bor, bxor = library.bxor, bnot = library.bnot,
    rol = library.rol or library.lrotate }
end

local word = word_operations()
local band, bor, bxor, bnot, rol = word.band, word.bor, word.bxor, word.bnot, word.rol

-- The functions of FIPS 180-4 4.1.1 and the constants of 4.2.1, one for each 20 rounds.
local function choose(b, c, d) return bor(band(b, c), band(bnot(b), d)) end
local function parity(b, c, d) return bxor(bxor(b, c), d) end
local function majority(b, c, d) return bor(bor(band(b, c), band(b, d)), band(c, d)) end
local ROUNDS = {
  { 1, 20, choose, 0x5a827999 }, { 21, 40, parity, 0x6ed9eba1 },
  { 41, 60, majority, 0x8f1bbcdc }, { 61, 80, parity, 0xca62c1d6 },
}

local function schedule(text, start)
  local w = {}
  for i = 1, 16 do
    local a, b, c, d = text:byte(start + 4 * i - 4, start + 4 * i - 1)
    w[i] = ((a * 256 + b) * 256 + c) * 256 + d
  end
  for i = 17, 80 do w[i] = rol(bxor(bxor(w[i - 3], w[i - 8]), bxor(w[i - 14], w[i - 16])), 1) end
  return w
end

local function compress(state, w)
  local a, b, c, d, e = state[1], state[2], state[3], state[4], state[5]
  for _, round in ipairs(ROUNDS) do
    local mix, constant = round[3], round[4]
    for i = round[1], round[2] do
      -- `bit` gives signed words; the remainder of the sum is the same.
      local next_a = (rol(a, 5) + mix(b, c, d) + e + constant + w[i]) % WORD
      a, b, c, d, e = next_a, a, rol(b, 30), c, d
    end
  end
  for i, value in ipairs({ a, b, c, d, e }) do state[i] = (state[i] + value) % WORD end
end

local function octets_of(value)
  value = value % WORD
  local text = {}
  for i = 4, 1, -1 do
    text[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(text)
end

-- The 20 octets of SHA-1 over `text`.
function hmac.sha1(text)
  local bits = #text * 8
  text = text .. "\128" .. ("\0"):rep(-(#text + 9) % 64) .. octets_of(math.floor(bits / WORD)) .. octets_of(bits)
  local state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 }
  for start = 1, #text, 64 do compress(state, schedule(text, start)) end
  local digest = {}
  for i, value in ipairs(state) do digest[i] = octets_of(value) end
  return table.concat(digest)
end

local function masked(key, mask)
  return (key:gsub(".", function(c) return string.char(bxor(c:byte(), mask) % 256) end))
end

-- The 20 octets of HMAC-SHA1 of `text` under `key` (RFC 2104 2).
function hmac.hmac_sha1(key, text)
  if #key > 64 then key = hmac.sha1(key) end
  key = key .. ("\0"):rep(64 - #key)
  return hmac.sha1(masked(key, 0x5c) .. hmac.sha1(masked(key, 0x36) .. text))
end

return hmac
