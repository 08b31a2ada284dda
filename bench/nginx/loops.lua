-- SPDX-License-Identifier: MIT
-- loops.lua: calls the ways of gate.lua in loops inside nginx's workers, round by round, one slice of each in turn.
-- With worker 0 alone, then with both workers at the same moments. Writes what it measured to a file for each
-- worker; nginx.sh makes the table.
local ffi = require "ffi"
local gate = require "gate"

ffi.cdef [[
struct bench_timespec { long seconds, ns; };
int clock_gettime(int clock, struct bench_timespec *out);
]]

local CLOCK_MONOTONIC, CLOCK_PROCESS_CPU = 1, 2
local OPS_PER_LOOK = 256
local KEYS, DRAWS = 10000, 2 ^ 16
local GAP_NS, FIRST_NS = 15e6, 600e6

local loops = {}
local timespec = ffi.new("struct bench_timespec")

local function clock_ns(clock)
    ffi.C.clock_gettime(clock, timespec)
    return tonumber(timespec.seconds) * 1e9 + tonumber(timespec.ns)
end

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

-- Loops until the clock says end_ns. Operations done, and how many of them were admitted. One function for each
-- contender: the compiler makes one loop for each.
local take_loop = [[
local take, draws, clock_ns = ...
return function(at, end_ns)
    local ops, admitted = 0, 0
    repeat
        for _ = 1, %d do
            at = at %% %d + 1
            if take(draws[at]) then
                admitted = admitted + 1
            end
        end
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

local function take_contender(name, take, used, prefix)
    local draws, keys = draw_keys(prefix)
    local code = string.format(take_loop, OPS_PER_LOOK, DRAWS, OPS_PER_LOOK)
    return { row = "take", name = name, loop = loadstring(code)(take, draws, clock_ns), used = used, keys = keys }
end

local function enter_contender(name, enter, leave, key)
    local code = string.format(enter_leave_loop, OPS_PER_LOOK, OPS_PER_LOOK)
    return { row = "enter_leave", name = name, loop = loadstring(code)(enter, leave, key, clock_ns) }
end

local function contenders()
    return {
        take_contender("quipu_take_at", gate.take_quipu_at, gate.used_quipu, "take_at:"),
        take_contender("quipu_take", gate.take_quipu, gate.used_quipu, "take:"),
        take_contender("lua_table", gate.take_own, gate.used_own, "own:"),
        take_contender("shdict_incr", gate.take_shdict, gate.used_shdict, "shdict:"),
        enter_contender("quipu_enter_leave", gate.enter_quipu, gate.leave_quipu, "inflight:loops"),
        enter_contender("shdict_incr_decr", gate.enter_shdict, gate.leave_shdict, "connections"),
    }
end

local function sleep_until(start_ns)
    local left_ns = start_ns - clock_ns(CLOCK_MONOTONIC)
    if left_ns > 3e6 then
        ngx.sleep((left_ns - 2e6) / 1e9)
    end
    while clock_ns(CLOCK_MONOTONIC) < start_ns do
    end
    ngx.update_time()
end

local function slice(contender, state, end_ns)
    local cpu_ns, begun_ns = clock_ns(CLOCK_PROCESS_CPU), clock_ns(CLOCK_MONOTONIC)
    local ops, admitted, at = contender.loop(state.at, end_ns)
    local elapsed_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns
    state.at = at
    return ops, admitted, elapsed_ns, clock_ns(CLOCK_PROCESS_CPU) - cpu_ns
end

-- Slice number i begins at the same moment in all workers.
local function measure(options, id, out)
    local ways, state, i = contenders(), { at = id * DRAWS / 2 }, 0
    for workers = 1, 2 do
        for round = 1, options.rounds do
            for _, way in ipairs(ways) do
                local start_ns = options.start_ns + i * (options.slice_ns + GAP_NS)
                i = i + 1
                if id < workers then
                    sleep_until(start_ns)
                    out:write(string.format("%s %d %s %d %.0f %.0f %.0f %.0f\n", way.row, workers, way.name, round,
                        slice(way, state, start_ns + options.slice_ns)))
                end
            end
        end
    end
    return ways
end

local function write_sums(ways, out)
    for _, way in ipairs(ways) do
        if way.used and way.used ~= gate.used_own then
            local sum = 0
            for _, key in ipairs(way.keys) do
                sum = sum + way.used(key)
            end
            out:write(string.format("sum %s %.0f\n", way.name, sum))
        end
    end
end

-- Worker 0 waits for worker 1, then adds up what all have taken.
local function work(_, options, id)
    local dict = ngx.shared.bench
    local out = assert(io.open(options.out .. "." .. id, "w"))
    local ways = measure(options, id, out)
    dict:incr("done", 1, 0)
    while id == 0 and dict:get("done") < 2 do
        ngx.sleep(0.01)
    end
    if id == 0 then
        write_sums(ways, out)
    end
    out:write("done\n")
    out:close()
end

-- options: library, segment, out, rounds, slice_s
function loops.start(options)
    local id, dict = ngx.worker.id(), ngx.shared.bench
    gate.open(options.library, options.segment)
    options.slice_ns = options.slice_s * 1e9
    dict:safe_add("start_ns", clock_ns(CLOCK_MONOTONIC) + FIRST_NS)
    options.start_ns = dict:get("start_ns")
    assert(ngx.timer.at(0, work, options, id))
end

return loops
