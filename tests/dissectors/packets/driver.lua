-- SPDX-License-Identifier: GPL-2.0-or-later
-- Calls the parsers of the dissector outside Wireshark. Each line on standard input is `module function argument…`, an
-- argument being hex:… (octets), a number, or a word; each line of output is the JSON list of results, or {"error": …}.

local function quote(text)
  if text:find("[^\32-\126]") then
    return '"hex:' .. text:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. '"'
  end
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function json(value)
  if type(value) == "string" then return quote(value) end
  if type(value) == "number" then return ("%.0f"):format(value) end
  if type(value) ~= "table" then return value == nil and "null" or tostring(value) end
  local parts = {}
  if #value > 0 or next(value) == nil then
    for i = 1, #value do parts[i] = json(value[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = quote(tostring(key)) .. ":" .. json(item) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function argument(word)
  local hex = word:match("^hex:(%x*)$")
  if hex then return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end
  return tonumber(word) or word
end

local function pack(...) return { n = select("#", ...), ... } end

for line in io.lines() do
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = argument(word) end
  local results = pack(pcall(function()
    return require("dsmip." .. words[1])[words[2]](table.unpack(words, 3))
  end))
  local parts = {}
  for i = 2, results.n do parts[#parts + 1] = json(results[i]) end
  print(results[1] and "[" .. table.concat(parts, ",") .. "]" or '{"error":' .. json(tostring(results[2])) .. "}")
end
