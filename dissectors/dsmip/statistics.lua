-- SPDX-License-Identifier: GPL-2.0-or-later
-- The table of sessions, as text.

local statistics = {}

local COLUMNS = { "session", "UE", "APN", "home address", "care-of", "phase", "from", "to", "s", "again", "problems" }

local function end_time(state, session)
  local last = state.listening.facts.first[session.last]
  return last and last.time or session.start
end

-- Problems by session number; repetitions have a column of their own.
local function problems_of(state)
  local counts = {}
  for _, first in ipairs(state.listening.facts.order) do
    local message = first
    while message do
      for _, problem in ipairs(message.session and message.problems or {}) do
        local number = message.session.number
        if problem.expert ~= "retransmission" then counts[number] = (counts[number] or 0) + 1 end
      end
      message = message.next
    end
  end
  return counts
end

local function row(state, session, problems)
  return { ("%d"):format(session.number), session.ue or "-", session.apn or "-", session.hoa or "-", session.coa or "-",
    session.ended and "ended" or session.phase, ("%d"):format(session.first), ("%d"):format(session.last),
    ("%.3f"):format(end_time(state, session) - session.start), ("%d"):format(session.repeats),
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
  state.analysis:advance(state.listening.facts.highest)
  local rows, problems = { COLUMNS }, problems_of(state)
  for _, session in ipairs(state.analysis.run.list) do rows[#rows + 1] = row(state, session, problems) end
  if #rows == 1 then return "no DS-MIPv6 sessions\n" end
  return write(rows)
end

return statistics
