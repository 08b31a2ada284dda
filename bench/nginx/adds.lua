-- SPDX-License-Identifier: MIT
-- adds.lua: ways to count in nginx's Lua: ours by LuaJIT's FFI, and a lua_shared_dict. Adds to keys that are there, and
-- keys that nobody has seen before and that expire soon. loops.lua calls them in loops.
local ffi = require "ffi"
local quipu = require "quipu"

local adds = {}

-- Of new keys. nginx.sh gives the segment the same ones.
adds.brief_s = 0.1

local now = ngx.now
local counts, brief = ngx.shared.counts, ngx.shared.brief
local verdict = ffi.new("struct quipu_verdict")
local count = ffi.new("struct quipu_count")
local lib, counted, expiring

-- In each worker, after the fork.
function adds.open(library, counted_segment, brief_segment)
    lib = ffi.load(library)
    counted = assert(quipu.open(counted_segment))
    expiring = assert(quipu.open(brief_segment))
end

local function failed(code)
    error(ffi.string(lib.quipu_error(code)))
end

function adds.add_quipu(key)
    local code = lib.quipu_add(counted.q, key, #key, 1)
    if code ~= 0 then
        failed(code)
    end
    return true
end

function adds.add_shdict(key)
    local value, problem = counts:incr(key, 1)
    if not value then
        error(problem)
    end
    return true
end

-- Keys are made before anything is timed; everything begins with 1.
function adds.load(key)
    adds.add_quipu(key)
    assert(counts:safe_add(key, 1))
end

function adds.count_quipu(key)
    local code = lib.quipu_get(counted.q, key, #key, count)
    if code ~= 0 then
        failed(code)
    end
    return tonumber(count.total)
end

function adds.count_shdict(key)
    return counts:get(key)
end

-- False: there was no room for it.
local NO_ROOM = -10010 -- -QUIPU_EFULL

function adds.brief_quipu(key)
    local code = lib.quipu_take_at(expiring.q, key, #key, 1, now() * 1000, verdict)
    if code ~= 0 and code ~= NO_ROOM then
        failed(code)
    end
    return code == 0
end

function adds.brief_shdict(key)
    local value, problem = brief:incr(key, 1, 0, adds.brief_s)
    if not value and problem ~= "no memory" then
        error(problem)
    end
    return value ~= nil
end

return adds
