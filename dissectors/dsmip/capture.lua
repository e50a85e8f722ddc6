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
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local records = require("dsmip.records")
local safe_call = require("dsmip.safe_call")

local capture = {}

local QUIET = 10 -- seconds of silence worth noting; no NAT that people use forgets sooner
local NON_ESP_MARKER = "\0\0\0\0" -- RFC 3948 2.2
local FIXED = 12 -- octets of BU, BA, BRI and BRA before the options

-- Texts of addresses without names, which may change while a capture is read.
local texts = {}

local function learn(value, text)
  local known = text
  if not text:find("^[%x:.]+$") then
    local found = address.octets(value)
    known = found and (#found == 16 and octets.ipv6(found) or octets.ipv4(found)) or text
  end
  texts[text] = known
  return known
end

local function text_of(value)
  local text = tostring(value)
  return texts[text] or learn(value, text)
end

-- What the dissection of the current frame found: messages, who sent them, DHCPv6; and where it is: inside which ESP,
-- inside which UDP 4191 datagram.
local found, sender, dhcpv6 = nil, nil, nil
local esp_spi, outer = nil, nil

local function note(message, from)
  sender = from
  if found then
    found[#found + 1] = message
  else
    found = { message }
  end
end

local function mobility_header(_, tvb, pinfo, captured)
  if captured < FIXED then return end
  local raw = tvb:raw(0, captured)
  local message = records.mobility(raw)
  local from_ue = message.from_ue
  local source, destination = text_of(pinfo.src), text_of(pinfo.dst)
  local hoa, ha, coa = destination, source, text_of(from_ue and pinfo.net_src or pinfo.net_dst)
  if from_ue then hoa, ha = source, destination end
  message.hoa, message.ha, message.coa, message.marked = hoa, ha, coa, hoa ~= coa
  message.esp, message.tvb, message.missing = esp_spi, tvb, safe_call.missing
  if outer then
    message.coa = text_of(from_ue and outer.source or outer.destination)
    message.udp = from_ue and outer.source_port or outer.destination_port
  end
  note(message, source)
end

local function enter_esp(_, tvb, _, captured)
  local before = { spi = esp_spi, count = found and #found or 0 }
  esp_spi = captured >= 8 and tvb:raw(0, 4) or nil
  return before
end

local function leave_esp(_, before, pinfo)
  local spi = esp_spi
  esp_spi = before.spi
  if not spi or (found and #found or 0) > before.count then return end
  local from_ue = pinfo.src ~= pinfo.net_src
  if not from_ue and pinfo.dst == pinfo.net_dst then return end
  local source, destination = text_of(pinfo.src), text_of(pinfo.dst)
  if from_ue then
    note({ kind = "esp", esp = spi, from_ue = true, hoa = source, ha = destination, coa = text_of(pinfo.net_src) },
      source)
  else
    note({ kind = "esp", esp = spi, hoa = destination, ha = source, coa = text_of(pinfo.net_dst) }, source)
  end
end

local function ike(raw, pinfo)
  local message = payloads.header(raw)
  if not message then return end
  message.kind, message.source, message.destination = "ike", text_of(pinfo.src), text_of(pinfo.dst)
  message.port = pinfo.src_port
  local chain = payloads.outer(raw, message)
  message.inside = chain.inside
  if not chain.inside then message.clear = chain end
  if message.exchange == payloads.SA_INIT then message.raw = raw end
  note(message, message.source)
end

local function enter_ike(_, tvb, pinfo, captured)
  ike(tvb:raw(0, captured), pinfo)
end

local function enter_ike_nat(self, tvb, pinfo, captured)
  local raw = tvb:raw(0, captured)
  if raw:sub(1, 4) ~= NON_ESP_MARKER then return enter_esp(self, tvb, pinfo, captured) end
  ike(raw:sub(5), pinfo)
  return nil
end

local function leave_ike_nat(self, before, pinfo)
  if before then leave_esp(self, before, pinfo) end
end

-- Silence is measured while the file is read for the first time, when frames come in order, and noted every time.
local function note_silence(self, pinfo)
  local number, source, port = pinfo.number, text_of(outer.source), outer.source_port
  if number > self.facts.highest then
    local time, key = pinfo.abs_ts, source .. " " .. port
    local last = self.heard[key]
    self.heard[key] = time
    if last and time - last > QUIET then self.silences[number] = time - last end
  end
  local seconds = self.silences[number]
  if seconds then note({ kind = "gap", coa = source, port = port, seconds = seconds }, nil) end
end

local function enter_4191(self, _, pinfo)
  local before = outer
  outer = { source = pinfo.src, destination = pinfo.dst, source_port = pinfo.src_port,
    destination_port = pinfo.dst_port, before = before }
  note_silence(self, pinfo)
  return outer
end

local function leave_4191(_, mine)
  outer = mine.before
end

local function enter_dns(_, tvb, pinfo, captured)
  local message = discovery.dns(tvb:raw(0, captured))
  if not message then return end
  message.kind, message.client = "dns", text_of(message.response and pinfo.dst or pinfo.src)
  message.port = message.response and pinfo.dst_port or pinfo.src_port
  note(message, text_of(pinfo.src))
end

local function enter_dhcpv6(_, tvb, pinfo, captured)
  local raw = tvb:raw(0, captured)
  dhcpv6 = dhcpv6 or {}
  dhcpv6[#dhcpv6 + 1] = { tvb = tvb, octets = raw, cut = tvb:reported_len() + safe_call.missing > captured }
  local message = discovery.dhcpv6(raw)
  if not message then return end
  message.kind, message.client = "dhcpv6", text_of(message.response and pinfo.dst or pinfo.src)
  note(message, text_of(pinfo.src))
end

-- Where dissectors meet, what listens before the one that is there is called, and after it.
local PLACES = {
  { "ip.proto", 135, "mh", mobility_header },
  { "ip.proto", 50, "esp", enter_esp, leave_esp },
  { "udp.port", 500, "ike", enter_ike },
  { "udp.port", 4500, "ike_nat", enter_ike_nat, leave_ike_nat },
  { "udp.port", 4191, "encapsulation", enter_4191, leave_4191 },
  { "udp.port", 53, "dns", enter_dns },
  { "udp.port", 546, "dhcpv6_client", enter_dhcpv6 },
  { "udp.port", 547, "dhcpv6_server", enter_dhcpv6 },
}

-- Returns the function that begins (or resumes) to listen at one place.
local function listen(self, pattern_table, pattern, name, enter, leave)
  local dissectors = DissectorTable.get(pattern_table)
  if not dissectors or not dissectors:get_dissector(pattern) then return function() end end
  local proto = Proto("dsmip_" .. name, "DS-MIPv6: listens to " .. pattern_table .. " " .. pattern)
  local original, call, call_cut = nil, nil, safe_call.call
  function proto.dissector(tvb, pinfo, tree)
    local captured, length = tvb:captured_len(), tvb:reported_len()
    local mine = enter(self, tvb, pinfo, captured)
    if captured < length then
      call_cut(original, tvb, pinfo, tree)
    else
      pcall(call, original, tvb, pinfo, tree)
    end
    if leave then leave(self, mine, pinfo) end
    return length
  end
  return function()
    local current = dissectors:get_dissector(pattern)
    if not current or tostring(current) == proto.name then return end
    original, call = current, current.call
    dissectors:set(pattern, proto)
  end
end

-- Appends the messages of a frame that was not read before. ICMP errors quote packets that nobody sends (RFC 4443 3,
-- 792); their dissectors then set the addresses back to their own: what such a packet said is not noted.
local function keep(self, pinfo, messages)
  local number = pinfo.number
  if number > self.facts.highest then
    self.facts.highest = number
    if sender and sender ~= text_of(pinfo.src) then return end
    self.facts:append(number, pinfo.abs_ts, messages)
  end
end

-- Starts listening; called once, after all dissectors of ours are registered. `new_facts` makes an empty store.
function capture.start(new_facts)
  local self = { facts = new_facts(), heard = {}, silences = {} }
  local resume = {}
  for i, one in ipairs(PLACES) do resume[i] = listen(self, one[1], one[2], one[3], one[4], one[5]) end

  function self.reset()
    self.facts, self.heard, self.silences = new_facts(), {}, {}
    found, sender, dhcpv6, esp_spi, outer, texts = nil, nil, nil, nil, nil, {}
    -- For each file: preferences and Decode As, applied after Lua is loaded, set ports anew.
    for _, at_place in ipairs(resume) do at_place() end
  end

  -- At the end of a frame: its messages as this dissection read them, and DHCPv6; nil when there was nothing.
  function self.finish(pinfo)
    if not found and not dhcpv6 then return nil end
    local messages, containers = found, dhcpv6
    if messages then keep(self, pinfo, messages) end
    found, sender, dhcpv6, esp_spi, outer = nil, nil, nil, nil, nil
    return messages, containers
  end

  return self
end

return capture
