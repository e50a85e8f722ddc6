-- SPDX-License-Identifier: GPL-2.0-or-later
-- Lua as both Wiresharks have it, and what Wireshark adds.
std = "min"
max_line_length = 120
read_globals = {
  "Address", "Column", "Dir", "Dissector", "DissectorTable", "Field", "Listener", "MENU_TOOLS_UNSORTED", "NSTime", "Pref", "Proto",
  "ProtoExpert", "ProtoField", "TextWindow", "Tvb", "TvbRange", "base", "datafile_path", "expert", "frametype", "get_version",
  "gui_enabled", "persconffile_path", "register_menu", "register_postdissector", "report_failure", "set_plugin_info",
  table = { fields = { "unpack" } },
}
