-- SPDX-License-Identifier: MIT
-- requests.lua: what wrk asks for: the paths given behind --, in turn, each with one of 10,000 keys. Prints one line
-- at the end: requests answered, microseconds, and answers that were no success.
local requests, at = {}, 0

function init(paths)
    for i = 0, 9999 do
        local path = paths[i % #paths + 1]
        requests[i] = wrk.format("GET", string.format("%s?k=10.%d.%d.%d", path, i % 7, i % 251, i % 256))
    end
end

function request()
    at = (at + 1) % 10000
    return requests[at]
end

function done(summary)
    local errors = summary.errors
    print(string.format("requests %d %d %d", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
