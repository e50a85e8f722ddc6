-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tree items for the Mobile IPv6 options of DHCPv6 (RFC 6610), of which Wireshark shows nothing but the names.

local dhcpv6 = require("dsmip.dhcpv6")

local tree = {}

tree.fields = {
  { name = "dhcpv6.option", type = "uint16", text = "DHCPv6 option", clause = "RFC 6610 3", values = dhcpv6.names },
  { name = "dhcpv6.home_network", type = "string", text = "Home network", clause = "RFC 6610 3.1" },
  { name = "dhcpv6.home_prefix", type = "ipv6", text = "Home network prefix", clause = "RFC 6610 3.3" },
  { name = "dhcpv6.home_prefix.length", type = "uint8", text = "Length of the prefix", clause = "RFC 6610 3.3" },
  { name = "dhcpv6.home_agent", type = "ipv6", text = "Home agent address", clause = "RFC 6610 3.4" },
  { name = "dhcpv6.home_agent_ipv4", type = "ipv4", text = "IPv4 home agent address",
    clause = "RFC 6610 3.4, 6052 2.1" },
  { name = "dhcpv6.home_agent_name", type = "string", text = "Home agent name", clause = "RFC 6610 3.5" },
}

tree.experts = {
  { name = "dhcpv6.malformed", group = "MALFORMED", severity = "ERROR", text = "Mobile IPv6 option of DHCPv6 malformed",
    clause = "RFC 6610 3" },
  { name = "dhcpv6.outside", group = "PROTOCOL", severity = "WARN",
    text = "Home network option outside a container: clients discard it", clause = "RFC 6610 4.1.2" },
}

local REPLY, RELAY_REPLY = 7, 13
local ONLY_INSIDE = { [49] = true, [71] = true, [72] = true, [73] = true }

local SHOW = {
  [49] = function(o, add) add("dhcpv6.home_network", 0, o.length, o.name_value) end,
  [71] = function(o, add)
    add("dhcpv6.home_prefix", 1, 16)
    add("dhcpv6.home_prefix.length", 0, 1, o.prefix_length)
  end,
  [72] = function(o, add)
    add("dhcpv6.home_agent", 0, 16)
    if o.address4 then add("dhcpv6.home_agent_ipv4", 12, 4) end
  end,
  [73] = function(o, add) add("dhcpv6.home_agent_name", 0, o.length, o.name_value) end,
}

local function show_options(ctx, where, range, options, answer, inside)
  for _, option in ipairs(options) do
    local item = where:add(ctx.field["dhcpv6.option"], range:range(option.at, 2), option.code)
    local function add(name, at, length, value)
      local part = range:range(option.data_at + at, length)
      if value == nil then return item:add(ctx.field[name], part) end
      return item:add(ctx.field[name], part, value)
    end
    local readable = option.length > 0 and (option.name_value or option.prefix or option.address)
    if readable and SHOW[option.code] then SHOW[option.code](option, add) end
    if option.problem then
      ctx.remark(item, "dhcpv6.malformed", ("%s: %s"):format(option.name, option.problem))
    end
    if answer and not inside and ONLY_INSIDE[option.code] then
      ctx.remark(item, "dhcpv6.outside",
        ("%s outside options 50, 69 and 70: clients discard it (RFC 6610 4.1.2)"):format(option.name))
    end
    if option.children then show_options(ctx, item, range, option.children, answer, true) end
  end
end

-- Adds the items of the DHCPv6 message in `range` (a TvbRange) with its `octets`; `cut` when the capture shortened it;
-- `line` returns the item to add them to, and is called only when there are some.
function tree.show(ctx, line, range, octets, cut)
  local options, kind, stopped = dhcpv6.read(octets)
  if #options == 0 then return end
  local parent = line()
  show_options(ctx, parent, range, options, kind == REPLY or kind == RELAY_REPLY, false)
  if stopped and not cut then
    ctx.remark(parent, "dhcpv6.malformed", "DHCPv6: " .. stopped)
  end
end

-- Takes part in the dissection: frame.dhcpv6 lists the DHCPv6 messages of a frame, each with range, octets and cut.
function tree.attach(ctx)
  ctx.on_frame(function(frame)
    for _, message in ipairs(frame.wanted and frame.dhcpv6 or {}) do
      tree.show(ctx, frame.line, message.range, message.octets, message.cut)
    end
  end)
end

return tree
