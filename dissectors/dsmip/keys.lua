-- SPDX-License-Identifier: GPL-2.0-or-later
-- Whether Wireshark may decrypt IKEv2: a single extractor makes it build the tree of every packet, half as much time
-- again, so there is none unless keys are there.

local keys = {}

local TABLE = "ikev2_decryption_table"

-- Whether the file at `path` has a line that is neither empty nor a comment.
local function has_records(path)
  local file = io.open(path)
  if not file then return false end
  local found = false
  for line in file:lines() do
    if line:find("^%s*[^#%s]") then
      found = true
      break
    end
  end
  file:close()
  return found
end

local function in_profiles()
  local folder = persconffile_path("profiles")
  if not Dir.exists(folder) then return false end
  for name in Dir.open(folder) do
    if has_records(folder .. "/" .. name .. "/" .. TABLE) then return true end
  end
  return false
end

-- On Linux a table given by `-o uat:...` shows in the command line; elsewhere the preference has to say so.
local function on_command_line()
  local file = io.open("/proc/self/cmdline", "rb")
  if not file then return false end
  local text = file:read("*a")
  file:close()
  return text:find("uat:" .. TABLE, 1, true) ~= nil
end

-- Whether keys for IKEv2 are in the personal configuration, in one of its profiles, or on the command line.
function keys.loaded()
  return has_records(persconffile_path(TABLE)) or in_profiles() or on_command_line()
end

return keys
