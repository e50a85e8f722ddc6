-- SPDX-License-Identifier: GPL-2.0-or-later
-- One source for Lua 5.2 (Wireshark 4.0) and 5.4 (4.4): what only one of them has is no global here.
std = "min"
max_line_length = 120
read_globals = {
  "bit", "table.pack", "table.unpack", "rawlen", "package.searchpath",
  -- Wireshark's Lua API
  "Address", "ByteArray", "Dir", "Dissector", "DissectorTable", "Field", "Listener", "NSTime", "Pref", "Proto",
  "ProtoExpert", "ProtoField", "TextWindow", "Tvb", "UInt64", "base", "expert", "frametype", "ftypes",
  "get_preference", "get_version", "gui_enabled", "persconffile_path", "register_menu", "register_postdissector",
  "set_plugin_info", "set_preference", "report_failure", "critical", "warn", "message", "info", "debug", "all_field_infos",
}
files["tests/dissectors/packets/driver.lua"] = { std = "max" }
