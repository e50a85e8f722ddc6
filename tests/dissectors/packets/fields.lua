-- SPDX-License-Identifier: GPL-2.0-or-later
-- Writes the tables of fields and expert infos for dissectors/README.md: lua5.4 fields.lua FOLDER_OF_DSMIP_LUA
package.path = arg[1] .. "/?.lua;" .. package.path

local all, experts = require("dsmip.fields").all()
local TYPES = { request = "frame", response = "frame", repeated = "frame", relative_time = "duration",
  absolute_time = "time" }

print("| field | type | what it says | clause | looks ahead |\n| --- | --- | --- | --- | --- |")
for _, one in ipairs(all) do
  print(("| `dsmip.%s` | %s | %s | %s | %s |"):format(one.name, TYPES[one.type] or one.type, one.text, one.clause or "",
    one.looks_ahead and "yes" or ""))
end
print("\n| expert info | severity | what it says | clause |\n| --- | --- | --- | --- |")
for _, one in ipairs(experts) do
  print(("| `dsmip.expert.%s` | %s | %s | %s |"):format(one.name, one.severity:lower(), one.text, one.clause or ""))
end
