-- SPDX-License-Identifier: GPL-2.0-or-later
-- Long lines for Wireshark's text windows, which break lines anywhere and cannot be told to be wider.

local folding = {}

folding.WIDTH = 72 -- characters that such a window shows when it opens

local function characters(text)
  return #text:gsub("[\128-\191]", "") -- UTF-8: the first octets of characters
end

-- `line` in lines of at most `width` characters where spaces allow it, the further ones behind `indent` spaces; as it
-- is without a width.
function folding.fold(line, indent, width)
  if not width or characters(line) <= width then return line end
  local lines, current = {}, line:match("^%s*")
  local empty = true
  for word, space in line:sub(#current + 1):gmatch("(%S+)(%s*)") do
    if not empty and characters(current) + characters(word) > width then
      lines[#lines + 1] = (current:gsub("%s+$", ""))
      current = (" "):rep(indent)
    end
    current, empty = current .. word .. space, false
  end
  lines[#lines + 1] = current
  return table.concat(lines, "\n")
end

return folding
