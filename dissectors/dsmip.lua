-- SPDX-License-Identifier: GPL-2.0-or-later
-- DS-MIPv6 over S2c (RFC 5555, 3GPP TS 24.303): what Wireshark's own dissectors leave out. The one entry file; its
-- modules are in dsmip/. Wireshark 4.0 (Lua 5.2) and later; see README.md.
--
-- Modules with fields (`fields.modules`) have `fields`, `experts` and `attach(ctx)`:
--   ctx.proto, ctx.field[name], ctx.expert[name]   names without "dsmip." and "dsmip.expert."
--   ctx.extract(field)    function that returns a list of FieldInfo, empty when there are no keys and so no extractors
--   ctx.on_frame(fn)      fn(frame) for frames of ours: number, wanted (somebody asks for our items), tree (then),
--                         mobility (list of {range, octets, message, reason, cut, src, dst, net_src, net_dst}),
--                         dhcpv6 (list of {range, octets, cut})
--   ctx.on_init(fn)       fn() when a capture is about to be read from its start

local VERSION = "1.0.0"
local OLDEST = 4 -- Wireshark 4.0

local function complain(text)
  if gui_enabled() then report_failure(text) else io.stderr:write(text, "\n") end
end

local major = tonumber(get_version():match("^(%d+)"))
if not major or major < OLDEST then
  complain(("dsmip.lua needs Wireshark %d.0 or later, this is %s"):format(OLDEST, get_version()))
  return
end

-- Installed and given by -X lua_script as well: the first one stays.
if package.loaded["dsmip.registered"] then return end
package.loaded["dsmip.registered"] = VERSION

set_plugin_info({ version = VERSION, author = "mn-dsmip", repository = "mn-dsmip",
  description = "DS-MIPv6 over S2c: sessions, deviations, values" })

require("dsmip.plugin").register({ ... })
