-- SPDX-License-Identifier: MIT
-- windows.lua: a script for wrk(1). Counts the answers by the window that their header X-Quipu-Window names, by status and
-- by the worker in X-Worker, and prints them at the end:
--
--     window START_MS ADMITTED ASKED
--     status CODE ANSWERS
--     worker PID ANSWERS

local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

-- Globals: what done() asks each thread for.
function init()
   admitted, asked, statuses, workers = {}, {}, {}, {}
end

local function count(counts, name)
   counts[name] = (counts[name] or 0) + 1
end

function response(status, headers)
   local window = headers["X-Quipu-Window"]
   if window then
      count(asked, window)
      if status == 200 then
         count(admitted, window)
      end
   end
   count(statuses, tostring(status))
   count(workers, headers["X-Worker"] or "unknown")
end

local function sum(name)
   local sums = {}
   for _, thread in ipairs(threads) do
      for key, n in pairs(thread:get(name)) do
         sums[key] = (sums[key] or 0) + n
      end
   end
   return sums
end

function done()
   local admitted_sums = sum("admitted")
   for window, n in pairs(sum("asked")) do
      print(("window %s %d %d"):format(window, admitted_sums[window] or 0, n))
   end
   for _, name in ipairs({ "status", "worker" }) do
      for key, n in pairs(sum(name == "status" and "statuses" or "workers")) do
         print(("%s %s %d"):format(name, key, n))
      end
   end
end
