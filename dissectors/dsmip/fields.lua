-- SPDX-License-Identifier: GPL-2.0-or-later
-- The one table of all fields and expert infos; README's table is made from it. Names are without "dsmip." and
-- "dsmip.expert.". A field with `looks_ahead` may be absent while a capture is read once from start to end (tshark
-- without -2) on frames before the one that tells; it is never different there.

local steps = require("dsmip.steps")

local fields = {}

fields.session = {
  { name = "session", type = "uint32", text = "Session", clause = "TS 24.303 4.1" },
  { name = "ue", type = "string", text = "UE", clause = "TS 24.303 4.2", looks_ahead = true },
  { name = "apn", type = "string", text = "Access point name", clause = "TS 23.402 6.3", looks_ahead = true },
  { name = "phase", type = "string", text = "Phase", clause = "TS 24.303 5.1 to 5.4" },
  { name = "step", type = "uint8", text = "Step", clause = "TS 24.303 5.1 to 5.4", values = steps.names },
  { name = "hoa", type = "ipv6", text = "Home address", clause = "RFC 6275 3", looks_ahead = true },
  { name = "coa", type = "string", text = "Care-of address", clause = "RFC 6275 3, 5555 3.1.2", looks_ahead = true },
  { name = "request_in", type = "request", text = "Request in", clause = "RFC 6275 11.7.3, 7296 2.2" },
  { name = "response_in", type = "response", text = "Response in", clause = "RFC 6275 11.7.3, 7296 2.2",
    looks_ahead = true },
  { name = "time_since_request", type = "relative_time", text = "Time since the request" },
  { name = "time_since_start", type = "relative_time", text = "Time since the start of the session" },
  { name = "retransmission_of", type = "repeated", text = "Repeats", clause = "RFC 6275 11.8, 7296 2.1" },
  { name = "info", type = "string", text = "In words" },
  { name = "expert", type = "string", text = "Remark: any of the expert infos below, in words" },
}

fields.experts = {
  { name = "ba.unsolicited", group = "SEQUENCE", severity = "WARN", text = "Binding Acknowledgement without an Update",
    clause = "RFC 6275 11.7.3" },
  { name = "ba.sequence", group = "SEQUENCE", severity = "WARN", text = "Sequence number of no outstanding Update",
    clause = "RFC 6275 11.7.3" },
  { name = "ba.lifetime", group = "PROTOCOL", severity = "ERROR", text = "More lifetime granted than asked for",
    clause = "RFC 6275 10.3.1" },
  { name = "ba.refused", group = "RESPONSE_CODE", severity = "WARN", text = "Registration refused",
    clause = "RFC 6275 6.1.8" },
  { name = "bu.sequence", group = "SEQUENCE", severity = "WARN", text = "Sequence number is not newer",
    clause = "RFC 6275 9.5.1" },
  { name = "hoa.outside", group = "PROTOCOL", severity = "ERROR",
    text = "Home address outside the home network prefix", clause = "RFC 5026 5.3.2, TS 24.303 5.1.3.2" },
  { name = "unprotected", group = "SECURITY", severity = "ERROR", text = "Mobility signalling without ESP",
    clause = "TS 24.303 4.1, RFC 4877 3" },
  { name = "sa.wrong", group = "SECURITY", severity = "ERROR", text = "Security association of another home address",
    clause = "RFC 4877 4.2" },
  { name = "option.missing", group = "PROTOCOL", severity = "WARN", text = "Option missing for this access",
    clause = "TS 24.303 A.2 to A.5, RFC 5555 3" },
  { name = "option.extra", group = "PROTOCOL", severity = "WARN", text = "Option does not belong in this access",
    clause = "TS 24.303 A.2 to A.5, RFC 5555 3" },
  { name = "order", group = "SEQUENCE", severity = "WARN", text = "Step out of order", clause = "TS 24.303 4.1" },
  { name = "keepalive.late", group = "SEQUENCE", severity = "WARN", text = "NAT keepalive later than allowed",
    clause = "RFC 5555 4.2, 4.3" },
  { name = "wrong_key", group = "DECRYPTION", severity = "WARN", text = "Decrypted with a wrong key, it seems",
    clause = "RFC 7296 3.14" },
  { name = "ike.error", group = "RESPONSE_CODE", severity = "WARN", text = "IKE error notification",
    clause = "RFC 7296 3.10.1" },
  { name = "eap.failure", group = "RESPONSE_CODE", severity = "WARN", text = "EAP authentication failed",
    clause = "RFC 3748 4.2" },
  { name = "after_detach", group = "PROTOCOL", severity = "ERROR", text = "Traffic of a session that has ended",
    clause = "TS 24.303 5.4" },
  { name = "binding_error", group = "RESPONSE_CODE", severity = "WARN", text = "Binding Error",
    clause = "RFC 6275 9.3.3" },
  { name = "retransmission", group = "SEQUENCE", severity = "NOTE", text = "Retransmission",
    clause = "RFC 6275 11.8, 7296 2.1" },
}

-- The modules whose fields and experts belong to the protocol, in the order of README's table.
fields.modules = { "dsmip.mobility_tree", "dsmip.dhcpv6_tree", "dsmip.ike_tree" }

-- All descriptions of fields, then all of experts.
function fields.all()
  local all, experts = {}, {}
  local function take(from, into)
    for _, one in ipairs(from) do into[#into + 1] = one end
  end
  take(fields.session, all)
  take(fields.experts, experts)
  for _, name in ipairs(fields.modules) do
    local module = require(name)
    take(module.fields, all)
    take(module.experts, experts)
  end
  return all, experts
end

local FRAMES = { request = "REQUEST", response = "RESPONSE", repeated = "RETRANS_PREV" }
local PLAIN = { string = true, bytes = true, ipv6 = true, ipv4 = true, relative_time = true }

local function make(one)
  local abbreviation = "dsmip." .. one.name
  if FRAMES[one.type] then
    return ProtoField.framenum(abbreviation, one.text, base.NONE, frametype[FRAMES[one.type]])
  end
  if PLAIN[one.type] then return ProtoField[one.type](abbreviation, one.text) end
  if one.type == "absolute_time" then return ProtoField.absolute_time(abbreviation, one.text, base.UTC) end
  return ProtoField[one.type](abbreviation, one.text, base[one.base or "DEC"], one.values)
end

-- Gives `proto` its fields and experts; returns both as tables by name.
function fields.create(proto)
  local all, experts = fields.all()
  local by_name, expert_by_name = {}, {}
  for _, one in ipairs(all) do by_name[one.name] = make(one) end
  for _, one in ipairs(experts) do
    expert_by_name[one.name] = ProtoExpert.new("dsmip.expert." .. one.name, one.text, expert.group[one.group],
      expert.severity[one.severity])
  end
  proto.fields, proto.experts = by_name, expert_by_name
  return by_name, expert_by_name
end

return fields
