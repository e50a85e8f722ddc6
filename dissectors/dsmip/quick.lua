-- SPDX-License-Identifier: GPL-2.0-or-later
-- Attributes and methods of Wireshark's objects without the search for them by name at each use, which costs more than
-- most of what they do.

local quick = {}

-- Methods of classes; `tvb:raw()` finds the same. Outside Wireshark there are none.
local octets, column = Tvb or {}, Column or {}
quick.raw, quick.captured_len, quick.reported_len = octets.raw, octets.captured_len, octets.reported_len
quick.append = column.append

local raw_of_range, range_of = (TvbRange or {}).raw, nil


-- The function that reads the attribute `name` of objects like `object`.
local function getter(object, name)
  local getters = (getmetatable(object) or {}).__getters
  return getters and getters[name] or function(one) return one[name] end
end

-- The octets of a FieldInfo.
function quick.bytes(field)
  range_of = range_of or getter(field, "range")
  return raw_of_range(range_of(field))
end

local ATTRIBUTES = { "number", "abs_ts", "src", "dst", "net_src", "net_dst", "src_port", "dst_port", "in_error_pkt" }
local known = false

-- To be called with a Pinfo before any of the functions below; they are learnt from the first.
function quick.learn(pinfo)
  if known then return end
  known = true
  for _, name in ipairs(ATTRIBUTES) do quick[name] = getter(pinfo, name) end
  local columns, index = getter(pinfo, "cols"), getmetatable(pinfo.cols).__index
  quick.info = type(index) == "function" and function(one) return index(columns(one), "info") end
    or function(one) return one.cols.info end
  quick.text = (getmetatable(pinfo.src) or {}).__tostring or tostring
end

return quick
