-- SPDX-License-Identifier: GPL-2.0-or-later
-- The table of sessions, as text.

local folding = require("dsmip.folding")

local statistics = {}

local COLUMNS = { "session", "UE", "APN", "home address", "care-of", "phase", "from", "to", "s", "again", "problems" }

local function end_time(facts, session)
  local index = facts.first[session.story.last]
  return index and facts.times[index] or session.story.start
end

-- Problems by session number; repetitions have a column of their own.
local function problems_of(facts)
  local counts = {}
  for index = 1, facts.count do
    local session = facts.session[index]
    for _, problem in ipairs(session and facts.problems[index] or {}) do
      if problem.expert ~= "retransmission" then counts[session.number] = (counts[session.number] or 0) + 1 end
    end
  end
  return counts
end

local NARROW = "%7s  %-13s  %13s  %9s  %5s  %8s" -- session, phase, frames, seconds, repetitions, problems
local BELOW = 9

-- A session in lines of at most `width` characters: figures, and below them who and where.
local function narrow(cells, width)
  local number, ue, apn, hoa, coa, phase, first, last, seconds, again, problems = table.unpack(cells)
  local lines = { NARROW:format(number, phase, first .. " to " .. last, seconds, again, problems) }
  local function below(...)
    local known = {}
    for _, pair in ipairs({ ... }) do
      if pair[2] ~= "-" then known[#known + 1] = table.concat(pair, " ") end
    end
    if #known > 0 then
      lines[#lines + 1] = folding.fold((" "):rep(BELOW) .. table.concat(known, ", "), BELOW, width)
    end
  end
  below({ "UE", ue })
  below({ "HoA", hoa }, { "APN", apn })
  below({ "CoA", coa })
  return table.concat(lines, "\n")
end

local function row(facts, session, problems)
  local story = session.story
  return { ("%d"):format(session.number), session.ue or "-", story.apn or "-", session.hoa or "-", session.coa or "-",
    session.ended and "ended" or story.phase, ("%d"):format(story.first), ("%d"):format(story.last),
    ("%.3f"):format(end_time(facts, session) - story.start), ("%d"):format(story.repeats),
    ("%d"):format(problems[session.number] or 0) }
end

local function write(rows)
  local widths = {}
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  local lines = {}
  for _, cells in ipairs(rows) do
    local padded = {}
    for i, cell in ipairs(cells) do padded[i] = cell .. (" "):rep(widths[i] - #cell) end
    lines[#lines + 1] = (table.concat(padded, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function write_narrow(rows, width)
  local lines = { NARROW:format("session", "phase", "frames", "s", "again", "problems") }
  for i = 2, #rows do lines[i] = narrow(rows[i], width) end
  return table.concat(lines, "\n\n") .. "\n"
end

-- All sessions, one a line; with a `width`, in some lines of so many characters each.
function statistics.text(state, width)
  if not state.analysis then return "no capture\n" end
  state.analysis:advance(state.facts.highest)
  local rows, problems = { COLUMNS }, problems_of(state.facts)
  for _, session in ipairs(state.analysis.run.list) do rows[#rows + 1] = row(state.facts, session, problems) end
  if #rows == 1 then return "no DS-MIPv6 sessions\n" end
  return width and write_narrow(rows, width) or write(rows)
end

return statistics
