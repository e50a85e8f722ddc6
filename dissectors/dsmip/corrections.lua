-- SPDX-License-Identifier: GPL-2.0-or-later
-- The registries' names of status, trigger and subtype values (IANA "Mobile IPv6 Parameters", read in the RFCs named),
-- shown beside Wireshark's own, many of which are out of date or of another table.

local corrections = {}

-- RFC 6275 6.1.8, 3963 6.2, 4285 7, 4866, 5149 5, 5213 8.9, 5648 4.4, 5844 9, 5845, 6275 14, 6618, 7148.
corrections.binding_status = {
  [0] = "Binding Update accepted", [1] = "accepted but prefix discovery necessary",
  [2] = "GRE key option not required", [3] = "GRE tunnelling but TLV header not supported",
  [4] = "MCOA NOTCOMPLETE", [5] = "MCOA RETURNHOME WO/NDP", [6] = "PBU accepted, TB ignored",
  [128] = "reason unspecified", [129] = "administratively prohibited", [130] = "insufficient resources",
  [131] = "home registration not supported", [132] = "not home subnet", [133] = "not home agent for this mobile node",
  [134] = "duplicate address detection failed", [135] = "sequence number out of window",
  [136] = "expired home nonce index", [137] = "expired care-of nonce index", [138] = "expired nonces",
  [139] = "registration type change disallowed", [140] = "mobile router operation not permitted",
  [141] = "invalid prefix", [142] = "not authorized for prefix", [143] = "forwarding setup failed",
  [144] = "MIPV6-ID-MISMATCH", [145] = "MIPV6-MESG-ID-REQD", [146] = "MIPV6-AUTH-FAIL",
  [147] = "permanent home keygen token unavailable", [148] = "CGA and signature verification failed",
  [149] = "permanent home keygen token exists", [150] = "non-null home nonce index expected",
  [151] = "SERVICE_AUTHORIZATION_FAILED", [152] = "PROXY_REG_NOT_ENABLED",
  [153] = "NOT_LMA_FOR_THIS_MOBILE_NODE", [154] = "MAG_NOT_AUTHORIZED_FOR_PROXY_REG",
  [155] = "NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX", [156] = "TIMESTAMP_MISMATCH",
  [157] = "TIMESTAMP_LOWER_THAN_PREV_ACCEPTED", [158] = "MISSING_HOME_NETWORK_PREFIX_OPTION",
  [159] = "BCE_PBU_PREFIX_SET_DO_NOT_MATCH", [160] = "MISSING_MN_IDENTIFIER_OPTION",
  [161] = "MISSING_HANDOFF_INDICATOR_OPTION", [162] = "MISSING_ACCESS_TECH_TYPE_OPTION",
  [163] = "GRE_KEY_OPTION_REQUIRED", [164] = "MCOA MALFORMED", [165] = "MCOA NON-MCOA BINDING EXISTS",
  [166] = "MCOA PROHIBITED", [167] = "MCOA UNKNOWN COA", [168] = "MCOA BULK REGISTRATION PROHIBITED",
  [169] = "MCOA SIMULTANEOUS HOME AND FOREIGN PROHIBITED", [170] = "NOT_AUTHORIZED_FOR_IPV4_MOBILITY_SERVICE",
  [171] = "NOT_AUTHORIZED_FOR_IPV4_HOME_ADDRESS", [172] = "NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE",
  [173] = "MULTIPLE_IPV4_HOME_ADDRESS_ASSIGNMENT_NOT_SUPPORTED", [174] = "invalid care-of address",
  [175] = "INVALID_MOBILE_NODE_GROUP_IDENTIFIER", [176] = "REINIT_SA_WITH_HAC",
  [177] = "NOT_AUTHORIZED_FOR_DELEGATED_MNP", [178] = "REQUESTED_DMNP_IN_USE",
  [179] = "cannot meet QoS service request", [180] = "CANNOT_SUPPORT_MULTIPATH_BINDING",
}

-- Values of mip6.ba.status that Wireshark 4.0 and 4.4 name wrongly or not at all.
corrections.misnamed_binding_status = {
  [143] = true, [144] = true, [145] = true, [146] = true, [147] = true, [148] = true, [179] = true, [180] = true,
}

-- RFC 5555 3.2.1.
corrections.ipv4_status = {
  [0] = "success", [128] = "failure, reason unspecified", [129] = "administratively prohibited",
  [130] = "incorrect IPv4 home address", [131] = "invalid IPv4 address",
  [132] = "dynamic IPv4 home address assignment not available", [133] = "prefix allocation unauthorized",
}

-- RFC 5846 5.1 and 5.2.
corrections.revocation_trigger = {
  [0] = "unspecified", [1] = "administrative reason", [2] = "inter-MAG handover, same access type",
  [3] = "inter-MAG handover, different access type", [4] = "inter-MAG handover, unknown",
  [5] = "user-initiated session(s) termination", [6] = "access network session(s) termination",
  [7] = "possible out-of-sync BCE state", [128] = "per-peer policy", [129] = "revoking mobility node local policy",
}
corrections.revocation_status = {
  [0] = "success", [1] = "partial success", [128] = "binding does not exist",
  [129] = "IPv4 home address option required", [130] = "global revocation not authorized",
  [131] = "revoked mobile node's identity required", [132] = "revocation failed, MN is attached",
  [133] = "revocation trigger not supported", [134] = "revocation function not supported",
  [135] = "proxy binding revocation not supported",
}

-- RFC 6275 6.1.9.
corrections.error_status = {
  [1] = "unknown binding for Home Address destination option", [2] = "unrecognized MH type value",
}

-- RFC 4285 5.1 and 5.2; the SPI 3 is RFC 4285 8's HMAC_SHA1_SPI.
corrections.authentication_subtype = { [1] = "MN-HA", [2] = "MN-AAA" }
corrections.HMAC_SHA1_SPI = 3

-- RFC 5026 8.1.
corrections.dns_update_status = {
  [0] = "DNS update performed", [128] = "reason unspecified", [129] = "administratively prohibited",
  [130] = "DNS update failed",
}

-- RFC 6089 4.2.
corrections.flow_status = {
  [0] = "flow binding successful", [128] = "administratively prohibited", [129] = "rejected, reason unspecified",
  [130] = "flow identification option malformed", [131] = "BID not found", [132] = "FID not found",
  [133] = "traffic selector format not supported",
}

-- The name of `value` in one of the tables above, "unassigned" otherwise.
function corrections.name(names, value)
  return names[value] or "unassigned"
end

-- What BU flag 0x0040 says: RFC 5648 4.2 (O) where a Binding Identifier option is there, RFC 6602 4.1 (B) in proxy
-- registrations; S2c knows only O.
function corrections.flag_0x0040(update, has_binding_identifier)
  if update.flags % 0x400 >= 0x200 then return "B (bulk binding update, RFC 6602)" end
  if has_binding_identifier then return "O (overwrite, RFC 5648)" end
  return "O (overwrite, RFC 5648) without a Binding Identifier, or B (bulk, RFC 6602)"
end

return corrections
