-- SPDX-License-Identifier: GPL-2.0-or-later
-- How much of ours anybody can look at. Wireshark does not tell a dissector which fields `-T fields` prints; on Linux
-- tshark's command line tells, and most of the work is saved when nobody asked for it. Whatever is not understood here
-- for certain means: everything.

local wanted = {}

wanted.NOTHING, wanted.WORDS, wanted.EVERYTHING = "nothing", "words", "everything"

-- tshark's options that neither show nor hide anything of ours; with `:` those that have a value.
local HARMLESS = "nlpqgIa:b:c:f:i:r:s:t:u:y:B:d:E:F:H:K:N:S:"
-- Options whose values decide.
local DECISIVE = { C = true, T = true, e = true, o = true, X = true, Y = true }

local SCRIPT = "^lua_script:.*dsmip%.lua$"
local OURS = { "dsmip", "_ws", "frame%.protocols", "frame%.coloring_rule", "%$" } -- $: a macro, whatever is in it
local CUSTOM_COLUMN = "%Cus"

local function names_ours(text)
  for _, pattern in ipairs(OURS) do
    if text:find(pattern) then return true end
  end
  return false
end

-- The values of the decisive options by letter, and as `filter` the words without option; nil for an unknown option.
local function options_of(words)
  local found = { C = {}, T = {}, e = {}, o = {}, X = {}, Y = {}, filter = {} }
  local i = 2
  while i <= #words do
    local word, at = words[i], 2
    if word:sub(1, 1) ~= "-" then found.filter[#found.filter + 1] = word end
    while word:sub(1, 1) == "-" and at <= #word do
      local letter = word:sub(at, at)
      local place = HARMLESS:find(letter, 1, true)
      if not DECISIVE[letter] and (not place or letter == ":") then return nil end
      at = at + 1
      if DECISIVE[letter] or HARMLESS:sub(place + 1, place + 1) == ":" then
        local value = word:sub(at)
        if value == "" then
          i = i + 1
          value = words[i] or ""
        end
        if DECISIVE[letter] then table.insert(found[letter], value) end
        break
      end
    end
    i = i + 1
  end
  return found
end

local function any(list, test)
  for _, value in ipairs(list) do
    if test(value) then return true end
  end
  return false
end

local function is_other(value) return not value:find(SCRIPT) end
local function has_custom_column(value) return value:find(CUSTOM_COLUMN, 1, true) ~= nil end

-- What the command line `words` (a list, the program first) leaves of ours to look at; `preferences`: the text of the
-- preferences that are read by default.
function wanted.by(words, preferences)
  if not (words[1] or ""):find("tshark$") then return wanted.EVERYTHING end
  local given = options_of(words)
  if not given or any(given.X, is_other) or any(given.Y, names_ours) or any(given.filter, names_ours)
    or any(given.e, names_ours) then
    return wanted.EVERYTHING
  end
  local output = given.T[#given.T] or "text"
  if output == "fields" and #given.e > 0 then return wanted.NOTHING end
  if output ~= "text" or #given.C > 0 or any(given.o, has_custom_column) or has_custom_column(preferences) then
    return wanted.EVERYTHING
  end
  return wanted.WORDS
end

local function text_of(path)
  local file = path and io.open(path, "rb")
  if not file then return "" end
  local text = file:read("*a") or ""
  file:close()
  return text
end

-- What this run of Wireshark leaves to look at; `arguments`: those of the script, which ask for more.
function wanted.now(arguments)
  if gui_enabled() or #arguments > 0 then return wanted.EVERYTHING end
  local words = {}
  for word in text_of("/proc/self/cmdline"):gmatch("(%Z*)%z") do words[#words + 1] = word end
  return wanted.by(words, text_of(persconffile_path("preferences")) .. text_of(datafile_path("preferences")))
end

return wanted
