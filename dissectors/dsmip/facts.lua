-- SPDX-License-Identifier: GPL-2.0-or-later
-- What the frames of a capture said and what the analysis made of it, in columns by message (a table for each message
-- would be ten times as large). Wireshark reads a file from start to end once, then again in any order: messages are
-- appended in the first reading, what only decryption tells is added whenever it is there.

local records = require("dsmip.records")

local facts = {}
facts.__index = facts

local RESULTS = { "session", "step", "phase", "request", "again", "problems", "hoa_then", "coa_then" }

-- `keep`: whether messages will be wanted again, for a new start of the analysis or for a ladder.
function facts.new(keep)
  local self = { keep = keep, count = 0, highest = 0, first = {}, numbers = {}, times = {}, kept = {}, live = {},
    answered_in = {}, changed = nil }
  for _, name in ipairs(RESULTS) do self[name] = {} end
  return setmetatable(self, facts)
end

-- Appends the messages of a frame that is read for the first time.
function facts:append(number, time, messages)
  self.first[number], self.live = self.count + 1, {}
  for _, message in ipairs(messages) do
    local index = self.count + 1
    self.count = index
    message.index, message.number, message.time = index, number, time
    self.numbers[index], self.times[index], self.live[index] = number, time, message
    if self.keep then self.kept[index] = records.pack(message) end
  end
end

-- The message `index`, as it was noted; nil when nothing was kept.
function facts:message(index)
  local message = self.live[index] or self.kept[index]
  if type(message) == "string" then
    message = records.unpack(message)
    message.index, message.number, message.time = index, self.numbers[index], self.times[index]
  end
  return message
end

-- Writes down what the analysis made of `message`.
function facts:store(message)
  local index = message.index
  self.session[index], self.step[index], self.phase[index] = message.session, message.step, message.phase
  self.request[index], self.again[index], self.problems[index] = message.request, message.again, message.problems
  self.hoa_then[index], self.coa_then[index] = message.hoa_then, message.coa_then
end

-- The message `index` with all that was stored; `seen` is the same message as this dissection read it.
function facts:recall(index, seen)
  local message = self.kept[index]
  if type(message) ~= "table" then message = seen or self:message(index) end
  message.index, message.number, message.time = index, self.numbers[index], self.times[index]
  for _, name in ipairs(RESULTS) do message[name] = self[name][index] end
  message.answered_in = self.answered_in[index]
  return message
end

-- The indices of the first and the last message of a frame, nil when it has none.
function facts:range(number)
  local index = self.first[number]
  if not index then return nil end
  local last = index
  while self.numbers[last + 1] == number do last = last + 1 end
  return index, last
end

-- Adds what decryption told about a message.
function facts:reveal(message, chain)
  message.inner = chain
  if not self.changed or message.number < self.changed then self.changed = message.number end
end

return facts
