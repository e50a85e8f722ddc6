-- SPDX-License-Identifier: GPL-2.0-or-later
-- The nine steps of a DS-MIPv6 session over S2c (TS 24.303 5.1 to 5.4, RFC 5026) and the phases they belong to.

local steps = {}

steps.DISCOVERY, steps.INIT, steps.AUTHENTICATION, steps.PREFIX, steps.CHILD = 1, 2, 3, 4, 5
steps.REGISTRATION, steps.BOUND, steps.HANDOVER, steps.END = 6, 7, 8, 9
steps.COUNT = 9

steps.names = {
  "home agent discovery", "IKE_SA_INIT", "IKE_AUTH and EAP", "home network prefix", "SA for the home address",
  "registration", "bound: refresh", "handover", "detach or revocation",
}

steps.phases = {
  "discovery", "security", "security", "security", "security", "registration", "bound", "handover", "detach",
}

return steps
