-- SPDX-License-Identifier: GPL-2.0-or-later
-- The sessions as ladders between UE and home agent, as text.

local folding = require("dsmip.folding")
local info = require("dsmip.info")
local steps = require("dsmip.steps")

local ladder = {}

local MOST = 2000 -- lines; a text window is not for more
local ARROWS = { [true] = "UE ──▶", [false] = "UE ◀──" }

local function from_ue(message)
  if message.kind == "dns" or message.kind == "dhcpv6" then return not message.response end
  return message.from_ue == true
end

local BESIDE, BELOW = 31, 14 -- columns of what is wrong: below the words, or where there is less room

local function line(message, width)
  local again = message.again and (" (again, frame %d)"):format(message.again) or ""
  local step = message.step and ("%d/%d"):format(message.step, steps.COUNT) or "   "
  local text = ("%7d %11.6f  %s  %s %s%s"):format(message.number, message.time - message.session.story.start, step,
    ARROWS[from_ue(message)], info.words(message), again)
  local indent = width and BELOW or BESIDE
  local lines = { folding.fold(text, indent, width) }
  for _, problem in ipairs(message.problems or {}) do
    if problem.expert ~= "retransmission" then
      lines[#lines + 1] = folding.fold((" "):rep(indent) .. "! " .. problem.text, indent + 2, width)
    end
  end
  return table.concat(lines, "\n")
end

local function head(session, width)
  local peers = { ("Session %d: UE %s"):format(session.number, session.ue or session.coa or "?") }
  if session.ha then peers[#peers + 1] = "home agent " .. session.ha end
  if session.hoa then peers[#peers + 1] = "HoA " .. session.hoa end
  return table.concat(peers, width and ",\n  " or ", ")
end

local function lines_of(facts, width)
  local lines, count = {}, 0
  for index = 1, facts.count do
    local session = facts.session[index]
    local message = session and facts:recall(index)
    if message and message.kind ~= "gap" then
      count = count + 1
      if count > MOST then return lines, true end
      lines[session.number] = lines[session.number] or {}
      table.insert(lines[session.number], line(message, width))
    end
  end
  return lines, false
end

-- All sessions one after the other: frame, seconds since the session's start, step, arrow, words; in lines of `width`
-- characters if there is one.
function ladder.text(state, width)
  if not state.analysis then return "no capture\n" end
  state.analysis:advance(state.facts.highest)
  local lines, cut = lines_of(state.facts, width)
  local out = {}
  for _, session in ipairs(state.analysis.run.list) do
    if lines[session.number] then
      out[#out + 1] = head(session, width)
      out[#out + 1] = table.concat(lines[session.number], "\n") .. "\n"
    end
  end
  if cut then out[#out + 1] = ("Only the first %d messages are shown: filter the capture by session."):format(MOST) end
  if #out == 0 then return "no DS-MIPv6 sessions\n" end
  return table.concat(out, "\n") .. "\n"
end

return ladder
