-- SPDX-License-Identifier: GPL-2.0-or-later
-- What the frames of a capture said, kept by frame number. Wireshark reads a file from start to end once, then again in
-- any order; what octets tell is noted in the first reading, what only decrypted fields tell whenever it is there.

local facts = {}
facts.__index = facts

function facts.new()
  return setmetatable({ first = {}, order = {}, highest = 0, sealed = 0, changed = nil }, facts)
end

-- Notes `message` (which has number and time) unless its frame was read before; `next` links a frame's messages.
function facts:note(message)
  local number = message.number
  if number > self.highest then
    self.highest = number
    self.first[number] = message
    self.order[#self.order + 1] = message
    return
  end
  if number < self.highest or number <= self.sealed then return end
  local last = self.first[number]
  while last.next do last = last.next end
  last.next = message
end

-- The frame was read to its end: further messages for it come from reading it once more.
function facts:seal(number)
  if number > self.sealed then self.sealed = number end
end

-- Forgets what was noted about the frame that is being read for the first time.
function facts:drop(number)
  if number <= self.sealed or number ~= self.highest then return end
  self.first[number] = nil
  self.order[#self.order] = nil
end

-- Adds what decryption told about a message of an earlier reading.
function facts:reveal(message, chain)
  if message.inner then return end
  message.inner = chain
  if not self.changed or message.number < self.changed then self.changed = message.number end
end

return facts
