-- SPDX-License-Identifier: MIT
-- gate.lua: what nginx asks Quipu. nginx.conf calls these: start when a worker starts, rate and enter in the access phase, leave
-- in the log phase. What the limits are is no matter of nginx: `quipu strategy put` sets them, and every worker follows at its next request.

local quipu = require "quipu"

local gate = {}
local q       -- nil while there is no segment
local segment -- its name
local missed  -- why there is none; nil while there is one

local UPKEEP_SECONDS = 0.25
local UPKEEP_US = 2000

local function open()
   local why
   q, why = quipu.open(segment)
   if why and why ~= missed then
      ngx.log(ngx.ERR, segment, ": ", why, " Nothing is limited.")
   end
   missed = why
end

-- What dead workers held comes back at the next upkeep by any of the others. A segment that was destroyed is let go here, and
-- another one under its name is found here.
local function upkeep(exiting)
   if exiting then
      return
   end
   if not q then
      return open()
   end
   local _, why = q:upkeep(UPKEEP_US)
   if why then
      ngx.log(ngx.ERR, segment, ": upkeep: ", why)
      q = nil
   end
end

function gate.start(library, name)
   quipu.library, segment = library, name
   open()
   ngx.timer.every(UPKEEP_SECONDS, upkeep)
end

-- Seconds for a header, rounded up: who comes back then is not early.
local function seconds(ms)
   return ("%d"):format(math.max(0, math.ceil(tonumber(ms) / 1000)))
end

local function deny(retry_after_ms)
   if retry_after_ms >= 0 then
      ngx.header["Retry-After"] = seconds(retry_after_ms)
   end
   return ngx.exit(429)
end

-- One request under a key. Where Quipu cannot tell, the request is served: a limiter that is out of order is no reason
-- to be out of order oneself.
function gate.rate(key)
   if not q then
      return
   end
   local allowed, verdict = q:take(key, 1)
   if allowed == nil then
      ngx.log(ngx.ERR, "take: ", verdict)
      return
   end
   local limit, remaining = quipu.units(verdict)
   local header = ngx.header
   header["RateLimit-Limit"] = limit
   header["RateLimit-Remaining"] = remaining
   header["RateLimit-Reset"] = seconds(verdict.reset_ms - ngx.now() * 1000)
   header["X-Quipu-Window"] = ("%d"):format(quipu.window(verdict))
   if not allowed then
      return deny(verdict.retry_after_ms)
   end
end

-- One request that takes its time. The ticket lies in ngx.ctx until the log phase, which comes however the request ends.
function gate.enter(key)
   if not q then
      return
   end
   local ticket, why = q:enter(key)
   if why == "denied" then
      return deny(1000)
   elseif why then
      ngx.log(ngx.ERR, "enter: ", why)
   end
   ngx.ctx.quipu = ticket and { q = q, ticket = ticket }
end

function gate.leave()
   local entered = ngx.ctx.quipu
   if entered then
      ngx.ctx.quipu = nil
      local _, why = entered.q:leave(entered.ticket)
      if why then
         ngx.log(ngx.ERR, "leave: ", why)
      end
   end
end

return gate
