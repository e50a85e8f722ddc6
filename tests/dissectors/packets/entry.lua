-- SPDX-License-Identifier: GPL-2.0-or-later
-- The smallest entry that loads the modules of values: for their tests, without sessions.

local here = debug.getinfo(1, "S").source:match("^@(.*)tests/dissectors/packets/[^/]*$")
package.path = here .. "dissectors/?.lua;" .. package.path

local mobility = require("dsmip.mobility")
local safe_call = require("dsmip.safe_call")
local parts = { require("dsmip.mobility_tree"), require("dsmip.dhcpv6_tree"), (require("dsmip.ike_tree")) }

local proto = Proto("dsmip", "DS-MIPv6")
local ctx = { proto = proto, field = {}, expert = {} }
local hooks, inits, frame = {}, {}, {}

local function new_field(spec)
  local name = "dsmip." .. spec.name
  if spec.type == "absolute_time" then return ProtoField.absolute_time(name, spec.text, base.UTC) end
  if not spec.type:find("^uint") then return ProtoField[spec.type](name, spec.text) end
  return ProtoField[spec.type](name, spec.text, base[spec.base or "DEC"], spec.values)
end

for _, part in ipairs(parts) do
  for _, spec in ipairs(part.fields) do ctx.field[spec.name] = new_field(spec) end
  for _, spec in ipairs(part.experts) do
    ctx.expert[spec.name] = ProtoExpert.new("dsmip.expert." .. spec.name, spec.text, expert.group[spec.group],
      expert.severity[spec.severity])
  end
end
proto.fields, proto.experts = ctx.field, ctx.expert

function ctx.extract(name)
  local field = Field.new(name)
  return function() return { field() } end
end

function ctx.on_frame(hook) hooks[#hooks + 1] = hook end

function ctx.on_init(hook) inits[#inits + 1] = hook end

local function add(list, number, item)
  if frame.number ~= number then frame = { number = number } end
  frame[list] = frame[list] or {}
  table.insert(frame[list], item)
end

local function wrap(table_name, pattern, name, note)
  local dissectors, wrapper, original = DissectorTable.get(table_name), Proto(name, name), nil
  function wrapper.dissector(tvb, pinfo, tree)
    local range = tvb:range(0, tvb:captured_len())
    local length = safe_call.call(original, tvb, pinfo, tree)
    note(pinfo, { range = range, octets = range:raw(), cut = tvb:reported_len() > tvb:captured_len() }, length)
    return length
  end
  ctx.on_init(function() -- not before: preferences, applied after Lua is loaded, set the ports anew in 4.4
    local current = dissectors:get_dissector(pattern)
    if tostring(current) == name:upper() then return end
    original = current
    dissectors:set(pattern, wrapper)
  end)
end

wrap("ip.proto", 135, "dsmip_test_mh", function(pinfo, header, length)
  header.message, header.reason = mobility.read(header.octets, length)
  header.src, header.dst, header.net_src, header.net_dst = pinfo.src, pinfo.dst, pinfo.net_src, pinfo.net_dst
  add("mobility", pinfo.number, header)
end)
for _, port in ipairs({ 546, 547 }) do
  wrap("udp.port", port, "dsmip_test_" .. port, function(pinfo, message) add("dhcpv6", pinfo.number, message) end)
end

for _, part in ipairs(parts) do part.attach(ctx) end
require("dsmip.udp4191").attach()

function proto.init()
  frame = {}
  for _, hook in ipairs(inits) do hook() end
end

function proto.dissector(tvb, pinfo, tree)
  local current = frame.number == pinfo.number and frame or { number = pinfo.number }
  frame = {}
  current.tree = tree:add(proto, tvb:range(0, 0))
  current.wanted = tree:referenced(Dissector.get("dsmip"))
  for _, hook in ipairs(hooks) do hook(current) end
end

register_postdissector(proto)
