-- SPDX-License-Identifier: GPL-2.0-or-later
-- Listens to Wireshark's dissectors: each is called as before, and its octets are noted on the way. This needs no
-- extractor, works in the first of two passes, and sees what is inside ESP and UDP 4191.
--
-- A message has number, time, kind and
--   "mh":   raw, type, hoa, ha, coa (texts), marked (Home Address option or type 2 routing header), from_ue,
--           esp (SPI, nil: unprotected), udp (the UE's port, nil: no UDP 4191), options (offsets by type)
--   "ike":  header's fields, source, destination, port (of the sender), clear (chain), inside (type of the first
--           encrypted payload), inner (chain, once decrypted)
--   "dns":  id, response, name, type, client, port, addresses;  "dhcpv6": id, response, client, addresses
--   "esp":  esp, hoa, ha, coa: a message that stays closed;    "gap": silence of a UDP 4191 peer (coa, port, seconds)

local address = require("dsmip.address")
local discovery = require("dsmip.discovery")
local payloads = require("dsmip.payloads")
local quick = require("dsmip.quick")
local records = require("dsmip.records")
local safe_call = require("dsmip.safe_call")

local pcall, text_of = pcall, address.text
local header = payloads.header
local raw_of, captured_len, reported_len = quick.raw, quick.captured_len, quick.reported_len

local capture = {}

local QUIET = 10 -- seconds of silence worth noting; no NAT that people use forgets sooner
local NON_ESP_MARKER = "\0\0\0\0" -- RFC 3948 2.2
local FIXED = 12 -- octets of BU, BA, BRI and BRA before the options

-- What the dissection of the current frame found: messages; octets of Mobility Headers and of DHCPv6, for the tree.
-- And where it is: inside how many dissectors that are listened to, inside which ESP, inside which UDP 4191 datagram.
local found, count, headers, containers = {}, 0, {}, {}
local depth, esp_spi, outer = 0, nil, nil
local spares = {} -- by kind: a message that nobody needs any more

local function note(message)
  count = count + 1
  found[count] = message
end

-- `enter` functions get how many octets were captured and how many there were; they return what `leave` wants to know.
local function mobility_header(self, tvb, pinfo, captured, length)
  if captured < FIXED then return end
  local raw, on_wire = raw_of(tvb), length + safe_call.missing
  local message = records.mobility(raw)
  local from_ue = message.from_ue
  local source, destination = text_of(quick.src(pinfo)), text_of(quick.dst(pinfo))
  local hoa, ha, coa = destination, source, text_of((from_ue and quick.net_src or quick.net_dst)(pinfo))
  if from_ue then hoa, ha = source, destination end
  message.hoa, message.ha, message.coa, message.marked = hoa, ha, coa, hoa ~= coa
  message.esp, message.cut = esp_spi, on_wire > captured or nil
  if outer then
    message.coa = from_ue and outer.source or outer.destination
    message.udp = from_ue and outer.source_port or outer.destination_port
  end
  note(message)
  if not self.at_end then headers[#headers + 1] = { tvb = tvb, octets = raw, on_wire = on_wire } end
end

-- What was before: inside ESP another ESP may be.
local function enter_esp(_, tvb, _, captured)
  local before = esp_spi or false
  esp_spi = captured >= 8 and raw_of(tvb, 0, 4) or nil
  return before, count
end

local function note_closed(spi, from_ue, hoa, coa)
  local message = spares.esp or { kind = "esp", esp = nil, from_ue = nil, hoa = nil, coa = nil, number = nil,
    time = nil, session = nil }
  spares.esp, message.esp, message.from_ue, message.hoa, message.coa = nil, spi, from_ue, hoa, coa
  message.session = nil
  note(message)
end

local function leave_esp(before, count_before, pinfo)
  local spi = esp_spi
  esp_spi = before or nil
  if not spi or count > count_before then return end
  local source, near = text_of(quick.src(pinfo)), text_of(quick.net_src(pinfo))
  if source ~= near then
    return note_closed(spi, true, source, near)
  end
  local destination, far = text_of(quick.dst(pinfo)), text_of(quick.net_dst(pinfo))
  if destination ~= far then note_closed(spi, nil, destination, far) end
end

-- Octets of an IKE message: up to what is encrypted, and more than 40, so that Lua does not look for the same string
-- among all that it has.
local OPEN = 48

local function note_ike(self, tvb, pinfo, captured, at)
  if captured < at + payloads.HEADER then return end
  local raw = raw_of(tvb, at, captured > at + OPEN and OPEN or -1)
  local spare = spares.ike
  local message, whole = header(raw, captured - at, spare)
  if whole then
    raw = raw_of(tvb, at)
    message = header(raw, captured - at, spare)
  end
  if not message then return end
  spares.ike = nil
  if message.exchange == payloads.SA_INIT then message.raw, message.port = raw, pinfo.src_port end
  count = count + 1
  found[count] = message
  if self.at_end then
    address.here = pinfo -- who reads the message at once may want only one of the addresses
  else
    message.source, message.destination = text_of(quick.src(pinfo)), text_of(quick.dst(pinfo))
  end
end

local function enter_ike(self, tvb, pinfo, captured)
  return note_ike(self, tvb, pinfo, captured, 0)
end

local function enter_ike_nat(self, tvb, pinfo, captured)
  if captured < 4 or raw_of(tvb, 0, 4) ~= NON_ESP_MARKER then return enter_esp(self, tvb, pinfo, captured) end
  note_ike(self, tvb, pinfo, captured, 4)
end

local function leave_ike_nat(before, count_before, pinfo)
  if count_before then leave_esp(before, count_before, pinfo) end
end

-- Silence is measured while the file is read for the first time, when frames come in order, and noted every time.
local function note_silence(self, pinfo)
  local number, source, port = pinfo.number, outer.source, outer.source_port
  if number > self.facts.highest then
    local time, key = pinfo.abs_ts, source .. " " .. port
    local last = self.heard[key]
    self.heard[key] = time
    if last and time - last > QUIET then self.silences[number] = time - last end
  end
  local seconds = self.silences[number]
  if seconds then note({ kind = "gap", coa = source, port = port, seconds = seconds }) end
end

local function enter_4191(self, _, pinfo)
  local before = outer
  outer = { source = text_of(quick.src(pinfo)), destination = text_of(quick.dst(pinfo)), source_port = pinfo.src_port,
    destination_port = pinfo.dst_port, before = before }
  note_silence(self, pinfo)
  return outer
end

local function leave_4191(mine)
  outer = mine.before
end

local function enter_dns(_, tvb, pinfo)
  local message = discovery.dns(raw_of(tvb), spares.dns)
  if not message then return end
  spares.dns = nil
  message.client = text_of((message.response and quick.dst or quick.src)(pinfo))
  message.port = (message.response and quick.dst_port or quick.src_port)(pinfo)
  note(message)
end

local function enter_dhcpv6(_, tvb, pinfo, captured, length)
  local raw = tvb:raw()
  containers[#containers + 1] = { tvb = tvb, octets = raw, cut = length + safe_call.missing > captured }
  local message = discovery.dhcpv6(raw)
  if not message then return end
  message.kind, message.client = "dhcpv6", text_of((message.response and quick.dst or quick.src)(pinfo))
  note(message)
end

-- When Wireshark reloads Lua plugins it forgets ours and does not put back what was there before: so we do.
local function named(name)
  return function() return Dissector.get(name) end
end

local MOBILITY_OLD = 62 -- Wireshark's dissector for Mobility Headers stands there too, and has no name for Lua

local function mobility_dissector() return DissectorTable.get("ip.proto"):get_dissector(MOBILITY_OLD) end

-- RFC 3948 2.1 to 2.3, as Wireshark's own dissector of UDP 4500, which has no name for Lua.
local function udp_encapsulation()
  local esp, isakmp = Dissector.get("esp"), Dissector.get("isakmp")
  local function call(_, tvb, pinfo, tree)
    if tvb:captured_len() == 1 then
      pinfo.cols.protocol, pinfo.cols.info = "UDPENCAP", "NAT-keepalive"
      return 1
    end
    local marked = tvb:captured_len() > 4 and tvb:raw(0, 4) == NON_ESP_MARKER
    return (marked and isakmp or esp):call(marked and tvb:range(4):tvb() or tvb, pinfo, tree)
  end
  return { call = call }
end

-- Where dissectors meet, what listens before the one that is there is called, and after it; what Wireshark has there.
local PLACES = {
  { "ip.proto", 135, "mh", mobility_dissector, mobility_header },
  { "ip.proto", 50, "esp", named("esp"), enter_esp, leave_esp },
  { "udp.port", 500, "ike", named("isakmp"), enter_ike },
  { "udp.port", 4500, "ike_nat", udp_encapsulation, enter_ike_nat, leave_ike_nat },
  { "udp.port", 4191, "encapsulation", function() end, enter_4191, leave_4191 },
  { "udp.port", 53, "dns", named("dns"), enter_dns },
  { "udp.port", 546, "dhcpv6_client", named("dhcpv6"), enter_dhcpv6 },
  { "udp.port", 547, "dhcpv6_server", named("dhcpv6"), enter_dhcpv6 },
}

-- Kinds of messages of which nothing is kept.
local REUSED = { ike = true, dns = true, esp = true }

-- The dissector of one place, and the function that tells it which dissector was there before. ICMP errors quote
-- packets that nobody sends (RFC 4443 3, 792): what those say is not noted.
local function listener(self, enter, leave)
  local original, call, in_error_pkt
  local call_cut, at_end = safe_call.call, self.at_end
  local function dissect(tvb, pinfo, tree)
    local captured, length = captured_len(tvb), reported_len(tvb)
    if not in_error_pkt then
      quick.learn(pinfo)
      in_error_pkt = quick.in_error_pkt
    end
    local quoted = in_error_pkt(pinfo)
    local mine, more
    if not quoted then mine, more = enter(self, tvb, pinfo, captured, length) end
    depth = depth + 1
    if captured < length then
      call_cut(original, tvb, pinfo, tree)
    else
      pcall(call, original, tvb, pinfo, tree)
    end
    depth = depth - 1
    if leave and not quoted then leave(mine, more, pinfo) end
    if at_end and count > 0 and depth == 0 then
      at_end(found, count, pinfo)
      local first = found[1]
      if REUSED[first.kind] then spares[first.kind] = first end
      repeat found[count], count = nil, count - 1 until count == 0
    end
    return length
  end
  return dissect, function(current) original, call = current, current.call end
end

-- Returns the function that begins (or resumes) to listen at one place.
local function listen(self, pattern_table, pattern, name, usual, enter, leave)
  local dissectors = DissectorTable.get(pattern_table)
  local lost = dissectors and not dissectors:get_dissector(pattern) and usual() or nil
  if not dissectors or not lost and not dissectors:get_dissector(pattern) then return function() end end
  local proto = Proto("dsmip_" .. name, "DS-MIPv6: listens to " .. pattern_table .. " " .. pattern)
  local dissect, put_before = listener(self, enter, leave)
  proto.dissector = dissect
  return function()
    local current = dissectors:get_dissector(pattern) or lost
    lost = nil
    if not current or tostring(current) == proto.name then return end
    put_before(current)
    dissectors:set(pattern, proto)
  end
end

-- Starts listening; called once, after all dissectors of ours are registered. `new_facts` makes an empty store.
-- `at_end(messages, count, pinfo)`, when given, gets a frame's messages as soon as the outermost of the dissectors that
-- are listened to is through with it; else `finish` has them when the frame is at its end.
function capture.start(new_facts, at_end)
  local self = { facts = new_facts(), heard = {}, silences = {}, at_end = at_end }
  local resume = {}
  for i, one in ipairs(PLACES) do resume[i] = listen(self, table.unpack(one, 1, 6)) end

  function self.reset()
    self.facts, self.heard, self.silences = new_facts(), {}, {}
    address.reset()
    found, count, headers, containers, depth, esp_spi, outer = {}, 0, {}, {}, 0, nil, nil
    -- For each file: preferences and Decode As, applied after Lua is loaded, set ports anew.
    for _, at_place in ipairs(resume) do at_place() end
  end

  -- At the end of a frame: its messages as this dissection read them, and the octets of its Mobility Headers and of
  -- DHCPv6 ({tvb, octets, ...}); nil when there was nothing.
  function self.finish(pinfo)
    if count == 0 and #containers == 0 then return nil end
    local messages, mobility, dhcpv6 = found, headers, containers
    if count > 0 then
      local number, facts = pinfo.number, self.facts
      if number > facts.highest then
        facts.highest = number
        facts:append(number, pinfo.abs_ts, messages)
      end
      found, headers = {}, {}
    end
    if #dhcpv6 > 0 then containers = {} end
    count, depth, esp_spi, outer = 0, 0, nil, nil
    return messages, mobility, dhcpv6
  end

  return self
end

return capture
