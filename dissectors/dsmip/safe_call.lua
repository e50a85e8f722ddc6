-- SPDX-License-Identifier: GPL-2.0-or-later
-- Calls one of Wireshark's dissectors from Lua without harm. Two things go wrong otherwise (seen in 4.0.17):
-- a malformed packet, already marked as such in the tree, comes back as a Lua error; and a read beyond what the
-- capture kept jumps past Lua and leaves its stack deeper each time, until "C stack overflow" after a hundred packets.

-- Dissects the octets of `tvb` that were captured and returns how many it has on the wire.
local function safe_call(dissector, tvb, pinfo, tree)
  local captured, length = tvb:captured_len(), tvb:reported_len()
  if captured < length then
    if captured == 0 then return length end
    tvb = tvb:range(0, captured):tvb() -- without a part that is known but missing, the read is an ordinary error
  end
  pcall(dissector.call, dissector, tvb, pinfo, tree)
  return length
end

return { call = safe_call }
