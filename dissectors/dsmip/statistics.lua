-- SPDX-License-Identifier: GPL-2.0-or-later
-- The table of sessions, as text.

local statistics = {}

local COLUMNS = { "session", "UE", "APN", "home address", "care-of", "phase", "from", "to", "s", "again", "problems" }

local function end_time(facts, session)
  local index = facts.first[session.last]
  return index and facts.times[index] or session.start
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

local function row(facts, session, problems)
  return { ("%d"):format(session.number), session.ue or "-", session.apn or "-", session.hoa or "-", session.coa or "-",
    session.ended and "ended" or session.phase, ("%d"):format(session.first), ("%d"):format(session.last),
    ("%.3f"):format(end_time(facts, session) - session.start), ("%d"):format(session.repeats),
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

-- All sessions, one a line.
function statistics.text(state)
  if not state.analysis then return "no capture\n" end
  state.analysis:advance(state.facts.highest)
  local rows, problems = { COLUMNS }, problems_of(state.facts)
  for _, session in ipairs(state.analysis.run.list) do rows[#rows + 1] = row(state.facts, session, problems) end
  if #rows == 1 then return "no DS-MIPv6 sessions\n" end
  return write(rows)
end

return statistics
