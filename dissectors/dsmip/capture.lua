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
local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local safe_call = require("dsmip.safe_call")

local capture = {}

local QUIET = 10 -- seconds of silence worth noting; no NAT that people use forgets sooner

-- Text of an address without names, which may change while a capture is read.
local names = {}
local function text_of(value)
  local text = tostring(value)
  if text:find("^[%x:.]+$") then return text end
  if not names[text] then
    local found = address.octets(value)
    names[text] = found and (#found == 16 and octets.ipv6(found) or octets.ipv4(found)) or text
  end
  return names[text]
end

-- Where the dissection is: inside which ESP, which UDP 4191 datagram; and how many messages it found.
local around = { esp = nil, udp = nil, messages = 0 }

-- What the dissection of this frame leaves for the end of it.
local function frame_of(self)
  local frame = self.frame
  if not frame then
    frame = {}
    self.frame = frame
  end
  return frame
end

local function note(self, pinfo, message, sender)
  message.number, message.time = pinfo.number, pinfo.abs_ts
  frame_of(self).sender = sender
  self.facts:note(message)
  around.messages = around.messages + 1
end

-- Option types of a Mobility Header, each true; starts behind its fixed part.
local function options_of(raw, at, last)
  local found = {}
  while at < last do
    local kind, length = raw:byte(at + 1, at + 2)
    if kind == 0 then
      at = at + 1
    else
      if not length or at + 2 + length > last then return found end
      if kind > 1 then found[kind] = at end
      at = at + 2 + length
    end
  end
  return found
end

local FROM_UE = { [5] = true }
local FIXED = 12 -- octets of BU, BA, BRI and BRA before the options

local function mobility_header(self, tvb, pinfo)
  local captured = tvb:captured_len()
  if captured < FIXED then return end
  local raw = tvb:raw(0, captured)
  local kind = raw:byte(3)
  local from_ue = FROM_UE[kind] or (kind == mobility.BINDING_REVOCATION and raw:byte(7) == 2)
  local hoa, ha, coa = pinfo.dst, pinfo.src, pinfo.net_dst
  if from_ue then hoa, ha, coa = pinfo.src, pinfo.dst, pinfo.net_src end
  local udp = around.udp
  hoa, coa = text_of(hoa), text_of(coa)
  note(self, pinfo, {
    kind = "mh", raw = raw, type = kind, hoa = hoa, ha = text_of(ha), marked = hoa ~= coa,
    coa = udp and (from_ue and udp.source or udp.destination) or coa, from_ue = from_ue,
    esp = around.esp, udp = udp and (from_ue and udp.source_port or udp.destination_port),
    options = options_of(raw, FIXED, math.min(captured, 8 * (raw:byte(2) + 1))),
  }, text_of(pinfo.src))
end

local function remember_header(self, tvb, pinfo)
  local frame = frame_of(self)
  local list = frame.headers or {}
  frame.headers = list
  list[#list + 1] = { tvb = tvb, src = pinfo.src, dst = pinfo.dst, net_src = pinfo.net_src, net_dst = pinfo.net_dst }
end

local function esp(self, tvb, pinfo, dissect)
  local spi = tvb:captured_len() >= 8 and tvb:raw(0, 4) or nil
  local before, count = around.esp, around.messages
  around.esp = spi
  dissect()
  around.esp = before
  if not spi or around.messages > count then return end
  local from_ue, to_ue = pinfo.src ~= pinfo.net_src, pinfo.dst ~= pinfo.net_dst
  local source, destination = text_of(pinfo.src), text_of(pinfo.dst)
  if from_ue then
    note(self, pinfo, { kind = "esp", esp = spi, from_ue = true, hoa = source, ha = destination,
      coa = text_of(pinfo.net_src) }, source)
  elseif to_ue then
    note(self, pinfo, { kind = "esp", esp = spi, hoa = destination, ha = source, coa = text_of(pinfo.net_dst) }, source)
  end
end

local function ike(self, raw, pinfo)
  local message = payloads.header(raw)
  if not message then return end
  message.kind, message.source, message.destination = "ike", text_of(pinfo.src), text_of(pinfo.dst)
  message.port = pinfo.src_port
  local chain = payloads.outer(raw, message)
  message.inside = chain.inside
  if not chain.inside then message.clear = chain end
  if message.exchange == payloads.SA_INIT then message.raw = raw end
  note(self, pinfo, message, message.source)
end

local function udp_4191(self, tvb, pinfo, dissect)
  local before = around.udp
  around.udp = { source = text_of(pinfo.src), destination = text_of(pinfo.dst), source_port = pinfo.src_port,
    destination_port = pinfo.dst_port }
  local number, time = pinfo.number, pinfo.abs_ts
  if number > self.facts.highest then
    local key = around.udp.source .. " " .. around.udp.source_port
    local last = self.heard[key]
    self.heard[key] = time
    if last and time - last > QUIET then
      note(self, pinfo, { kind = "gap", coa = around.udp.source, port = around.udp.source_port, seconds = time - last })
    end
  end
  frame_of(self).tunnel = tvb
  dissect()
  around.udp = before
end

-- For each place where Wireshark's dissectors meet: what to note before (or around) the call of the one that is there.
local NON_ESP_MARKER = "\0\0\0\0" -- RFC 3948 2.2

local LISTENERS = {
  { "ip.proto", 135, "mh", function(self, tvb, pinfo, dissect)
    mobility_header(self, tvb, pinfo)
    remember_header(self, tvb, pinfo)
    dissect()
  end },
  { "ip.proto", 50, "esp", esp },
  { "ip.proto", 41, "ipv6_tunnel", function(self, tvb, _, dissect)
    frame_of(self).tunnel = tvb
    dissect()
  end },
  { "ip.proto", 4, "ipv4_tunnel", function(self, tvb, _, dissect)
    frame_of(self).tunnel = tvb
    dissect()
  end },
  { "udp.port", 500, "ike", function(self, tvb, pinfo, dissect)
    ike(self, tvb:raw(0, tvb:captured_len()), pinfo)
    dissect()
  end },
  { "udp.port", 4500, "ike_nat", function(self, tvb, pinfo, dissect)
    local raw = tvb:raw(0, tvb:captured_len())
    if raw:sub(1, 4) == NON_ESP_MARKER then
      ike(self, raw:sub(5), pinfo)
      dissect()
    else
      esp(self, tvb, pinfo, dissect)
    end
  end },
  { "udp.port", 4191, "encapsulation", udp_4191 },
  { "udp.port", 53, "dns", function(self, tvb, pinfo, dissect)
    local message = discovery.dns(tvb:raw(0, tvb:captured_len()))
    if message then
      message.kind, message.client = "dns", text_of(message.response and pinfo.dst or pinfo.src)
      message.port = message.response and pinfo.dst_port or pinfo.src_port
      note(self, pinfo, message, text_of(pinfo.src))
    end
    dissect()
  end },
}

local function dhcpv6(self, tvb, pinfo, dissect)
  local raw = tvb:raw(0, tvb:captured_len())
  local frame = frame_of(self)
  frame.dhcpv6 = frame.dhcpv6 or {}
  table.insert(frame.dhcpv6, { tvb = tvb, octets = raw, cut = tvb:reported_len() > #raw })
  local message = discovery.dhcpv6(raw)
  if message then
    message.kind, message.client = "dhcpv6", text_of(message.response and pinfo.dst or pinfo.src)
    note(self, pinfo, message, text_of(pinfo.src))
  end
  dissect()
end
LISTENERS[#LISTENERS + 1] = { "udp.port", 546, "dhcpv6_client", dhcpv6 }
LISTENERS[#LISTENERS + 1] = { "udp.port", 547, "dhcpv6_server", dhcpv6 }

local function listen(self, pattern_table, pattern, name, listener)
  local dissectors = DissectorTable.get(pattern_table)
  local original = dissectors and dissectors:get_dissector(pattern)
  if not original then return end
  local proto = Proto("dsmip_" .. name, "DS-MIPv6: listens to " .. pattern_table .. " " .. pattern)
  local call = safe_call.call
  function proto.dissector(tvb, pinfo, tree)
    local length
    listener(self, tvb, pinfo, function() length = call(original, tvb, pinfo, tree) end)
    return length
  end
  dissectors:set(pattern, proto)
end

-- Starts listening; called once, after all dissectors of ours are registered. `frame` of what this returns is what the
-- current frame left behind, `facts` what the capture said.
function capture.start(facts)
  local self = { facts = facts.new(), heard = {} }
  for _, one in ipairs(LISTENERS) do listen(self, one[1], one[2], one[3], one[4]) end
  function self.reset()
    self.facts, self.frame, self.heard, names = facts.new(), nil, {}, {}
    around.esp, around.udp = nil, nil
  end

  -- At the end of a frame: ICMP errors quote packets that nobody sends (RFC 4443 3, 792), their dissectors then set the
  -- addresses back to their own; what such a packet said is not noted.
  function self.finish(pinfo)
    local frame = self.frame
    self.frame = nil
    if frame and frame.sender then
      local number = pinfo.number
      if frame.sender ~= text_of(pinfo.src) then self.facts:drop(number) end
      self.facts:seal(number)
    end
    return frame
  end
  return self
end

return capture
