-- SPDX-License-Identifier: GPL-2.0-or-later
-- Puts the parts together and registers them with Wireshark.

local analysis = require("dsmip.analysis")
local capture = require("dsmip.capture")
local facts = require("dsmip.facts")
local fields = require("dsmip.fields")
local keys = require("dsmip.keys")
local mobility = require("dsmip.mobility")
local payloads = require("dsmip.payloads")
local show = require("dsmip.show")

local plugin = {}

-- Extractors by name; without keys there is nothing that they could find, and they cost.
local function extractors(with_keys)
  local made = {}
  return function(name)
    if not made[name] then
      local ok, field = pcall(Field.new, with_keys and name or "")
      made[name] = ok and with_keys and function() return { field() } end or function() return {} end
    end
    return made[name]
  end
end

local function context(proto, with_keys)
  local ctx = { proto = proto, frame_hooks = {}, init_hooks = {}, extract = extractors(with_keys) }
  ctx.field, ctx.expert = fields.create(proto)
  function ctx.on_frame(hook) ctx.frame_hooks[#ctx.frame_hooks + 1] = hook end
  function ctx.on_init(hook) ctx.init_hooks[#ctx.init_hooks + 1] = hook end
  return ctx
end

-- What decryption shows of the frame's IKE messages goes to the facts.
local function reveal(state, messages)
  local message = messages[1]
  if message.kind ~= "ike" or not message.inside or message.inner then return end
  local field = state.decrypted()[1]
  if not field then return end
  local bytes = field.source:raw(field.offset, field.len)
  state.facts:reveal(message, payloads.chain(bytes, message.inside, 0, #bytes))
end

local AUTHENTICATION = 9

local function signed(messages)
  for _, message in ipairs(messages or {}) do
    if message.options and message.options[AUTHENTICATION] then return true end
  end
  return false
end

local function mobility_of(messages, pinfo)
  local headers = {}
  for _, message in ipairs(messages or {}) do
    local tvb = message.tvb
    if tvb then
      local on_wire = tvb:reported_len() + message.missing
      local header = { range = tvb:range(0, #message.raw), octets = message.raw, src = pinfo.src, dst = pinfo.dst,
        net_src = pinfo.net_src, net_dst = pinfo.net_dst, cut = on_wire > #message.raw }
      header.message, header.reason = mobility.read(message.raw, on_wire)
      headers[#headers + 1] = header
    end
  end
  return headers
end

local function run_hooks(ctx, frame, messages, containers, pinfo)
  if not frame.wanted and not signed(messages) then return end
  frame.mobility, frame.dhcpv6 = mobility_of(messages, pinfo), containers or {}
  for _, container in ipairs(frame.dhcpv6) do container.range = container.tvb:range(0, #container.octets) end
  for _, hook in ipairs(ctx.frame_hooks) do hook(frame) end
end

-- The frame's messages with what the analysis made of them.
local function recall(state, number, seen)
  local first, last = state.facts:range(number)
  if not first then return {} end
  for i = first, last do seen[i - first + 1] = state.facts:recall(i, seen[i - first + 1]) end
  return seen
end

-- One frame with messages, after Wireshark's own dissectors.
local function dissect(ctx, state, pinfo, tree, seen, containers)
  local number = pinfo.number
  local fresh = seen and seen[1].index and state.facts.live[seen[1].index] == seen[1] -- noted just now
  local messages = fresh and seen or (seen and recall(state, number, seen)) or {}
  if messages[1] then
    reveal(state, messages)
    state.analysis:advance(number)
    if not fresh then messages = recall(state, number, messages) end
  end
  local frame = { number = number, wanted = tree:referenced(state.dissector) }
  show.frame(ctx, state, frame, messages, pinfo, tree)
  run_hooks(ctx, frame, messages, containers, pinfo)
end

function plugin.register(arguments)
  local proto = Proto("dsmip", "DS-MIPv6 over S2c")
  local with_keys = keys.loaded()
  local ctx = context(proto, with_keys)
  proto.prefs.info = Pref.bool("Sentence in the Info column", true, "Say in words what a message is in its session")
  for _, name in ipairs(fields.modules) do require(name).attach(ctx) end
  require("dsmip.udp4191").attach()
  local keep = with_keys or gui_enabled() or #arguments > 0
  local state = { decrypted = ctx.extract("isakmp.enc.decrypted") }
  local listening = capture.start(function() return facts.new(keep) end)
  function proto.init()
    listening.reset()
    state.facts = listening.facts
    state.analysis = analysis.new(state.facts)
    for _, hook in ipairs(ctx.init_hooks) do hook() end
  end
  function proto.dissector(_, pinfo, tree)
    local seen, containers = listening.finish(pinfo)
    state.dissector = state.dissector or Dissector.get("dsmip")
    if seen or containers then
      dissect(ctx, state, pinfo, tree, seen, containers)
    elseif state.facts.count > 0 and tree:referenced(state.dissector) then
      show.traffic(ctx, state, pinfo, tree)
    end
  end
  register_postdissector(proto)
  show.register(ctx, state, arguments)
end

return plugin
