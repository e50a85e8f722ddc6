-- SPDX-License-Identifier: GPL-2.0-or-later
-- Brings what the analysis found into the tree, the Info column, the menus and the output of tshark.

local folding = require("dsmip.folding")
local info = require("dsmip.info")
local ladder = require("dsmip.ladder")
local statistics = require("dsmip.statistics")
local steps = require("dsmip.steps")

local show = {}

local function interval(seconds)
  local whole = math.floor(seconds)
  local micro = math.floor((seconds - whole) * 1000000 + 0.5) -- a double of today's time is no finer
  if micro == 1000000 then whole, micro = whole + 1, 0 end
  return NSTime.new(whole, micro * 1000)
end

local function add(ctx, subtree, name, value)
  if value ~= nil then subtree:add(ctx.field[name], value):set_generated() end
end

local function ipv6(text)
  return text and text:find(":", 1, true) and Address.ipv6(text) or nil
end

local function add_session(ctx, subtree, session, hoa, coa)
  add(ctx, subtree, "session", session.number)
  add(ctx, subtree, "ue", session.ue)
  add(ctx, subtree, "apn", session.story.apn)
  add(ctx, subtree, "hoa", ipv6(hoa or session.story.first_hoa))
  add(ctx, subtree, "coa", coa or session.story.first_coa)
end

local function add_message(ctx, state, subtree, message)
  local session = message.session
  add_session(ctx, subtree, session, message.hoa_then, message.coa_then)
  add(ctx, subtree, "phase", message.phase)
  add(ctx, subtree, "step", message.step)
  add(ctx, subtree, "request_in", message.request)
  add(ctx, subtree, "response_in", message.answered_in)
  add(ctx, subtree, "retransmission_of", message.again)
  if message.request then
    local facts = state.facts
    add(ctx, subtree, "time_since_request", interval(message.time - facts.times[facts.first[message.request]]))
  end
  add(ctx, subtree, "time_since_start", interval(message.time - session.story.start))
  add(ctx, subtree, "info", info.words(message))
end

local function add_problems(ctx, subtree, message)
  for _, problem in ipairs(message.problems or {}) do
    ctx.remark(subtree, problem.expert, problem.text)
  end
end

local function title(message)
  local step = message.step
  if not step then return (", session %d"):format(message.session.number) end
  return (", session %d, step %d/%d: %s"):format(message.session.number, step, steps.COUNT, steps.names[step])
end

-- What is wrong, for the Info column: there the clause can go.
function show.wrong(text) return " ! " .. text:gsub("%s*%b()$", "") end

-- The first remark of a frame for the Info column, where a repetition is told already.
local function complaint(messages)
  for _, message in ipairs(messages) do
    for _, problem in ipairs(message.problems or {}) do
      if problem.expert ~= "retransmission" then return show.wrong(problem.text) end
    end
  end
  return ""
end

-- Shows what is known of a frame's messages.
function show.frame(ctx, state, frame, messages, pinfo)
  local message = messages[1]
  if message and not message.session then message = messages[2] end
  if message and message.session then
    if state.words then pinfo.cols.info:append(complaint(messages) .. info.sentence(message)) end
    if not frame.wanted and not message.problems then return end
    local line = frame.line()
    line:append_text(title(message))
    if frame.wanted then add_message(ctx, state, line, message) end
    for _, one in ipairs(messages) do add_problems(ctx, line, one) end
  end
end

-- Shows whose user traffic this is, when one of the (inner) addresses is a home address; unless that is `wanted`, only
-- what is wrong with it, as somebody may look for remarks alone.
function show.traffic(ctx, state, pinfo, tree, wanted)
  local analysis, number = state.analysis, pinfo.number
  analysis:advance(number)
  local homes = analysis.run.homes
  local session = homes[tostring(pinfo.src)] or homes[tostring(pinfo.dst)]
  local late = session and session.ended and session.ended < number
  if not late and not (session and wanted) then return end
  local subtree = tree:add(ctx.proto):set_generated()
  subtree:append_text((", session %d: traffic"):format(session.number))
  if wanted then add_session(ctx, subtree, session) end
  if late then
    local text = ("Traffic of a home address whose session ended in frame %d"):format(session.ended)
    ctx.remark(subtree, "after_detach", text .. " (TS 24.303 5.4)")
    if state.words then pinfo.cols.info:append(" ! " .. text) end
  end
end

local function in_tshark(state, arguments)
  local wanted = {}
  for _, word in ipairs(arguments) do wanted[word] = true end
  if not wanted.ladder and not wanted.sessions then return end
  local tap = Listener.new("frame")
  function tap.draw()
    if wanted.sessions then io.stdout:write(statistics.text(state)) end
    if wanted.ladder then io.stdout:write(ladder.text(state)) end
  end
end

local function in_menu(name, state, text)
  register_menu("DS-MIPv6/" .. name, function()
    local window = TextWindow.new("DS-MIPv6: " .. name)
    window:set(text(state, folding.WIDTH))
    window:add_button("Again", function() window:set(text(state, folding.WIDTH)) end)
  end, MENU_TOOLS_UNSORTED)
end

-- Registers menus, or what tshark was asked for by -X lua_script1:ladder and the like.
function show.register(ctx, state, arguments)
  state.words = ctx.proto.prefs.info
  function ctx.proto.prefs_changed() state.words = ctx.proto.prefs.info end
  if gui_enabled() then
    in_menu("Sessions", state, statistics.text)
    in_menu("Ladder", state, ladder.text)
  else
    in_tshark(state, arguments)
  end
end

return show
