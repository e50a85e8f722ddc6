-- SPDX-License-Identifier: GPL-2.0-or-later
-- What IKEv2 tells about sessions: from headers alone without keys, from payloads with them (RFC 7296, RFC 5026,
-- TS 24.303 5.1.2.2).

local address = require("dsmip.address")
local octets = require("dsmip.octets")
local payloads = require("dsmip.payloads")
local quick = require("dsmip.quick")
local sessions = require("dsmip.sessions")
local steps = require("dsmip.steps")

local ike = {}

local SA_INIT, AUTH, INFORMATIONAL = payloads.SA_INIT, payloads.AUTH, payloads.INFORMATIONAL
local REPLY = 2 -- CFG type (RFC 7296 3.15)
local EAP_FAILURE = 4 -- RFC 3748 4
local IMPATIENCE = 0.5 -- seconds after which an unanswered attempt counts as given up when another begins

-- Texts of a message's addresses, which in the frame that is being dissected may still be Wireshark's alone.
local function source_of(message)
  return message.source or address.text(quick.src(address.here))
end

local function destination_of(message)
  return message.destination or address.text(quick.dst(address.here))
end

local REMEMBERED = 16 -- requests of an IKE SA, and as many before: more than any window (RFC 7296 2.3)

local function check_order(sa, message, complain)
  if message.exchange == AUTH then
    local last = sa.asked
    if last and last.raw and not last.answer then
      complain(message, "order", "IKE_AUTH while IKE_SA_INIT is unanswered (RFC 7296 1.2)")
    end
  elseif message.exchange == payloads.CREATE_CHILD_SA and sa.opened and not sa.authenticated
    and message.inner and not message.inner.problem then
    complain(message, "order", "CREATE_CHILD_SA before IKE_AUTH is complete (RFC 7296 1.2, TS 24.303 5.1.2.2)")
  end
end

-- What is kept of the requests of an SA, by message id and by who asked, whatever direction this has; old ones are
-- forgotten. `number` and `answer` are frames; raw (of IKE_SA_INIT), ike_spi, ends and index are there when needed.
local function remember(sa, key, message)
  local count = sa.count + 1
  if count > REMEMBERED then
    sa.older, sa.requests, count = sa.requests, {}, 1
  end
  local request = { number = message.number, answer = nil, step = nil, esp_spi = nil }
  request.raw, request.index = message.raw, message.index
  sa.requests[key], sa.count, sa.asked, sa.asked_at = request, count, request, message.time
  return request
end

-- The request that `message` answers, nil for a request; and what is kept of a request that is not a repetition.
local function pair(run, sa, message, complain)
  local key, response = message.id, message.response
  if message.initiator == response then key = key .. "r" end
  local asked = sa.requests[key] or sa.older and sa.older[key]
  if response then
    if asked then sessions.answer(run, asked, message) end
    return asked, nil
  end
  local exchange = message.exchange
  if asked and (exchange ~= SA_INIT or asked.raw == message.raw) then
    message.again, sa.asked = asked.number, asked
    return nil, nil
  end
  if exchange ~= INFORMATIONAL then check_order(sa, message, complain) end
  return nil, remember(sa, key, message)
end

-- Whether a new attempt goes on where the IKE SA `sa` failed.
local function given_up(sa, message)
  if sa.failed then return true end
  local last = sa.asked
  return last and not last.answer and message.time - sa.asked_at > IMPATIENCE
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

-- A table with room for the first requests of an SA.
local function room()
  return { ["\0\0\0\0"] = nil, ["\0\0\0\1"] = nil, ["\0\0\0\2"] = nil, ["\0\0\0\3"] = nil, ["\0\0\0\4"] = nil }
end

-- The IKE SA of `message`, which is new to us.
local function new_sa(run, message)
  local sa = { session = nil, requests = room(), count = 0, asked = nil, asked_at = nil, opened = nil,
    authenticated = nil }
  if message.exchange == SA_INIT and not message.response then
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

local function remember_child(run, session, spi, hoa)
  if spi then run.children[spi] = { session = session, hoa = hoa } end
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
  remember_child(run, session, chain.esp_spi, hoa)
  if asked then remember_child(run, session, asked.esp_spi, hoa) end
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
  elseif chain.ike_spi and asked and asked.ike_spi then
    sa.replaced = true
    local new = asked.ike_spi
    run.sas[new] = run.sas[new]
      or { session = session, requests = {}, count = 0, reversed = not ue_asked, authenticated = true }
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
  [SA_INIT] = function(_, _, _, message) message.step = steps.INIT end,
  [AUTH] = authentication,
  [payloads.CREATE_CHILD_SA] = another_child,
  [INFORMATIONAL] = informational,
}

local function judge(run, session, sa, message, chain, complain)
  if chain.eap == EAP_FAILURE then
    sa.failed = true
    complain(message, "eap.failure", "EAP Failure: the network did not accept the UE (RFC 3748 4.2)")
  end
  local name = payloads.error_of(chain)
  if name then
    if message.exchange ~= INFORMATIONAL and name ~= "INVALID_KE_PAYLOAD" then sa.failed = true end
    complain(message, "ike.error", ("%s (RFC 7296 3.10.1)"):format(name))
  end
  if chain.redirect then
    run.redirected[(message.from_ue and source_of or destination_of)(message)] = session
  end
  if message.inner and message.inner.problem then
    complain(message, "wrong_key", ("Decrypted IKEv2 makes no sense (%s): wrong keys?"):format(message.inner.problem))
  end
end

function ike.read(run, message, complain)
  local sa = run.sas[message.spi_i] or new_sa(run, message)
  local session = sa.session
  local from_ue = message.initiator ~= (sa.reversed or false)
  message.session, message.from_ue = session, from_ue
  local asked, kept = pair(run, sa, message, complain)
  local exchange = message.exchange
  if exchange == SA_INIT then sa.opened = true end
  -- It is the UE that moves, and not within IKE_AUTH; the home agent follows.
  if not session.ike then
    local ue, home_agent = source_of(message), destination_of(message)
    if not from_ue then ue, home_agent = home_agent, ue end
    sessions.use_addresses(run, session, ue, home_agent)
  elseif from_ue and exchange ~= AUTH then
    local ue = source_of(message)
    if ue ~= session.peer then sessions.use_addresses(run, session, ue, destination_of(message)) end
  end
  READ[exchange](run, session, sa, message, asked)
  local inner = message.inner
  if exchange ~= SA_INIT and exchange ~= INFORMATIONAL and (not inner or inner.problem) then session.unread = true end
  local chain = inner or message.clear
  if chain then judge(run, session, sa, message, chain, complain) end
  if not kept then return end
  kept.step = message.step
  if message.ends then kept.ends = true end
  if inner and inner.esp_spi then kept.esp_spi = inner.esp_spi end
  if inner and inner.ike_spi then kept.ike_spi = inner.ike_spi end
end

return ike
