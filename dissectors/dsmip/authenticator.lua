-- SPDX-License-Identifier: GPL-2.0-or-later
-- Verifies the authenticators of RFC 4285 (option 9 of Binding Updates and Acknowledgements) with keys out of a file.
--
-- The file: one key a line, `SPI KEY [IDENTITY]`. SPI decimal or 0x…, KEY hexadecimal, IDENTITY the mobile node's
-- identifier (NAI) or home address, for keys that hold for one node only. Empty lines and `#` comments are skipped.
-- Such a file is named by a preference, or stands as dsmip_auth_keys in Wireshark's configuration folder.

local hmac = require("dsmip.hmac")
local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")

local authenticator = {}

local MN_HA, MN_AAA = 1, 2
local MN_HA_OCTETS = 12 -- the first 96 bits (RFC 4285 5.1)
local HMAC_SHA1_SPI = 3 -- RFC 4285 8

local function parse_line(line)
  local spi, key, identity = line:match("^%s*(%S+)%s+(%S+)%s*(.-)%s*$")
  if not spi then return nil, "not `SPI KEY [IDENTITY]`" end
  local number, raw = tonumber(spi), octets.from_hex((key:gsub("^0[xX]", "")))
  if not number or number ~= math.floor(number) or number < 0 or number > 0xffffffff then
    return nil, ("SPI %s is no number of 32 bits"):format(spi)
  end
  if not raw or #raw == 0 then return nil, "the key is not hexadecimal" end
  return { spi = number, key = raw, identity = identity ~= "" and identity or nil }
end

-- The keys in `text` (a list of {spi, key, identity}) and a list of sentences about lines that hold none.
function authenticator.parse_keys(text)
  local keys, complaints, number = {}, {}, 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    line = line:gsub("#.*", "")
    if line:find("%S") then
      local key, complaint = parse_line(line)
      if key then
        keys[#keys + 1] = key
      else
        complaints[#complaints + 1] = ("line %d: %s"):format(number, complaint)
      end
    end
  end
  return keys, complaints
end

-- The keys of the file `path`; nil and a sentence when it cannot be read.
function authenticator.read_keys(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local text = file:read("*a")
  file:close()
  return authenticator.parse_keys(text or "")
end

-- Keys for `spi`: those of one of the `identities` before those of nobody in particular.
function authenticator.keys_for(keys, spi, identities)
  local own, general = {}, {}
  for _, key in ipairs(keys) do
    if key.spi == spi and not key.identity then general[#general + 1] = key.key end
    for _, identity in ipairs(key.spi == spi and key.identity and identities or {}) do
      if key.identity == identity then own[#own + 1] = key.key end
    end
  end
  return #own > 0 and own or general
end

-- The octets that an authenticator covers behind the two addresses: the message up to and with the SPI, checksum zero.
local function covered_octets(mh, option)
  return mh:sub(1, 4) .. "\0\0" .. mh:sub(7, option.covered)
end

-- What option 9 should carry; nil for a subtype or SPI of which RFC 4285 defines no computation.
function authenticator.compute(mh, option, key, care_of, home_address)
  local data = care_of .. home_address .. covered_octets(mh, option)
  if option.subtype == MN_HA then return hmac.hmac_sha1(key, data):sub(1, MN_HA_OCTETS) end
  if option.subtype == MN_AAA and option.spi == HMAC_SHA1_SPI then return hmac.hmac_sha1(key, hmac.sha1(data)) end
  return nil
end

-- An IPv4 care-of address as the IPv4-mapped IPv6 address that enters the computation (RFC 4285 is silent).
local function widened(care_of)
  return #care_of == 4 and ("\0"):rep(10) .. "\255\255" .. care_of or care_of
end

-- The care-of addresses of a Binding Update: the registered one first, then `header_source` (16 octets or nil).
function authenticator.care_of_addresses(update, header_source)
  local found = {}
  local alternate, ipv4 = mobility.find(update, 3), mobility.find(update, 32)
  if alternate then found[#found + 1] = alternate.address end
  if ipv4 then found[#found + 1] = widened(ipv4.address) end
  for _, option in ipairs(update.options) do
    if option.type == 35 and option.care_of then found[#found + 1] = widened(option.care_of) end
  end
  if header_source and #found == 0 then found[1] = header_source end
  return found
end

-- "good" and the key's and address' number, "bad", or "unchecked" and why.
function authenticator.verify(mh, option, keys, care_of_addresses, home_address)
  if #mh < option.covered + #option.authenticator then return "unchecked", "the message is cut short" end
  if not home_address or #home_address ~= 16 then return "unchecked", "the home address is unknown" end
  if #care_of_addresses == 0 then return "unchecked", "the care-of address is unknown" end
  if #keys == 0 then return "unchecked", ("no key for SPI %d"):format(option.spi) end
  for _, key in ipairs(keys) do
    for _, care_of in ipairs(care_of_addresses) do
      local right = authenticator.compute(mh, option, key, care_of, home_address)
      if not right then return "unchecked", "RFC 4285 defines no computation for this subtype and SPI" end
      if right == option.authenticator then return "good" end
    end
  end
  return "bad", "no key and care-of address give this authenticator"
end

return authenticator
