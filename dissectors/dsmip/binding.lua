-- SPDX-License-Identifier: GPL-2.0-or-later
-- What Mobility Headers tell about sessions: registrations, refreshes, handovers, detach, revocation (RFC 6275 11.7,
-- RFC 5555 4.4, RFC 5846, TS 24.303 5.1.2.4 to 5.4), and what is wrong with them.

local corrections = require("dsmip.corrections")
local mobility = require("dsmip.mobility")
local octets = require("dsmip.octets")
local sessions = require("dsmip.sessions")
local steps = require("dsmip.steps")
local u8, u16, u32, flag = octets.u8, octets.u16, octets.u32, octets.flag

local binding = {}

local ALTERNATE_COA, AUTHENTICATION, IPV4_HOA, IPV4_ACK, NAT, IPV4_COA, IDENTIFIER = 3, 9, 29, 30, 31, 32, 35
local CN_AUTHORIZATION = 5 -- binding authorization data: a correspondent's, not a home agent's
local HOME = mobility.BU_FLAGS.home
local NEVER = 0xffffffff -- refresh time: no NAT (RFC 5555 3.2.2)
local OUT_OF_WINDOW, REFUSED = 135, 128
local REMEMBERED = 4 -- Binding Updates of a home address
local HALF, WHOLE = 0x8000, 0x10000

-- What is outstanding for a home address: its latest Binding Updates, the last one at the end, for answers that are
-- late or come twice; `indications`: of revocations, by sequence number, if there were any.
local function state_of(run, message)
  local state = run.bindings[message.hoa]
  if not state then
    state = {}
    run.bindings[message.hoa] = state
  end
  return state
end

local function check_protection(message, session, complain)
  if message.esp or message.options[AUTHENTICATION] or message.options[CN_AUTHORIZATION] then return end
  complain(message, "unprotected", session.ike and "Without ESP, though IKEv2 set up an SA (RFC 4877 3, TS 24.303 4.1)"
    or "Without ESP or authenticator (RFC 4877 3, TS 24.303 4.1, RFC 4285 5)")
end

local function check_child(run, message, session, complain)
  local child = message.esp and run.children[message.esp]
  if not child then return end
  if child.hoa and child.hoa ~= message.hoa then
    complain(message, "sa.wrong", ("This SA is for the home address %s (RFC 4877 4.2)"):format(child.hoa))
  elseif child.session ~= session then
    complain(message, "sa.wrong", ("This SA is session %d's (RFC 4877 4.2)"):format(child.session.number))
  else
    local closed = run.closed[message.esp]
    if closed and closed < message.number then
      complain(message, "order", ("This SA was deleted in frame %d (RFC 7296 1.4.1)"):format(closed))
    end
  end
end

local function check_prefix(message, session, complain)
  local home = session.home
  if not home then return end
  if home.checked ~= message.hoa then
    home.checked = message.hoa
    home.outside = sessions.inside(session, message.hoa) == false
  end
  if home.outside then
    complain(message, "hoa.outside", ("%s is not in the home network prefix %s/%d (TS 24.303 5.1.3.2)"):format(
      message.hoa, octets.ipv6(home.prefix), home.length))
  end
end

local function option_words(kind)
  return ("%s option (%d)"):format(mobility.option_name(kind), kind)
end

-- What the capture has cut off may have been there.
local function need(message, kind, complain, why)
  if not message.options[kind] and not message.cut then
    complain(message, "option.missing", ("BU without %s: %s"):format(option_words(kind), why))
  end
end

local function refuse(message, kind, complain, why)
  if message.options[kind] then
    complain(message, "option.extra", ("BU with %s: %s"):format(option_words(kind), why))
  end
end

local function check_update_options(message, complain)
  local has = message.options
  if has[IDENTIFIER] or has[AUTHENTICATION] or message.type ~= mobility.BINDING_UPDATE then return end
  if message.udp then
    need(message, IPV4_COA, complain, "an IPv4 access tells its care-of address so (RFC 5555 4.4.2)")
    refuse(message, ALTERNATE_COA, complain, "that is for IPv6 accesses (RFC 5555 4.4.2)")
    if message.marked then
      complain(message, "option.extra", "Home Address option in UDP: the source is the home address (RFC 5555 4.4.2)")
    end
    return
  end
  refuse(message, IPV4_COA, complain, "that is for IPv4 accesses (RFC 5555 4.4.2)")
  if message.marked then
    need(message, ALTERNATE_COA, complain, "ESP does not protect the source address (RFC 4877 4.3, TS 24.303 A.2)")
  elseif message.lifetime > 0 then
    complain(message, "option.missing", "Registration without Home Address option (RFC 6275 11.7.1)")
  end
end

-- `session.child`: nothing; set up for Mobility Headers; "unread", IKEv2 that may have set up SAs was not decrypted.
local function check_before_update(run, message, session, complain)
  if session.deleted then
    complain(message, "order", "Binding Update after its IKE SA was deleted (TS 23.402 6.5.2)")
  elseif session.ike and session.ue and not session.child then
    complain(message, "order", "Binding Update before there is an SA for the home address (TS 24.303 4.1, 5.1.2.2)")
  elseif message.esp and session.ue and session.child ~= "unread" and not run.children[message.esp] then
    complain(message, "order", "Binding Update on an SA that IKEv2 has not set up (TS 24.303 4.1, RFC 4877 4.2)")
  end
end

local function step_of_update(message, session)
  if message.lifetime == 0 then
    if not message.marked and not message.udp then return steps.HANDOVER end -- returns home (RFC 6275 11.5.5)
    return steps.END
  end
  if not session.bound then return steps.REGISTRATION end
  return message.coa ~= session.bound and steps.HANDOVER or steps.BOUND
end

local function is_repetition(earlier, message)
  if earlier.sequence == message.sequence then return earlier.raw == message.raw end
  return earlier.coa == message.coa and (earlier.lifetime == 0) == (message.lifetime == 0)
end

local function remember(state, message)
  if #state == REMEMBERED then table.remove(state, 1) end
  state[#state + 1] = message
end

local function update(run, message, session, state, complain)
  message.step = step_of_update(message, session)
  local last = state[#state]
  if last and not last.answer and last.session == session and is_repetition(last, message) then
    message.again = last.number
  end
  local newest = session.newest
  if newest and not (message.again and last.sequence == message.sequence) then
    local ahead = (message.sequence - newest) % WHOLE
    if ahead == 0 or ahead >= HALF then
      complain(message, "bu.sequence", ("Sequence number %d after %d (RFC 6275 9.5.1)"):format(message.sequence,
        newest))
    end
  end
  session.newest = message.sequence
  remember(state, message)
  session.coa = message.lifetime > 0 and message.coa or session.coa
  local story = session.story
  if story then story.first_coa = story.first_coa or message.coa end
  if message.udp then run.nat[message.coa .. " " .. message.udp] = session end
  check_before_update(run, message, session, complain)
  if flag(u16(message.raw, 8), HOME) then
    check_update_options(message, complain)
    check_protection(message, session, complain)
  end
end

local function find_update(state, message)
  for i = #state, 1, -1 do
    if state[i].sequence == message.sequence then return state[i] end
  end
  return message.status == OUT_OF_WINDOW and state[#state] or nil
end

local function check_answer(message, asked, complain)
  local refused = message.status >= REFUSED
  if message.lifetime > asked.lifetime then
    complain(message, "ba.lifetime", ("Lifetime %d s granted, %d s asked for in frame %d (RFC 6275 10.3.1)"):format(
      message.lifetime, asked.lifetime, asked.number))
  end
  if not asked.options[IPV4_HOA] then
    refuse(message, IPV4_ACK, complain, "the Binding Update asked for no IPv4 home address (RFC 5555 4.5)")
  elseif not refused and asked.lifetime > 0 then
    need(message, IPV4_ACK, complain, "the Binding Update asked for an IPv4 home address (RFC 5555 4.5)")
  end
  if asked.udp and not refused then need(message, NAT, complain, "the Binding Update came in UDP (RFC 5555 4.2)") end
  if asked.marked and not asked.udp and not message.marked then
    complain(message, "option.missing", "Binding Acknowledgement without type 2 routing header (RFC 6275 9.5.4)")
  end
end

local function accepted(run, message, asked, session)
  local ipv4 = message.options[IPV4_ACK]
  if ipv4 and u8(message.raw, ipv4 + 2) < REFUSED then
    local bytes = octets.take(message.raw, ipv4 + 4, 4)
    if bytes then run.homes[octets.ipv4(bytes)] = session end
  end
  local nat = message.options[NAT]
  if nat and nat + 8 <= #message.raw then
    session.refresh = u32(message.raw, nat + 4)
    if session.refresh == NEVER then session.refresh = nil end
  end
  if asked.lifetime > 0 and message.lifetime > 0 then
    session.bound, session.coa, session.ended = asked.coa, asked.coa, nil
  elseif asked.step == steps.END then
    session.bound, session.ended = false, message.number
  else
    session.bound = false
  end
end

local function acknowledgement(run, message, session, state, complain)
  local asked = find_update(state, message)
  message.step = asked and asked.step or (session.bound and steps.BOUND) or steps.REGISTRATION
  check_protection(message, session, complain)
  if not asked then
    if state[1] then
      complain(message, "ba.sequence", ("Sequence number %d, the last Binding Update had %d (RFC 6275 11.7.3)"):format(
        message.sequence, state[#state].sequence))
    else
      complain(message, "ba.unsolicited", "Binding Acknowledgement without a Binding Update (RFC 6275 11.7.3)")
    end
  else
    sessions.answer(run, asked, message)
    check_answer(message, asked, complain)
  end
  if message.status >= REFUSED then
    if message.status == OUT_OF_WINDOW then session.newest = message.sequence end
    complain(message, "ba.refused", ("Refused: status %d, %s"):format(message.status,
      corrections.name(corrections.binding_status, message.status)))
  elseif asked and not message.again then
    accepted(run, message, asked, session)
  end
end

local function revocation(run, message, session, state, complain)
  message.step, message.phase = steps.END, "revocation"
  check_protection(message, session, complain)
  local indications = state.indications or {}
  local asked = indications[message.sequence]
  if message.name == "BRI" then
    if asked and not asked.answer then
      message.again = asked.number
    else
      indications[message.sequence], state.indications = message, indications
    end
  elseif message.name == "BRA" then
    if asked then sessions.answer(run, asked, message) end
    if message.status < REFUSED then session.bound, session.ended = false, session.ended or message.number end
  end
end

local READ = {
  [mobility.BINDING_UPDATE] = update, [mobility.BINDING_ACKNOWLEDGEMENT] = acknowledgement,
  [mobility.BINDING_REVOCATION] = revocation,
  [mobility.BINDING_ERROR] = function(_, message, _, _, complain)
    complain(message, "binding_error", ("Binding Error %d: %s (RFC 6275 9.3.3)"):format(message.status,
      corrections.name(corrections.error_status, message.status)))
  end,
}

function binding.read(run, message, complain)
  local reader = READ[message.type]
  if not reader then return end -- route optimisation, and what S2c does not use
  local session = sessions.of_mobility_header(run, message)
  message.session = session
  if message.type ~= mobility.BINDING_ERROR then sessions.set_home_address(run, session, message.hoa) end
  reader(run, message, session, state_of(run, message), complain)
  check_child(run, message, session, complain)
  check_prefix(message, session, complain)
end

return binding
