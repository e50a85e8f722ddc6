-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tree items for what Wireshark leaves as octets inside (decrypted) IKEv2 and EAP: configuration attributes 16 and 19,
-- ports of Mobility Header selectors, values of EAP-AKA attributes.

local octets = require("dsmip.octets")
local values = require("dsmip.values")

local tree = {}

tree.fields = {
  { name = "cfg.home_prefix", type = "ipv6", text = "Home network prefix", clause = "RFC 5026 8.2" },
  { name = "cfg.home_prefix.length", type = "uint8", text = "Length of the prefix", clause = "RFC 5026 8.2" },
  { name = "cfg.home_prefix.lifetime", type = "uint32", text = "Lifetime of the prefix", clause = "RFC 5026 8.2" },
  { name = "cfg.home_agent", type = "ipv6", text = "Home agent address", clause = "TS 24.302 8.2.4.1" },
  { name = "cfg.home_agent_ipv4", type = "ipv4", text = "IPv4 home agent address", clause = "TS 24.302 8.2.4.1" },
  { name = "ts.mh", type = "string", text = "Messages of the selector", clause = "RFC 7296 3.13.1, 4877 7" },
  { name = "eap.rand", type = "bytes", text = "RAND", clause = "RFC 4187 10.6" },
  { name = "eap.autn", type = "bytes", text = "AUTN", clause = "RFC 4187 10.7" },
  { name = "eap.res", type = "bytes", text = "RES", clause = "RFC 4187 10.8" },
  { name = "eap.auts", type = "bytes", text = "AUTS", clause = "RFC 4187 10.9" },
  { name = "eap.mac", type = "bytes", text = "MAC", clause = "RFC 4187 10.15" },
  { name = "eap.identity", type = "string", text = "Identity", clause = "RFC 4187 10.5" },
  { name = "eap.next_pseudonym", type = "string", text = "Next pseudonym", clause = "RFC 4187 10.10" },
  { name = "eap.next_reauth_id", type = "string", text = "Next re-authentication identity", clause = "RFC 4187 10.11" },
  { name = "eap.iv", type = "bytes", text = "IV", clause = "RFC 4187 10.12" },
  { name = "eap.encrypted", type = "bytes", text = "Encrypted attributes", clause = "RFC 4187 10.12" },
  { name = "eap.checkcode", type = "bytes", text = "Checkcode", clause = "RFC 4187 10.13" },
  { name = "eap.counter", type = "uint16", text = "Counter", clause = "RFC 4187 10.16" },
  { name = "eap.nonce_s", type = "bytes", text = "NONCE_S", clause = "RFC 4187 10.18" },
  { name = "eap.notification", type = "uint16", text = "Notification", clause = "RFC 4187 10.19" },
  { name = "eap.client_error", type = "uint16", text = "Client error", clause = "RFC 4187 10.20",
    values = values.client_errors },
  { name = "eap.kdf", type = "uint16", text = "Key derivation function", clause = "RFC 9048 3.2" },
  { name = "eap.kdf_input", type = "string", text = "Network name (KDF input)", clause = "RFC 9048 3.1" },
  { name = "eap.bidding", type = "uint16", base = "HEX", text = "Bidding", clause = "RFC 9048 4" },
}

tree.experts = {
  { name = "cfg.malformed", group = "MALFORMED", severity = "ERROR", text = "Configuration attribute malformed",
    clause = "RFC 7296 3.15.1" },
  { name = "eap.malformed", group = "MALFORMED", severity = "ERROR", text = "EAP-AKA attribute malformed",
    clause = "RFC 4187 8.1" },
}

-- Adds the value of the configuration attribute at `at` of `source` (a Tvb whose captured octets are `bytes`).
function tree.show_configuration(ctx, parent, source, bytes, at)
  local attribute = values.configuration_attribute(bytes, at)
  if not attribute then return end
  local function add(name, offset, length)
    return parent:add(ctx.field[name], source:range(attribute.value_at + offset, length))
  end
  if attribute.prefix then
    add("cfg.home_prefix", 4, 16):append_text(("/%d"):format(attribute.prefix_length))
    add("cfg.home_prefix.length", 20, 1)
    add("cfg.home_prefix.lifetime", 0, 4):append_text(" s")
  end
  if attribute.address then add("cfg.home_agent", 0, 16) end
  if attribute.address4 then add("cfg.home_agent_ipv4", 16, 4) end
  local ours = attribute.type == values.MIP6_HOME_PREFIX or attribute.type == values.HOME_AGENT_ADDRESS
  if attribute.problem and ours and source:reported_len() == #bytes then
    ctx.remark(parent, "cfg.malformed",
      ("Configuration attribute %d of %d octets: %s"):format(attribute.type, attribute.length, attribute.problem))
  end
end

local function address_text(address)
  return #address == 16 and octets.ipv6(address) or octets.ipv4(address)
end

-- Adds what the ports of the traffic selector at `at` mean, when it is one for Mobility Header or ICMPv6.
function tree.show_selector(ctx, parent, source, bytes, at)
  local selector = values.traffic_selector(bytes, at)
  local words = selector and values.port_words(selector.protocol, selector.start_port, selector.end_port)
  if not words then return end
  local first, last = address_text(selector.start), address_text(selector.finish)
  local range = first == last and first or first .. " to " .. last
  parent:add(ctx.field["ts.mh"], source:range(at + 4, 4), words):append_text(" (" .. range .. ")")
end

local function show_attribute(ctx, parent, source, attribute)
  local field = ctx.field["eap." .. attribute.key]
  if attribute.empty then
    parent:add(source:range(attribute.at, attribute.length), "Checkcode: empty, no identity round took place")
  elseif attribute.text then
    parent:add(field, source:range(attribute.octets_at, #attribute.octets), attribute.text)
  elseif #attribute.octets > 0 then
    local item = parent:add(field, source:range(attribute.octets_at, #attribute.octets))
    if attribute.key == "notification" then
      item:append_text((" (%s)"):format(values.notification_words(attribute.number)))
    end
  end
end

-- Adds the attribute values of the EAP-AKA packet at `at` of `source`; nothing for other EAP methods.
function tree.show_eap(ctx, parent, source, bytes, at)
  local eap = values.eap(bytes:sub(at + 1))
  if not eap then return end
  local function complain(text)
    ctx.remark(parent, "eap.malformed", text)
  end
  for _, attribute in ipairs(eap.attributes) do
    if attribute.problem then
      complain(("EAP-AKA attribute %d: %s"):format(attribute.type, attribute.problem))
    elseif attribute.key then
      attribute.at = attribute.at + at
      attribute.octets_at = attribute.octets_at and attribute.octets_at + at
      show_attribute(ctx, parent, source, attribute)
    end
  end
  if eap.problem and source:reported_len() == #bytes then complain("EAP-AKA: " .. eap.problem) end
end

local SOURCES = {
  { "isakmp.cfg.attr.type", tree.show_configuration },
  { "isakmp.ts.type", tree.show_selector },
  { "eap.code", tree.show_eap },
}

-- Takes part in the dissection with three extractors; what stands behind each field is read from the octets around it.
function tree.attach(ctx)
  local extractors = {}
  for i, source in ipairs(SOURCES) do extractors[i] = ctx.extract(source[1]) end
  ctx.on_frame(function(frame)
    if not frame.wanted then return end
    for i, source in ipairs(SOURCES) do
      for _, field in ipairs(extractors[i]()) do
        local tvb = field.source
        source[2](ctx, frame.line(), tvb, tvb:raw(0, tvb:captured_len()), field.offset)
      end
    end
  end)
end

return tree
