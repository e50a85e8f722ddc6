-- SPDX-License-Identifier: GPL-2.0-or-later
-- Goes over what the capture said in the order of its frames and writes down for each message what session it belongs
-- to, its step, the request it answers, what is wrong with it. What is written for a frame depends on the messages up
-- to that frame alone; when decryption tells more about an earlier frame, the walk starts anew. So the order in which
-- Wireshark visits frames does not matter.
--
-- Written to a message: session, step, phase, coa_then, hoa_then, request, again (numbers of frames), problems (list of
-- {expert, text}). `answered_in` of the facts looks ahead: it stays over a new start, being told by octets alone.

local binding = require("dsmip.binding")
local ike = require("dsmip.ike_session")
local sessions = require("dsmip.sessions")
local steps = require("dsmip.steps")

local analysis = {}
analysis.__index = analysis

-- Lists of problems by their texts: many messages of a capture have the same.
local function complaints()
  local known = {}
  return function(message, expert, text, value)
    if value then text = text:format(value) end
    local before = message.problems
    local key = before and before.key .. "\n" .. text or text
    local list = known[key]
    if not list then
      list = { key = key }
      for i, one in ipairs(before or {}) do list[i] = one end
      list[#list + 1] = { expert = expert, text = text }
      known[key] = list
    end
    message.problems = list
  end
end

function analysis.new(facts)
  local self = setmetatable({ facts = facts, complain = complaints() }, analysis)
  self:restart()
  return self
end

function analysis:restart()
  self.position, self.number = 0, 0
  self.known = self.facts.count -- messages up to this one may have been gone over before
  self.run = sessions.new(self.facts)
end

local function queries_of(run, client)
  local queries = run.queries[client]
  if not queries then
    queries = {}
    run.queries[client] = queries
  end
  return queries
end

-- A query that is no repetition: its session, and what its answer needs.
local function ask(run, queries, key, message)
  local question = message.question
  local session = sessions.discovering(run, message, question)
  local asked = { number = message.number, session = session, question = question, answer = nil }
  if message.index then asked.index = message.index end
  queries[key], message.session = asked, session
end

local PORTS = 0x10000

local function dns(run, message)
  local queries, key = queries_of(run, message.client), message.id * PORTS + message.port
  local asked = queries[key]
  if asked and asked.question ~= message.question then asked = nil end
  if not message.response then
    if asked and not asked.answer then
      message.again, message.session = asked.number, asked.session
    else
      ask(run, queries, key, message)
    end
  elseif asked then
    sessions.answer(run, asked, message)
    message.session = asked.session
    sessions.offer(message.session, message.addresses)
  end
  message.step = steps.DISCOVERY
end

local function dhcpv6(run, message)
  local queries = queries_of(run, message.client)
  local asked = queries[message.id]
  if not message.response then
    if asked and not asked.answer then
      message.again, message.session = asked.number, asked.session
    else
      ask(run, queries, message.id, message)
    end
  else
    if asked then sessions.answer(run, asked, message) end
    message.session = asked and asked.session or sessions.discovering(run, message, message.question)
    sessions.offer(message.session, message.addresses)
    run.unplaced[#run.unplaced + 1] = message.session -- its client's address is link-local, IKE's is not
  end
  message.step = steps.DISCOVERY
end

local function esp(run, message)
  message.session = sessions.of_home_address(run, message)
end

local UNKNOWN_TO_UE = 110 -- seconds, NATKATIMEOUT (RFC 5555 6)
local SLACK = 1 -- seconds of delay on the way

local function gap(run, message, complain)
  local session = run.nat[message.coa .. " " .. message.port]
  if not session or not session.bound or not session.refresh then return end
  local allowed = session.refresh > 0 and session.refresh or UNKNOWN_TO_UE
  if message.seconds > allowed + SLACK then
    message.session = session
    complain(message, "keepalive.late", ("Silent for %.0f s, the NAT's binding is good for %d s (RFC 5555 4.3)"):format(
      message.seconds, allowed))
  end
end

local READ = { mh = binding.read, ike = ike.read, dns = dns, dhcpv6 = dhcpv6, esp = esp, gap = gap }

local function forget(message)
  message.session, message.step, message.phase, message.problems = nil, nil, nil, nil
  message.request, message.again, message.answer, message.ends = nil, nil, nil, nil
end

local function read(run, message, complain)
  READ[message.kind](run, message, complain)
  local session = message.session
  if not session then return end
  local story = session.story
  story.last = message.number
  story.phase = message.phase or steps.phases[message.step] or story.phase
  message.phase, message.hoa_then, message.coa_then = story.phase, session.hoa, session.coa
  if message.again then
    story.repeats = story.repeats + 1
    complain(message, "retransmission", "Repeats frame %d", message.again)
  end
end

-- For those who go over the messages of a capture once, in order, for their sentences: functions by kind, of a run
-- (`sessions.new(nil)`), a message, and what to call with it for what is wrong: (message, expert, text, value or nil).
analysis.read = READ

-- Goes on to frame `number`; what is written for its messages is then complete as far as it looks back.
function analysis:advance(number)
  local facts = self.facts
  if facts.changed then
    if facts.changed <= self.number then self:restart() end
    facts.changed = nil
  end
  local index = self.position + 1
  while index <= facts.count and facts.numbers[index] <= number do
    local message = facts:message(index)
    if index <= self.known then forget(message) end
    read(self.run, message, self.complain)
    facts:store(message)
    self.position, self.number = index, message.number
    index = index + 1
  end
end

return analysis
