-- SPDX-License-Identifier: MIT
-- gate.lua: ways to limit requests in nginx's Lua: ours through the binding of examples/nginx-lua, a
-- lua_shared_dict, and a Lua table of the worker alone. Each takes one unit of a key, or enters and leaves, and says
-- whether the request may pass. loops.lua calls them in loops, nginx.conf.in for requests.
local ffi = require "ffi"
local quipu = require "quipu"

-- What the binding leaves out; as in quipu.h.
ffi.cdef [[
int quipu_take_at(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, int64_t now_ms,
                  struct quipu_verdict *out);
]]

local gate = {}

-- Of each key, far away: what is measured is requests that pass. nginx.sh gives the segment the same ones.
gate.limit = 1000000000
gate.window_s = 86400
gate.limit_at_once = 1000

local now = ngx.now
local dict = ngx.shared.limits
local own_counts, own_ends = {}, {}
local verdict = ffi.new("struct quipu_verdict")
local lib, q

-- In each worker, after the fork.
function gate.open(library, segment)
    quipu.library = library
    lib = ffi.load(library)
    q = assert(quipu.open(segment))
end

-- The library reads the clock.
function gate.take_quipu(key)
    local allowed, problem = q:take(key, 1)
    if allowed == nil then
        error(problem)
    end
    return allowed
end

-- The time is the one that nginx keeps for the requests of one turn of its event loop: what a shared dict reads.
function gate.take_quipu_at(key)
    local code = lib.quipu_take_at(q.q, key, #key, 1, now() * 1000, verdict)
    if code < 0 then
        error(ffi.string(lib.quipu_error(code)))
    end
    return code == 0
end

-- As lua-resty-limit-traffic counts: down from the limit, the first request of a window starting it.
function gate.take_shdict(key)
    local remaining, problem = dict:incr(key, -1, gate.limit, gate.window_s)
    if not remaining then
        error(problem)
    end
    return remaining >= 0
end

function gate.take_own(key)
    local at = now()
    if at >= (own_ends[key] or 0) then
        own_counts[key] = 0
        own_ends[key] = (math.floor(at / gate.window_s) + 1) * gate.window_s
    end
    local count = own_counts[key]
    if count >= gate.limit then
        return false
    end
    own_counts[key] = count + 1
    return true
end

-- A ticket, or nil: too many are in.
function gate.enter_quipu(key)
    local ticket, problem = q:enter(key)
    if not ticket and problem ~= "denied" then
        error(problem)
    end
    return ticket
end

function gate.leave_quipu(ticket)
    assert(q:leave(ticket))
end

-- As lua-resty-limit-traffic counts connections.
function gate.enter_shdict(key)
    local inside, problem = dict:incr(key, 1, 0)
    if not inside then
        error(problem)
    end
    if inside > gate.limit_at_once then
        dict:incr(key, -1)
        return nil
    end
    return key
end

function gate.leave_shdict(key)
    dict:incr(key, -1)
end

-- What was taken of a key, or is in, for when nobody else calls.
function gate.used_quipu(key)
    local count = q:get(key)
    return count and tonumber(count.total + count.previous) or 0
end

function gate.used_shdict(key)
    local value = dict:get(key)
    return value and gate.limit - value or 0
end

function gate.used_own(key)
    return own_counts[key] or 0
end

-- ---- for requests ---------------------------------------------------------------------------------------------------

local function refuse()
    ngx.header["Retry-After"] = 1
    return ngx.exit(429)
end

function gate.request_quipu()
    if not gate.take_quipu("http:" .. ngx.var.arg_k) then
        return refuse()
    end
end

function gate.request_shdict()
    if not gate.take_shdict("http:" .. ngx.var.arg_k) then
        return refuse()
    end
end

function gate.request_enter()
    local ticket = gate.enter_quipu("inflight:" .. ngx.var.arg_k)
    if not ticket then
        return refuse()
    end
    ngx.ctx.ticket = ticket
end

function gate.request_leave()
    gate.leave_quipu(ngx.ctx.ticket)
end

return gate
