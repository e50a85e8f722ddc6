-- SPDX-License-Identifier: GPL-2.0-or-later
-- What IKEv2 tells about sessions: from headers alone without keys, from payloads with them (RFC 7296, RFC 5026,
-- TS 24.303 5.1.2.2).

local address = require("dsmip.address")
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local sessions = require("dsmip.sessions")
local steps = require("dsmip.steps")

local ike = {}

local REPLY = 2 -- CFG type (RFC 7296 3.15)
local EAP_FAILURE = 4 -- RFC 3748 4
local IMPATIENCE = 0.5 -- seconds after which an unanswered attempt counts as given up when another begins

-- Texts of a message's addresses, which in the frame that is being dissected may still be Wireshark's alone.
local function source_of(message)
  return message.source or address.text(message.pinfo.src)
end

local function destination_of(message)
  return message.destination or address.text(message.pinfo.dst)
end

local REMEMBERED = 8 -- requests of an IKE SA and side: twice the window that anybody uses (RFC 7296 2.3)

-- Requests of an SA are kept by message id and by who asked, whatever direction this has.
local function request_key(message)
  return 2 * message.id + (message.initiator ~= message.response and 1 or 0)
end

local function same_request(earlier, message)
  return message.exchange ~= payloads.SA_INIT or earlier.raw == message.raw
end

-- Finds the request that `message` answers or repeats.
local function pair(run, sa, message)
  local key = request_key(message)
  local asked = sa.requests[key]
  if message.response then
    if asked then sessions.answer(run, asked, message) end
    return asked
  end
  if asked and same_request(asked, message) then
    message.again = asked.number
  else
    sa.requests[key], sa.requests[key - 2 * REMEMBERED] = message, nil
  end
  return nil
end

-- Whether a new attempt goes on where the IKE SA `sa` failed.
local function given_up(sa, message)
  if sa.failed then return true end
  local last = sa.asked
  return last and not last.answer and message.time - last.time > IMPATIENCE
end

local function session_of_attempt(run, message)
  local ue, home_agent = source_of(message), destination_of(message)
  local key = ("%s %d %s"):format(ue, message.port, home_agent)
  local before = run.attempts[key]
  local session = message.clear and message.clear.redirected_from and run.redirected[ue]
    or (before and given_up(before, message) and before.session)
    or sessions.discovered(run, ue, home_agent) or sessions.create(run, message)
  return session, key
end

-- The IKE SA of `message`, made when it is new to us.
local function sa_of(run, message)
  local sa = run.sas[message.spi_i]
  if sa then return sa end
  sa = { session = nil, requests = {}, asked = nil, opened = nil, authenticated = nil }
  if message.exchange == payloads.SA_INIT and not message.response then
    local key
    sa.session, key = session_of_attempt(run, message)
    sa.session.ended, sa.session.deleted = nil, nil -- a redirected UE begins anew (RFC 5685 3)
    run.attempts[key] = sa
  else
    local ue = (message.initiator and source_of or destination_of)(message)
    sa.session = sessions.without_ike(run, ue) or sessions.create(run, message)
  end
  run.sas[message.spi_i] = sa
  return sa
end

local function remember_child(run, session, chain, hoa)
  if not chain.esp_spi then return end
  run.children[chain.esp_spi] = { session = session, hoa = hoa }
end

local function home_address(chain, ue_asked)
  local bytes = chain.ts_r
  if ue_asked then bytes = chain.ts_i end
  return chain.mh and bytes and #bytes == 16 and octets.ipv6(bytes) or nil
end

-- One SA for two directions: the SPI of the request is where the asking side receives.
local function child(run, session, message, asked, ue_asked)
  local chain = message.inner
  if not message.response or payloads.error_of(chain) then return end
  local hoa = home_address(chain, ue_asked)
  if hoa then sessions.set_home_address(run, session, hoa) end
  if chain.mh then session.child = true end
  remember_child(run, session, chain, hoa)
  if asked and asked.inner then remember_child(run, session, asked.inner, hoa) end
end

local function authentication(run, session, sa, message, asked)
  local chain = message.inner
  message.step = steps.AUTHENTICATION
  if not chain then return end
  session.ue, session.apn = session.ue or chain.idi, session.apn or chain.idr
  local proof = chain.proof
  if not message.response then
    if proof and not chain.idi then message.step = steps.PREFIX end
    return
  end
  if chain.cfg == REPLY or (proof and asked and asked.step == steps.PREFIX) then
    message.step, sa.authenticated = steps.PREFIX, true
  end
  if chain.prefix then sessions.set_prefix(run, session, chain.prefix, chain.prefix_length) end
  child(run, session, message, asked, true)
end

local function another_child(run, session, sa, message, asked)
  local chain = message.inner
  local ue_asked = message.from_ue ~= message.response
  message.step = session.bound and steps.BOUND or steps.CHILD
  if not chain then return end
  if not message.response then
    sa.rekeyed_by = chain.ike_spi
  elseif chain.ike_spi and asked and asked.inner and asked.inner.ike_spi then
    sa.replaced = true
    local new = asked.inner.ike_spi
    run.sas[new] = run.sas[new] or { session = session, requests = {}, reversed = not ue_asked, authenticated = true }
  end
  child(run, session, message, asked, ue_asked)
end

local function informational(run, session, sa, message, asked)
  local chain = message.inner
  if message.response then
    message.step = asked and asked.step
    if message.step == steps.END and asked.ends then session.ended = session.ended or message.number end
    return
  end
  if not chain then return end
  if chain.delete == "ike" and not sa.replaced then
    message.step, message.ends, session.deleted = steps.END, true, true
  elseif session.bound or session.ended then
    message.step = session.ended and steps.END or steps.BOUND
  end
  for _, spi in ipairs(chain.deleted or {}) do
    local closed = run.children[spi]
    if closed then closed.closed = message.number end
  end
end

local READ = {
  [payloads.SA_INIT] = function(_, _, _, message) message.step = steps.INIT end,
  [payloads.AUTH] = authentication,
  [payloads.CREATE_CHILD_SA] = another_child,
  [payloads.INFORMATIONAL] = informational,
}

local function refused(run, session, sa, message, complain)
  local chain = message.inner or message.clear
  if not chain then return end
  if chain.eap == EAP_FAILURE then
    sa.failed = true
    complain(message, "eap.failure", "EAP Failure: the network did not accept the UE (RFC 3748 4.2)")
  end
  local name = payloads.error_of(chain)
  if name then
    if message.exchange ~= payloads.INFORMATIONAL and name ~= "INVALID_KE_PAYLOAD" then sa.failed = true end
    complain(message, "ike.error", ("%s (RFC 7296 3.10.1)"):format(name))
  end
  if chain.redirect then
    run.redirected[(message.from_ue and source_of or destination_of)(message)] = session
  end
  if message.inner and message.inner.problem then
    complain(message, "wrong_key", ("Decrypted IKEv2 makes no sense (%s): wrong keys?"):format(message.inner.problem))
  end
end

local function check_order(sa, message, complain)
  if message.response or message.again then return end
  if message.exchange == payloads.AUTH and sa.asked and sa.asked.exchange == payloads.SA_INIT
    and not sa.asked.answer then
    complain(message, "order", "IKE_AUTH while IKE_SA_INIT is unanswered (RFC 7296 1.2)")
  elseif message.exchange == payloads.CREATE_CHILD_SA and message.inner and sa.opened and not sa.authenticated then
    complain(message, "order", "CREATE_CHILD_SA before IKE_AUTH is complete (RFC 7296 1.2, TS 24.303 5.1.2.2)")
  end
end

function ike.read(run, message, complain)
  local sa = sa_of(run, message)
  local session = sa.session
  message.session, message.from_ue = session, message.initiator ~= (sa.reversed or false)
  local asked = pair(run, sa, message)
  check_order(sa, message, complain)
  if not message.response then sa.asked = sa.requests[request_key(message)] end
  if message.exchange == payloads.SA_INIT then sa.opened = true end
  if message.from_ue then
    sessions.use_addresses(run, session, source_of(message), session.ha or destination_of(message))
  else
    sessions.use_addresses(run, session, destination_of(message), session.ha or source_of(message))
  end
  READ[message.exchange](run, session, sa, message, asked)
  refused(run, session, sa, message, complain)
end

return ike
