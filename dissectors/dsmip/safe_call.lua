-- SPDX-License-Identifier: GPL-2.0-or-later
-- Calls one of Wireshark's dissectors from Lua without harm. Two things go wrong otherwise (seen in 4.0.17):
-- a malformed packet, already marked as such in the tree, comes back as a Lua error; and a read beyond what the
-- capture kept jumps past Lua and leaves its stack deeper each time, until "C stack overflow" after a hundred packets.

-- `missing`: how many octets on the wire are hidden from the dissector that is being called, because the capture has
-- not kept them.
local safe_call = { missing = 0 }

-- Dissects the octets of `tvb` that were captured and returns how many it has on the wire.
function safe_call.call(dissector, tvb, pinfo, tree)
  local captured, length = tvb:captured_len(), tvb:reported_len()
  if captured == length then
    pcall(dissector.call, dissector, tvb, pinfo, tree)
  elseif captured > 0 then
    local before = safe_call.missing
    safe_call.missing = before + length - captured
    -- Without a part that is known but missing, reading it is an ordinary error.
    pcall(dissector.call, dissector, tvb:range(0, captured):tvb(), pinfo, tree)
    safe_call.missing = before
  end
  return length
end

return safe_call
