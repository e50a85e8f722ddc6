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
local NOTHING = {}
local IMPATIENCE = 0.5 -- seconds after which an unanswered attempt counts as given up when another begins

-- Texts of a message's addresses, which in the frame that is being dissected may still be Wireshark's alone.
local function source_of(message)
  return message.source or address.text(quick.src(address.here))
end

local function destination_of(message)
  return message.destination or address.text(quick.dst(address.here))
end

-- What an SA remembers of requests, for their answers and repetitions. A request has an odd number: positive when the
-- initiator of the SA asks, negative otherwise; its answer has the one behind. `frames`: by these numbers, where they
-- were; `told`: by request, what decryption says and the answer needs (step, ends, esp_spi, ike_spi); `indices`: of
-- the requests among the facts, when there are any.
local REMEMBERED = 16 -- requests of an IKE SA, and as many before: more than any window (RFC 7296 2.3)
local OPENING = 1 -- the request of IKE_SA_INIT

local function answer_to(request)
  return request > 0 and request + 1 or request - 1
end

-- Where `sa` remembers this request, nil when it does not.
local function memory_of(sa, request)
  if sa.frames[request] then return sa end
  local older = sa.older
  return older and older.frames[request] and older or nil
end

local function check_order(sa, message, complain)
  if message.exchange == AUTH then
    if sa.asked == OPENING and sa.init and not sa.frames[answer_to(OPENING)] then
      complain(message, "order", "IKE_AUTH while IKE_SA_INIT is unanswered (RFC 7296 1.2)")
    end
  elseif message.exchange == payloads.CREATE_CHILD_SA and sa.opened and not sa.authenticated
    and message.inner and not message.inner.problem then
    complain(message, "order", "CREATE_CHILD_SA before IKE_AUTH is complete (RFC 7296 1.2, TS 24.303 5.1.2.2)")
  end
end

local function remember(run, sa, request, message)
  local count = sa.count + 1
  if count > REMEMBERED then
    sa.older = { frames = sa.frames, told = sa.told, indices = sa.indices }
    sa.frames, sa.told, sa.indices, count = {}, nil, nil, 1
  end
  local frames = sa.frames
  frames[request] = message.number
  if request == OPENING and sa.init then frames[answer_to(OPENING)] = nil end -- asked anew, with a cookie perhaps
  sa.count, sa.asked, sa.asked_at = count, request, message.time
  if run.facts then
    sa.indices = sa.indices or {}
    sa.indices[request] = message.index
  end
end

local function answer(run, memory, request, message)
  local frames, facts, key = memory.frames, run.facts, answer_to(request)
  if facts then message.request = frames[request] end
  if frames[key] then
    message.again = frames[key]
  else
    frames[key] = message.number
    if facts then facts.answered_in[memory.indices[request]] = message.number end
  end
end

-- For a request that is not a repetition its number; else nil and, for an answer to a request of which decryption said
-- something, that.
local function pair(run, sa, message, complain)
  local request, response = 2 * message.id + 1, message.response
  if message.initiator == response then request = -request end
  local memory = memory_of(sa, request)
  if response then
    if not memory then return nil, nil end
    answer(run, memory, request, message)
    return nil, memory.told and memory.told[request] or NOTHING
  end
  local init = message.exchange == SA_INIT and message.raw or nil
  if memory and (not init or init == sa.init) then
    message.again, sa.asked = memory.frames[request], request
    return nil, nil
  end
  if message.exchange ~= INFORMATIONAL then check_order(sa, message, complain) end
  remember(run, sa, request, message)
  if init then sa.init = init end
  return request, nil
end

local function answered(sa, request)
  local memory = memory_of(sa, request)
  return not memory or memory.frames[answer_to(request)] ~= nil
end

-- Whether a new attempt goes on where the IKE SA `sa` failed.
local function given_up(sa, message)
  if sa.failed then return true end
  local last = sa.asked
  return last and not answered(sa, last) and message.time - sa.asked_at > IMPATIENCE
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

-- An SA; its frames have room for the exchanges of an attach.
local function empty_sa(session)
  return { session = session, frames = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }, count = 0, asked = nil,
    asked_at = nil, init = nil, opened = nil, authenticated = nil }
end

-- The IKE SA of `message`, which is new to us.
local function new_sa(run, message)
  local sa = empty_sa(nil)
  if message.exchange == SA_INIT and not message.response then
    local key
    sa.session, key = session_of_attempt(run, message)
    local session = sa.session
    if session.ended or session.deleted then session.ended, session.deleted = nil, nil end -- redirected (RFC 5685 3)
    run.attempts[key] = sa
  else
    local ue = (message.initiator and source_of or destination_of)(message)
    sa.session = sessions.without_ike(run, ue) or sessions.create(run, message)
  end
  run.sas[message.spi_i] = sa
  return sa
end

local function home_address(chain, ue_asked)
  local bytes = chain.ts_r
  if ue_asked then bytes = chain.ts_i end
  if not chain.mh or not bytes or #bytes ~= 16 then return nil end
  return octets.ipv6(bytes), bytes
end

-- One SA for two directions: the SPI of the request is where the asking side receives.
local function child(run, session, message, asked, ue_asked)
  local chain = message.inner
  if not message.response or payloads.error_of(chain) then return end
  local hoa, bytes = home_address(chain, ue_asked)
  if hoa then sessions.set_home_address(run, session, hoa, bytes) end
  if chain.mh then session.child = session.child or true end
  local answering, asking = chain.esp_spi, asked and asked.esp_spi
  if not answering and not asking then return end
  local both = { session = session, hoa = hoa }
  if answering then run.children[answering], run.closed[answering] = both, nil end
  if asking then run.children[asking], run.closed[asking] = both, nil end
end

local function authentication(run, session, sa, message, asked)
  local chain = message.inner
  message.step = steps.AUTHENTICATION
  if not chain then return end
  session.ue = session.ue or chain.idi
  local story = session.story
  if story then story.apn = story.apn or chain.idr end
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
  if message.response and chain.ike_spi and asked and asked.ike_spi then
    sa.replaced = true
    local new = asked.ike_spi
    if not run.sas[new] then
      local sa_of_rekeying = empty_sa(session)
      sa_of_rekeying.reversed, sa_of_rekeying.authenticated = not ue_asked, true
      run.sas[new] = sa_of_rekeying
    end
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
    if run.children[spi] then run.closed[spi] = message.number end
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

-- Keeps what the answer to a request will need.
local function tell(sa, request, message)
  local inner, step = message.inner, message.step
  if not inner or not (inner.esp_spi or inner.ike_spi or message.ends or (step and step ~= steps.AUTHENTICATION)) then
    return
  end
  local told = sa.told
  if not told then
    told = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
    sa.told = told
  end
  told[request] = { step = step, ends = message.ends, esp_spi = inner.esp_spi, ike_spi = inner.ike_spi }
end

function ike.read(run, message, complain)
  local sa = run.sas[message.spi_i] or new_sa(run, message)
  local session = sa.session
  local from_ue = message.initiator ~= (sa.reversed or false)
  message.session, message.from_ue = session, from_ue
  local request, asked = pair(run, sa, message, complain)
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
  if exchange ~= SA_INIT and exchange ~= INFORMATIONAL and (not inner or inner.problem) then
    session.child = "unread"
  end
  local chain = inner or message.clear
  if chain then judge(run, session, sa, message, chain, complain) end
  if request then tell(sa, request, message) end
end

return ike
