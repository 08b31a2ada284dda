-- SPDX-License-Identifier: MIT
-- loops.lua: calls the ways of gate.lua and adds.lua in loops inside nginx's workers, round by round, one slice of each in
-- turn. With worker 0 alone, then with both workers at the same moments. Writes what it measured to a file for each
-- worker; report.py makes the table.
local ffi = require "ffi"
local gate = require "gate"
local adds = require "adds"

ffi.cdef [[
struct bench_timespec { long seconds, ns; };
int clock_gettime(int clock, struct bench_timespec *out);
]]

local CLOCK_MONOTONIC, CLOCK_PROCESS_CPU = 1, 2
local OPS_PER_LOOK = 256
local KEYS, DRAWS = 10000, 2 ^ 16
local GAP_NS, FIRST_NS = 15e6, 100e6

local loops = {}
local timespec = ffi.new("struct bench_timespec")

local function clock_ns(clock)
    ffi.C.clock_gettime(clock, timespec)
    return tonumber(timespec.seconds) * 1e9 + tonumber(timespec.ns)
end

-- ---- keys -----------------------------------------------------------------------------------------------------------

-- The key of number r is drawn with weight 1/r, the same draws for everybody.
local function draw_keys(prefix)
    local upto, weight, keys = {}, 0, {}
    for r = 1, KEYS do
        weight = weight + 1 / r
        upto[r] = weight
        keys[r] = string.format("%s10.%d.%d.%d", prefix, r % 7, r % 251, r % 256)
    end
    local draws = {}
    math.randomseed(20)
    for i = 1, DRAWS do
        local x, low, high = math.random() * weight, 1, KEYS
        while low < high do
            local middle = math.floor((low + high) / 2)
            if x < upto[middle] then
                high = middle
            else
                low = middle + 1
            end
        end
        draws[i] = keys[low]
    end
    return draws, keys
end

-- Addresses of 10.0.0.0/8 in no particular order: the multiplier is odd, so no two are equal.
local function scattered_keys(count)
    local keys = {}
    for i = 1, count do
        local host = i * 2654435761 % 2 ^ 24
        keys[i] = string.format("addr:10.%d.%d.%d", math.floor(host / 65536), math.floor(host / 256) % 256, host % 256)
    end
    return keys
end

-- ---- loops ----------------------------------------------------------------------------------------------------------

-- Loops until the clock says end_ns. Operations done, and how many of them were admitted. One function for each
-- contender: the compiler makes one loop for each. nginx looks at the clock once in a turn of its event loop; a loop of
-- keys that expire must do so itself.
local key_loop = [[
local call, keys, clock_ns, look = ...
local key_count = #keys
return function(at, end_ns)
    local ops, admitted = 0, 0
    repeat
        for _ = 1, %d do
            at = at %% key_count + 1
            if call(keys[at]) then
                admitted = admitted + 1
            end
        end
        look()
        ops = ops + %d
    until clock_ns(1) >= end_ns
    return ops, admitted, at
end]]

local enter_leave_loop = [[
local enter, leave, key, clock_ns = ...
return function(at, end_ns)
    local ops, admitted = 0, 0
    repeat
        for _ = 1, %d do
            local inside = enter(key)
            if inside then
                admitted = admitted + 1
                leave(inside)
            end
        end
        ops = ops + %d
    until clock_ns(1) >= end_ns
    return ops, admitted, at
end]]

local function look_nowhere()
end

-- used: what a key has in the end; all of them together must be what was done, and what was there before.
local function key_way(row, name, call, keys, used, options)
    local code = string.format(key_loop, OPS_PER_LOOK, OPS_PER_LOOK)
    local loop = loadstring(code)(call, keys, clock_ns, options and options.look or look_nowhere)
    return { row = row, name = name, loop = loop, keys = options and options.keys or keys, used = used, at = 0 }
end

local function take_way(name, take, used, prefix)
    local draws, keys = draw_keys(prefix)
    return key_way("take", name, take, draws, used, { keys = keys })
end

local function enter_way(name, enter, leave, key)
    local code = string.format(enter_leave_loop, OPS_PER_LOOK, OPS_PER_LOOK)
    return { row = "enter_leave", name = name, loop = loadstring(code)(enter, leave, key, clock_ns), at = 0 }
end

-- ---- what is measured -----------------------------------------------------------------------------------------------

local function limits()
    return {
        take_way("quipu_take_at", gate.take_quipu_at, gate.used_quipu, "take_at:"),
        take_way("quipu_take", gate.take_quipu, gate.used_quipu, "take:"),
        take_way("lua_table", gate.take_own, nil, "own:"),
        take_way("shdict_incr", gate.take_shdict, gate.used_shdict, "shdict:"),
        enter_way("quipu_enter_leave", gate.enter_quipu, gate.leave_quipu, "inflight:loops"),
        enter_way("shdict_incr_decr", gate.enter_shdict, gate.leave_shdict, "connections"),
    }
end

-- Loaded in another order than they are used in, so that neighbours in time are none in memory.
local function load_keys(keys)
    for i = 1, #keys do
        adds.load(keys[i * 382007 % #keys + 1])
    end
end

local function counters(options, id)
    local hot, keys = { "hot" }, scattered_keys(options.keys)
    if id == 0 then
        adds.load("hot")
        load_keys(keys)
    end
    return {
        key_way("add_hot", "quipu_add", adds.add_quipu, hot, adds.count_quipu),
        key_way("add_hot", "shdict_incr", adds.add_shdict, hot, adds.count_shdict),
        key_way("add_many", "quipu_add", adds.add_quipu, keys, adds.count_quipu),
        key_way("add_many", "shdict_incr", adds.add_shdict, keys, adds.count_shdict),
        -- The stores hold a quarter of these keys: each is gone when it comes round again.
        key_way("churn", "quipu_take_at", adds.brief_quipu, keys, nil, { look = ngx.update_time }),
        key_way("churn", "shdict_incr", adds.brief_shdict, keys, nil, { look = ngx.update_time }),
    }
end

-- ---- slices ---------------------------------------------------------------------------------------------------------

local function sleep_until(start_ns)
    local left_ns = start_ns - clock_ns(CLOCK_MONOTONIC)
    if left_ns > 3e6 then
        ngx.sleep((left_ns - 2e6) / 1e9)
    end
    while clock_ns(CLOCK_MONOTONIC) < start_ns do
    end
    ngx.update_time()
end

local function slice(way, end_ns)
    local cpu_ns, begun_ns = clock_ns(CLOCK_PROCESS_CPU), clock_ns(CLOCK_MONOTONIC)
    local ops, admitted, at = way.loop(way.at, end_ns)
    local elapsed_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns
    way.at = at
    return ops, admitted, elapsed_ns, clock_ns(CLOCK_PROCESS_CPU) - cpu_ns
end

-- Worker 0 says when, once both are there.
local function agree_on_start(phase, id)
    local dict, ready, start = ngx.shared.bench, "ready:" .. phase, "start:" .. phase
    dict:incr(ready, 1, 0)
    while id == 0 and dict:get(ready) < 2 do
        ngx.sleep(0.005)
    end
    if id == 0 then
        dict:set(start, clock_ns(CLOCK_MONOTONIC) + FIRST_NS)
    end
    while not dict:get(start) do
        ngx.sleep(0.005)
    end
    return dict:get(start)
end

-- Slice number i begins at the same moment in all workers.
local function measure(ways, phase, options, id, out)
    local first_ns, i = agree_on_start(phase, id), 0
    for _, way in ipairs(ways) do
        way.at = math.floor(id * #(way.keys or {}) / 2)
    end
    for workers = 1, 2 do
        for round = 1, options.rounds do
            for _, way in ipairs(ways) do
                local start_ns = first_ns + i * (options.slice_ns + GAP_NS)
                i = i + 1
                if id < workers then
                    sleep_until(start_ns)
                    out:write(string.format("%s %d %s %d %.0f %.0f %.0f %.0f\n", way.row, workers, way.name, round,
                        slice(way, start_ns + options.slice_ns)))
                end
            end
        end
    end
end

-- Worker 0, when both are done. What was there before is 1 of each key of adds, nothing of gate's.
local function write_sums(ways, out, loaded_each)
    for _, way in ipairs(ways) do
        if way.used then
            local sum = -loaded_each * #way.keys
            for _, key in ipairs(way.keys) do
                sum = sum + way.used(key)
            end
            out:write(string.format("sum %s %s %.0f\n", way.row, way.name, sum))
        end
    end
end

local function work(_, options, id)
    local out = assert(io.open(options.out .. "." .. id, "w"))
    for phase, prepare in ipairs { limits, counters } do
        local ways = prepare(options, id)
        measure(ways, phase, options, id, out)
        agree_on_start("end of " .. phase, id)
        if id == 0 then
            write_sums(ways, out, prepare == counters and 1 or 0)
        end
    end
    out:write("done\n")
    out:close()
end

-- options: library, segment, counts_segment, brief_segment, out, rounds, slice_s, keys
function loops.start(options)
    gate.open(options.library, options.segment)
    adds.open(options.library, options.counts_segment, options.brief_segment)
    options.slice_ns = options.slice_s * 1e9
    assert(ngx.timer.at(0, work, options, ngx.worker.id()))
end

return loops
