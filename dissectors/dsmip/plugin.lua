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
local function reveal(state, first, decrypted)
  local message = first
  while message and not (message.kind == "ike" and message.inside and not message.inner) do message = message.next end
  if not message then return end
  local field = decrypted()[1]
  if not field then return end
  local bytes = field.source:raw(field.offset, field.len)
  state.listening.facts:reveal(message, payloads.chain(bytes, message.inside, 0, #bytes))
end

local AUTHENTICATION = 9

local function mobility_of(frame, headers)
  frame.mobility = {}
  for i, header in ipairs(headers) do
    local captured = header.tvb:captured_len()
    header.range, header.octets = header.tvb:range(0, captured), header.tvb:raw(0, captured)
    header.cut = header.tvb:reported_len() > captured
    header.message, header.reason = mobility.read(header.octets, header.tvb:reported_len())
    frame.mobility[i] = header
  end
end

local function dhcpv6_of(frame, messages)
  frame.dhcpv6 = messages
  for _, message in ipairs(messages) do message.range = message.tvb:range(0, #message.octets) end
end

local function run_hooks(ctx, frame, heard, message)
  local signed = message and message.kind == "mh" and message.options[AUTHENTICATION]
  if not frame.wanted and not signed then return end
  if heard.headers then mobility_of(frame, heard.headers) end
  if heard.dhcpv6 then dhcpv6_of(frame, heard.dhcpv6) end
  for _, hook in ipairs(ctx.frame_hooks) do hook(frame) end
end

-- One frame, after Wireshark's own dissectors.
local function dissect(ctx, state, pinfo, tree)
  local listening = state.listening
  local heard = listening.finish(pinfo)
  if not heard then return end
  local number = pinfo.number
  local first = listening.facts.first[number]
  if first then
    reveal(state, first, state.decrypted)
    state.analysis:advance(number)
  end
  local frame = { number = number, wanted = tree:referenced(state.dissector) }
  show.frame(ctx, state, frame, first, heard, pinfo, tree)
  run_hooks(ctx, frame, heard, first)
end

function plugin.register(arguments)
  local proto = Proto("dsmip", "DS-MIPv6 over S2c")
  local ctx = context(proto, keys.loaded())
  proto.prefs.info = Pref.bool("Sentence in the Info column", true, "Say in words what a message is in its session")
  for _, name in ipairs(fields.modules) do require(name).attach(ctx) end
  require("dsmip.udp4191").attach()
  local state = { listening = capture.start(facts), decrypted = ctx.extract("isakmp.enc.decrypted") }
  function proto.init()
    state.listening.reset()
    state.analysis = analysis.new(state.listening.facts)
    for _, hook in ipairs(ctx.init_hooks) do hook() end
  end
  function proto.dissector(_, pinfo, tree)
    state.dissector = state.dissector or Dissector.get("dsmip")
    dissect(ctx, state, pinfo, tree)
  end
  register_postdissector(proto)
  show.register(ctx, state, arguments)
end

return plugin
