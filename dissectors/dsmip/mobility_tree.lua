-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tree items beside Wireshark's own for a Mobility Header: registry names, what it does not dissect or reads at the
-- wrong place, verdicts on the checksum and on RFC 4285 authenticators.

local address = require("dsmip.address")
local authenticator = require("dsmip.authenticator")
local checksum = require("dsmip.checksum")
local corrections = require("dsmip.corrections")
local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local values = require("dsmip.values")

local tree = {}

local VERDICTS = { [0] = "bad", [1] = "good", [2] = "unchecked" }
local VERDICT = { bad = 0, good = 1, unchecked = 2 }

tree.fields = {
  { name = "mh.type", type = "uint8", text = "Mobility Header type", clause = "RFC 6275 6.1.1",
    values = mobility.names },
  { name = "mh.checksum.status", type = "uint8", text = "Checksum over the home address", clause = "RFC 6275 6.1.1",
    values = VERDICTS },
  { name = "mh.checksum.expected", type = "uint16", base = "HEX", text = "Right checksum", clause = "RFC 6275 6.1.1" },
  { name = "ba.status", type = "uint8", text = "Status by the registry", clause = "RFC 6275 6.1.8, 4285 7",
    values = corrections.binding_status },
  { name = "bra.status", type = "uint8", text = "Revocation status by the registry", clause = "RFC 5846 5.2",
    values = corrections.revocation_status },
  { name = "bu.overwrite", type = "string", text = "Flag 0x0040", clause = "RFC 5648 4.2, 6602 4.1" },
  { name = "ipv4.status", type = "uint8", text = "IPv4 address acknowledgement by the RFC", clause = "RFC 5555 3.2.1",
    values = corrections.ipv4_status },
  { name = "auth.subtype", type = "uint8", text = "Authentication subtype by the RFC", clause = "RFC 4285 5",
    values = corrections.authentication_subtype },
  { name = "auth.data", type = "bytes", text = "Whole authenticator", clause = "RFC 4285 5" },
  { name = "auth.status", type = "uint8", text = "Authenticator", clause = "RFC 4285 5.1, 5.2", values = VERDICTS },
  { name = "mesg_id.time", type = "absolute_time", text = "Timestamp", clause = "RFC 4285 6" },
  { name = "dns_update.name", type = "string", text = "Whole name to update", clause = "RFC 5026 8.1" },
  { name = "has.home_agent", type = "ipv6", text = "Home agent to switch to", clause = "RFC 5142 4" },
  { name = "bid.priority", type = "uint8", text = "Priority of the binding (BID-PRI)", clause = "RFC 6089 4.1" },
  { name = "flow.id", type = "uint16", text = "Flow identifier", clause = "RFC 6089 4.2" },
  { name = "flow.priority", type = "uint16", text = "Priority of the flow (FID-PRI)", clause = "RFC 6089 4.2" },
  { name = "flow.status", type = "uint8", text = "Status of the flow", clause = "RFC 6089 4.2",
    values = corrections.flow_status },
  { name = "flow.bid", type = "uint16", text = "Binding that carries the flow", clause = "RFC 6089 4.2.1.3" },
  { name = "flow.selector", type = "string", text = "Packets of the flow", clause = "RFC 6088 3" },
  { name = "flow_summary.id", type = "uint16", text = "Flow to keep", clause = "RFC 6089 4.2.2" },
}

tree.experts = {
  { name = "mh.checksum.bad", group = "CHECKSUM", severity = "ERROR", text = "Mobility Header checksum is wrong",
    clause = "RFC 6275 9.2" },
  { name = "auth.bad", group = "SECURITY", severity = "ERROR", text = "RFC 4285 authenticator does not match the key",
    clause = "RFC 4285 5.1" },
  { name = "auth.key_file", group = "DEBUG", severity = "WARN", text = "Key file for RFC 4285 not usable" },
  { name = "mh.malformed", group = "MALFORMED", severity = "ERROR", text = "Mobility Header or option malformed",
    clause = "RFC 6275 6.1.1, 6.2" },
}

-- `show` below is one Mobility Header on its way into the tree: ctx (fields and experts), item (where to add), range
-- (TvbRange), octets, message, authenticate.
local function expert(show, where, name, text)
  show.ctx.remark(where, name, text)
end

local function add(show, where, name, at, length, value)
  local field, range = show.ctx.field[name], show.range:range(at, length)
  if value == nil then return where:add(field, range) end
  return where:add(field, range, value)
end

local function status(show, where, name, at, value, names)
  local item = add(show, where, name, at, 1, value)
  if not names[value] then item:append_text(": unassigned, " .. (value < 128 and "accepting" or "refusing")) end
  return item
end

local function show_checksum(show, source, destination)
  local message = show.message
  local verdict, detail = checksum.verify(source, destination, show.octets, message.length)
  local item = add(show, show.item, "mh.checksum.status", 4, 2, VERDICT[verdict]):set_generated()
  if verdict == "bad" then
    add(show, item, "mh.checksum.expected", 4, 2, detail):set_generated()
    expert(show, item, "mh.checksum.bad", ("Checksum 0x%04x, 0x%04x would be right (RFC 6275 6.1.1)"):format(
      message.checksum, detail))
  elseif verdict == "unchecked" then
    item:append_text(": " .. detail)
  end
end

local function show_authenticator(show, option, where)
  add(show, where, "auth.subtype", option.data_at, 1, option.subtype)
  if #option.authenticator > 0 then add(show, where, "auth.data", option.covered, #option.authenticator) end
  local verdict, detail = show.authenticate(option)
  local item = add(show, where, "auth.status", option.at, 2 + option.length, VERDICT[verdict]):set_generated()
  if verdict == "bad" then expert(show, item, "auth.bad", ("Authenticator is wrong: %s"):format(detail)) end
  if verdict == "unchecked" then item:append_text(": " .. detail) end
end

local function show_timestamp(show, option, where)
  local seconds, nanoseconds = values.ntp_time(option.ntp_seconds, option.ntp_fraction)
  add(show, where, "mesg_id.time", option.data_at, 8, NSTime.new(seconds, nanoseconds))
end

local function write_edge(value, name)
  if type(value) == "number" then
    return (name == "spi" or name == "flow_label") and ("0x%x"):format(value) or ("%d"):format(value)
  end
  return #value == 4 and octets.ipv4(value) or octets.ipv6(value)
end

-- The words of a traffic selector: "source 192.0.2.1, destination_port 80-90".
function tree.selector_words(selector)
  local words = {}
  for i, field in ipairs(selector) do
    local edges = write_edge(field.first, field.name)
    if field.last then edges = edges .. "-" .. write_edge(field.last, field.name) end
    words[i] = field.name:gsub("_", " ") .. " " .. edges
  end
  return #words > 0 and table.concat(words, ", ") or "every packet"
end

local function show_flow(show, option, where)
  local at = option.data_at
  local item = add(show, where, "flow.id", at, 2, option.flow)
  add(show, item, "flow.priority", at + 2, 2, option.priority)
  if show.message.type == mobility.BINDING_ACKNOWLEDGEMENT then
    status(show, item, "flow.status", at + 5, option.status, corrections.flow_status)
  end
  for _, sub in ipairs(option.suboptions) do
    for i, bid in ipairs(sub.bids or {}) do add(show, item, "flow.bid", sub.at + 2 * i, 2, bid) end
    if sub.selector then
      add(show, item, "flow.selector", sub.at, 2 + sub.length, tree.selector_words(sub.selector))
    end
  end
end

local SHOW_OPTION = {
  [9] = show_authenticator,
  [10] = show_timestamp,
  [17] = function(show, option, where)
    add(show, where, "dns_update.name", option.data_at + 2, option.length - 2, option.identity)
  end,
  [30] = function(show, option, where)
    status(show, where, "ipv4.status", option.data_at, option.status, corrections.ipv4_status)
  end,
  [35] = function(show, option, where) add(show, where, "bid.priority", option.data_at + 3, 1, option.priority) end,
  [44] = function(show, option, where)
    for i, flow in ipairs(option.flows) do add(show, where, "flow_summary.id", option.data_at + 2 * i - 2, 2, flow) end
  end,
  [45] = show_flow,
}

local function show_update(show)
  local message = show.message
  if octets.flag(message.flags, mobility.BU_FLAGS.overwrite) then
    local words = corrections.flag_0x0040(message, mobility.find(message, 35) ~= nil)
    add(show, show.item, "bu.overwrite", 8, 2, words):set_generated()
  end
end

local SHOW_MESSAGE = {
  [5] = show_update,
  [6] = function(show)
    local item = status(show, show.item, "ba.status", 6, show.message.status, corrections.binding_status)
    if corrections.misnamed_binding_status[show.message.status] then
      item:append_text(" [Wireshark's own name is not the registry's]")
    end
  end,
  [12] = function(show)
    for i, home_agent in ipairs(show.message.addresses) do
      local item = add(show, show.item, "has.home_agent", 16 * i - 8, 16)
      item:append_text(#home_agent == 16 and "" or " (cut short)")
    end
  end,
  [16] = function(show)
    if show.message.status then
      status(show, show.item, "bra.status", 7, show.message.status, corrections.revocation_status)
    end
  end,
}

local function show_problems(show)
  for _, problem in ipairs(show.message.problems) do
    expert(show, show.item, "mh.malformed", problem.text)
  end
end

-- Adds the items of one Mobility Header. `header` holds range (TvbRange), octets, message, source and destination (16
-- octets each, nil when unknown) and authenticate (option -> verdict, detail).
function tree.show(ctx, parent, header)
  local show = { ctx = ctx, range = header.range, octets = header.octets, message = header.message,
    authenticate = header.authenticate }
  show.item = add(show, parent, "mh.type", 2, 1, header.message.type)
  show_checksum(show, header.source, header.destination)
  if SHOW_MESSAGE[header.message.type] then SHOW_MESSAGE[header.message.type](show) end
  for _, option in ipairs(header.message.options) do
    if SHOW_OPTION[option.type] and not option.malformed then SHOW_OPTION[option.type](show, option, show.item) end
  end
  show_problems(show)
  return show.item
end

local REMEMBERED = 16 -- Binding Updates with authenticators that an acknowledgement may answer, for one home address

-- Care-of addresses by home address of the Binding Updates seen: the answers carry none. Keyed by frame, so that a
-- second pass finds what the first found.
local function remember(state, home_address, frame, care_of_addresses)
  local known = state.updates[home_address] or {}
  state.updates[home_address] = known
  for _, update in ipairs(known) do
    if update.frame == frame then return end
  end
  known[#known + 1] = { frame = frame, care_of_addresses = care_of_addresses }
  if #known > REMEMBERED then table.remove(known, 1) end
end

-- Care-of addresses that may have entered an authenticator, and whether the right one must be among them: for an answer
-- only if its Binding Update was seen.
local function candidates(state, home_address, frame, update, outside)
  local found, seen = { not update and outside or nil }, false
  for _, one in ipairs(state.updates[home_address] or {}) do
    if update and one.frame == frame then return one.care_of_addresses, true end
    seen = seen or one.frame < frame
    for _, care_of in ipairs(one.frame < frame and one.care_of_addresses or {}) do found[#found + 1] = care_of end
  end
  return found, seen
end

local function identities(message, home_address)
  local identifier = mobility.find(message, 8)
  return { identifier and identifier.identifier or "", octets.ipv6(home_address) }
end

-- The function that judges the authenticators of a message between two home-address ends.
local function judge(state, header, frame)
  local message = header.message
  local update = message.type == mobility.BINDING_UPDATE
  local home_address = update and header.source or header.destination
  if not home_address or #home_address ~= 16 then
    return function() return "unchecked", "the home address is unknown" end
  end
  local outside = address.octets(update and header.net_src or header.net_dst)
  if update then remember(state, home_address, frame.number, authenticator.care_of_addresses(message, outside)) end
  local care_of_addresses, certain = candidates(state, home_address, frame.number, update, outside)
  return function(option)
    local keys = authenticator.keys_for(state.keys, option.spi, identities(message, home_address))
    local verdict, detail = authenticator.verify(header.octets, option, keys, care_of_addresses, home_address)
    if verdict == "bad" and not certain then return "unchecked", "its Binding Update was not seen" end
    return verdict, detail
  end
end

local DEFAULT_FILE = "dsmip_auth_keys" -- in Wireshark's configuration folder, beside its own tables of keys

-- Keys of the file that the preference names, else of the default one where it exists; read when it changes.
local function load_keys(state, preference)
  if preference == state.preference then return end
  state.preference, state.complaint = preference, nil
  local path = preference ~= "" and preference or persconffile_path(DEFAULT_FILE)
  local keys, complaints = authenticator.read_keys(path)
  state.keys = keys or {}
  if not keys then
    state.complaint = preference ~= "" and complaints or nil
  elseif #complaints > 0 then
    state.complaint = path .. ": " .. table.concat(complaints, "; ")
  end
end

local function has_authenticator(message)
  return (message.type == mobility.BINDING_UPDATE or message.type == mobility.BINDING_ACKNOWLEDGEMENT)
    and mobility.find(message, 9) ~= nil
end

local function unkeyed() return "unchecked", "not in a Binding Update or Acknowledgement" end

local function show_header(ctx, state, header, frame)
  header.source, header.destination = address.octets(header.src), address.octets(header.dst)
  header.authenticate = unkeyed
  local signed = has_authenticator(header.message)
  if signed then
    load_keys(state, ctx.proto.prefs.auth_key_file)
    header.authenticate = judge(state, header, frame)
  end
  if not frame.wanted then return end
  local item = tree.show(ctx, frame.line(), header)
  if signed and state.complaint then
    ctx.remark(item, "auth.key_file", "RFC 4285 keys: " .. state.complaint)
  end
end

local function show_unreadable(ctx, header, frame)
  if not frame.wanted or header.cut then return end
  ctx.remark(frame.line(), "mh.malformed", "Mobility Header: " .. header.reason)
end

-- Takes part in the dissection: frame.mobility lists the Mobility Headers of a frame, each with range (TvbRange),
-- octets, message and reason (mobility.read), cut (by the capture), and the addresses src, dst, net_src and net_dst.
function tree.attach(ctx)
  local state = { updates = {}, keys = {} }
  ctx.proto.prefs.auth_key_file = Pref.string("RFC 4285 keys", "",
    "File with a line `SPI KEY [IDENTITY]` for each key; empty: dsmip_auth_keys in the configuration folder")
  ctx.on_init(function() state.updates = {} end)
  ctx.on_frame(function(frame)
    for _, header in ipairs(frame.mobility or {}) do
      if not header.message then
        show_unreadable(ctx, header, frame)
      elseif frame.wanted or has_authenticator(header.message) then
        show_header(ctx, state, header, frame)
      end
    end
  end)
end

return tree
