-- SPDX-License-Identifier: GPL-2.0-or-later
-- Which messages belong together. An IKE SA is told by its SPIs, never by addresses: many UEs may be behind one. A
-- Binding Update is told by the home address, the SPI of its ESP, the home network prefix, and only when there is no
-- doubt by the care-of address.

local address = require("dsmip.address")
local octets = require("dsmip.octets")

local sessions = {}

-- What one walk over the capture knows; see `analysis`.
function sessions.new(facts)
  return {
    facts = facts, list = {}, count = 0,
    queries = {}, nat = {}, -- by client address, then identifier; by address and port
    sas = {}, attempts = {}, redirected = {}, -- IKE: by SPI of the initiator; by addresses
    waiting = {}, unplaced = {}, -- discovered, no IKE yet: lists by client address; those of DHCPv6
    by_hoa = {}, homes = {}, bindings = {}, by_prefix = {}, -- by text (homes: IPv4 too), octets
    children = {}, closed = {}, -- child SAs, and the frames that closed them, by SPI
    without_hoa = {}, without_ike = {}, -- pools by care-of address
  }
end

function sessions.create(run, message)
  run.count = run.count + 1
  -- All named, so that there is room for them; more than these sixteen would take twice the memory. `offered`: home
  -- agents, `asked`: kinds of questions, both until there is IKE; `bound`: the care-of address of the binding, false.
  local session = { number = run.count, discovery = nil, ike = nil, ha = nil, peer = nil, ue = nil, coa = nil,
    hoa = nil, home = nil, child = nil, bound = nil, newest = nil, refresh = nil, ended = nil, deleted = nil,
    story = nil }
  if run.facts then
    session.story = { start = message.time, first = message.number, last = message.number, repeats = 0,
      phase = "discovery", first_coa = nil, first_hoa = nil, apn = nil }
    run.list[session.number] = session
  end
  return session
end

-- Pools: a session, or a set of several that counts itself as `pool`.
local function put(pools, key, session)
  local pool = pools[key]
  if not pool or pool == session then
    pools[key] = session
    return
  end
  if not pool.pool then
    pool = { pool = 1, set = { [pool] = true } }
    pools[key] = pool
  end
  if not pool.set[session] then pool.set[session], pool.pool = true, pool.pool + 1 end
end

local function take_out(pools, key, session)
  local pool = key and pools[key]
  if pool == session then
    pools[key] = nil
  elseif pool and pool.pool and pool.set[session] then
    pool.set[session], pool.pool = nil, pool.pool - 1
    if pool.pool == 1 then pools[key] = next(pool.set) end
  end
end

local function only_one(pools, key)
  local pool = pools[key]
  return pool and not pool.pool and pool or nil
end

-- Marks `message` as the answer to `request`, or as the repetition of the answer.
function sessions.answer(run, request, message)
  local facts = run.facts
  if facts then message.request = request.number end
  if request.answer then
    message.again = request.answer
  else
    request.answer = message.number
    if facts then facts.answered_in[request.index] = message.number end
  end
end

-- The session that a query of this kind starts or goes on with.
function sessions.discovering(run, message, kind)
  local list = run.waiting[message.client] or {}
  run.waiting[message.client] = list
  local session = list[#list]
  local discovery = session and session.discovery
  if not discovery or (discovery.asked[kind] and next(discovery.offered)) then
    session = sessions.create(run, message)
    discovery = { asked = {}, offered = {} }
    session.discovery, list[#list + 1] = discovery, session
  end
  discovery.asked[kind] = true
  return session
end

function sessions.offer(session, addresses)
  local discovery = session.discovery
  if not discovery then return end
  for _, one in ipairs(addresses) do discovery.offered[one] = true end
end

local function take_first(list, home_agent)
  for i, session in ipairs(list or {}) do
    local offered = session.discovery and session.discovery.offered -- none: it was in another list as well
    if offered and (offered[home_agent] or not next(offered)) then
      session.discovery = nil
      table.remove(list, i)
      return session
    end
  end
  return nil
end

-- The session that discovered `home_agent` for the client at `ue` and has no IKE yet.
function sessions.discovered(run, ue, home_agent)
  return take_first(run.waiting[ue], home_agent) or take_first(run.unplaced, home_agent)
end

-- An IKE SA of `session` is used between these addresses.
function sessions.use_addresses(run, session, ue, home_agent)
  session.ike, session.ha = true, session.ha or home_agent
  if session.peer == ue then return end
  if not session.hoa then
    take_out(run.without_hoa, session.peer, session)
    put(run.without_hoa, ue, session)
  end
  session.peer = ue
  if not session.bound then session.coa = ue end
  local story = session.story
  if story then story.first_coa = story.first_coa or ue end
end

-- The session whose Mobility Headers were seen from `coa` while its IKE was not.
function sessions.without_ike(run, coa)
  local session = only_one(run.without_ike, coa)
  if session then take_out(run.without_ike, coa, session) end
  return session
end

-- `hoa`: text; `bytes`: its octets, where they are known.
function sessions.set_home_address(run, session, hoa, bytes)
  if session.hoa == hoa and run.by_hoa[hoa] == session then return end
  run.by_hoa[hoa], run.homes[hoa] = session, session
  bytes = bytes or address.parse(hoa)
  if bytes then run.by_prefix[bytes:sub(1, 8)] = session end -- home prefixes are /64 (TS 23.402 4.7.1)
  session.hoa = hoa
  if session.home then session.home.hoa, session.home.octets = hoa, bytes end
  local story = session.story
  if story then story.first_hoa = story.first_hoa or hoa end
  take_out(run.without_hoa, session.peer, session)
end

function sessions.set_prefix(run, session, prefix, length)
  session.home = { prefix = prefix, length = length, hoa = nil, octets = nil, checked = nil,
    outside = nil }
  if length >= 64 then run.by_prefix[prefix:sub(1, 8)] = session end
end

-- Whether the home address `hoa` (text) lies in the prefix that the session was given; nil when none was seen.
function sessions.inside(session, hoa)
  local home = session.home
  local bytes = home and (home.hoa == hoa and home.octets or address.parse(hoa))
  if not bytes or #bytes ~= 16 then return nil end
  local whole, rest = math.floor(home.length / 8), home.length % 8
  if bytes:sub(1, whole) ~= home.prefix:sub(1, whole) then return false end
  if rest == 0 then return true end
  local unit = 2 ^ (8 - rest)
  return math.floor(octets.u8(bytes, whole) / unit) == math.floor(octets.u8(home.prefix, whole) / unit)
end

-- The session of a message between a home address and a home agent, nil when it cannot be told.
function sessions.of_home_address(run, message)
  local known = run.by_hoa[message.hoa]
  if known and not known.ended then return known end
  local child = message.esp and run.children[message.esp]
  if child and not child.session.hoa then return child.session end
  local bytes = next(run.by_prefix) and address.parse(message.hoa)
  local owner = bytes and run.by_prefix[bytes:sub(1, 8)]
  if owner and not owner.ended then return owner end
  return only_one(run.without_hoa, message.coa) or known or owner or (child and child.session)
end

-- A session that begins, for us, with this Mobility Header.
function sessions.of_mobility_header(run, message)
  local session = sessions.of_home_address(run, message)
  if not session then
    session = sessions.create(run, message)
    session.ha, session.coa = message.ha, message.coa
    if session.story then session.story.first_coa = message.coa end
    put(run.without_ike, message.coa, session)
  end
  return session
end

return sessions
