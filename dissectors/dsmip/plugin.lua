-- SPDX-License-Identifier: GPL-2.0-or-later
-- Puts the parts together and registers them with Wireshark.

local analysis = require("dsmip.analysis")
local capture = require("dsmip.capture")
local facts = require("dsmip.facts")
local fields = require("dsmip.fields")
local info = require("dsmip.info")
local keys = require("dsmip.keys")
local mobility = require("dsmip.mobility")
local payloads = require("dsmip.payloads")
local quick = require("dsmip.quick")
local sessions = require("dsmip.sessions")
local show = require("dsmip.show")
local wanted = require("dsmip.wanted")

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
  -- An expert info at `item`, and its words as a field of its own: one filter finds them all.
  function ctx.remark(item, name, text)
    item:add_proto_expert_info(ctx.expert[name], text)
    local words = item:add(ctx.field.expert, text)
    words:set_generated()
    words:set_hidden()
  end
  function ctx.on_frame(hook) ctx.frame_hooks[#ctx.frame_hooks + 1] = hook end
  function ctx.on_init(hook) ctx.init_hooks[#ctx.init_hooks + 1] = hook end
  return ctx
end

-- The chain that decryption shows of the frame's IKE message, nil when there is none; `into`: see `payloads.chain`.
local function decrypted(state, message, into)
  if message.kind ~= "ike" or not message.inside or message.inner then return nil end
  local field = state.decrypted()
  if not field then return nil end
  local bytes = quick.bytes(field)
  return (payloads.chain(bytes, message.inside, 0, #bytes, into))
end

local AUTHENTICATION = 9

local function signed(messages)
  for _, message in ipairs(messages) do
    if message.options and message.options[AUTHENTICATION] then return true end
  end
  return false
end

local function run_hooks(ctx, frame, messages, mobility_headers, containers, pinfo)
  if not frame.wanted and not signed(messages) then return end
  for _, header in ipairs(mobility_headers) do
    header.range, header.src, header.dst = header.tvb:range(0, #header.octets), pinfo.src, pinfo.dst
    header.net_src, header.net_dst, header.cut = pinfo.net_src, pinfo.net_dst, header.on_wire > #header.octets
    header.message, header.reason = mobility.read(header.octets, header.on_wire)
  end
  for _, container in ipairs(containers) do container.range = container.tvb:range(0, #container.octets) end
  frame.mobility, frame.dhcpv6 = mobility_headers, containers
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
local function dissect(ctx, state, pinfo, tree, seen, mobility_headers, containers)
  local number, messages = pinfo.number, seen
  if seen[1] then
    local fresh = seen[1].index and state.facts.live[seen[1].index] == seen[1] -- noted just now
    if not fresh then messages = recall(state, number, seen) end
    if messages[1] then
      local chain = decrypted(state, messages[1])
      if chain then state.facts:reveal(messages[1], chain) end
      state.analysis:advance(number)
      if not fresh then messages = recall(state, number, messages) end
    end
  end
  local frame, line = { number = number, wanted = tree:referenced(state.dissector) }, nil
  function frame.line()
    line = line or tree:add(ctx.proto):set_generated()
    return line
  end
  show.frame(ctx, state, frame, messages, pinfo)
  run_hooks(ctx, frame, messages, mobility_headers, containers, pinfo)
end

-- Shows everything: at the end of each frame, into its tree.
local function register_in_full(ctx, state, arguments)
  local keep = state.with_keys or gui_enabled() or #arguments > 0
  local listening = capture.start(function() return facts.new(keep) end)
  function ctx.proto.init()
    listening.reset()
    state.facts = listening.facts
    state.analysis = analysis.new(state.facts)
    for _, hook in ipairs(ctx.init_hooks) do hook() end
  end
  function ctx.proto.dissector(_, pinfo, tree)
    local seen, mobility_headers, containers = listening.finish(pinfo)
    state.dissector = state.dissector or Dissector.get("dsmip")
    if seen then
      dissect(ctx, state, pinfo, tree, seen, mobility_headers, containers)
    elseif state.facts.count > 0 then
      show.traffic(ctx, state, pinfo, tree, tree:referenced(state.dissector))
    end
  end
  register_postdissector(ctx.proto)
end

local PAUSE = 400 -- per cent: memory is collected when there is four times as much, not twice

-- Writes sentences into the Info column and nothing else: the messages of a capture that is read once, from start to
-- end, need not be kept, and frames without any are not looked at.
local function register_for_words(ctx, state)
  local read, with_keys, chain = analysis.read, state.with_keys, {}
  local sentence, append = info.sentence, quick.append
  local run, words, number_of, time_of, column_of, wrong
  local function complain(_, _, text, value)
    wrong = wrong or show.wrong(value and text:format(value) or text)
  end
  local listening
  listening = capture.start(function() return { highest = 0 } end, function(messages, count, pinfo)
    if not words then return end
    if not number_of then number_of, time_of, column_of = quick.number, quick.abs_ts, quick.info end
    local message, number = messages[1], number_of(pinfo)
    message.number, wrong = number, nil
    if message.exchange and not message.response then message.time = time_of(pinfo) end -- nobody else needs it
    if with_keys then message.inner = decrypted(state, message, chain) end
    read[message.kind](run, message, complain)
    for i = 2, count do
      local another = messages[i]
      another.number, another.time = number, time_of(pinfo)
      read[another.kind](run, another, complain)
    end
    if not message.session then message = messages[2] end
    if message and message.session then
      local text = sentence(message)
      append(column_of(pinfo), wrong and wrong .. text or text)
    end
  end)
  function ctx.proto.init()
    listening.reset()
    run, words = sessions.new(nil), ctx.proto.prefs.info
  end
  function ctx.proto.dissector() end
  collectgarbage("setpause", PAUSE)
end

function plugin.register(arguments)
  local proto = Proto("dsmip", "DS-MIPv6 over S2c")
  local level = wanted.now(arguments)
  local with_keys = level ~= wanted.NOTHING and keys.loaded()
  local ctx = context(proto, with_keys and level == wanted.EVERYTHING)
  local state = { with_keys = with_keys, decrypted = with_keys and Field.new("isakmp.enc.decrypted") or function() end }
  proto.prefs.info = Pref.bool("Sentence in the Info column", true, "Say in words what a message is in its session")
  for _, name in ipairs(fields.modules) do require(name).attach(ctx) end
  require("dsmip.udp4191").attach()
  if level == wanted.EVERYTHING then
    register_in_full(ctx, state, arguments)
  elseif level == wanted.WORDS then
    register_for_words(ctx, state)
  end
  show.register(ctx, state, arguments)
end

return plugin
