-- SPDX-License-Identifier: MIT
-- quipu.lua: Quipu for LuaJIT, through its FFI. Open once per process; nothing here blocks, so it may be called wherever
-- nginx runs Lua.
--
--     local quipu = require "quipu"
--     local q = assert(quipu.open("web"))             -- in init_worker_by_lua
--     local allowed, verdict = q:take("addr:192.0.2.7", 1)
--     local ticket = q:enter("reports")               -- nil, "denied" when it is full
--     q:leave(ticket)
--
-- Calls return nil and a sentence when they fail. Keys are Lua strings, any bytes. What is 64 bits wide comes as a Lua number where
-- 53 bits hold it for sure; quipu.none stands for "no limit".

local ffi = require "ffi"

-- Taken from quipu.h, word for word.
ffi.cdef [[
struct quipu;

struct quipu_count {
    int64_t total;
    int64_t local;
    int64_t remote;
    int64_t previous;
    uint64_t epoch;
    int64_t denied;
    uint64_t reserved[2];
};

struct quipu_verdict {
    uint64_t limit;
    uint64_t remaining;
    uint64_t epoch;
    int64_t reset_ms;
    int64_t retry_after_ms;
    uint64_t shadow_denied;
    uint64_t reserved[2];
};

struct quipu_ticket {
    uint64_t opaque[4];
};

struct quipu_open_options;

int quipu_open(const char *segment, const struct quipu_open_options *options, struct quipu **out);
void quipu_close(struct quipu *q);
int quipu_add(struct quipu *q, const void *key, size_t key_bytes, int64_t n);
int quipu_get(struct quipu *q, const void *key, size_t key_bytes, struct quipu_count *out);
int quipu_take(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, struct quipu_verdict *out);
int quipu_refund(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, const struct quipu_verdict *of);
int quipu_enter(struct quipu *q, const void *key, size_t key_bytes, struct quipu_ticket *out);
int quipu_leave(struct quipu *q, const struct quipu_ticket *ticket);
int quipu_upkeep(struct quipu *q, uint32_t budget_us);
const char *quipu_error(int error);
const char *quipu_version(void);
]]

local quipu = {
   library = "libquipu.so.0", -- or a path; looked at by the first open
   none = math.huge,
}

local lib
local methods = {}
local handle = { __index = methods }

local function sentence(code)
   return ffi.string(lib.quipu_error(code))
end

function quipu.open(segment)
   lib = lib or ffi.load(quipu.library)
   local out = ffi.new("struct quipu *[1]")
   local code = lib.quipu_open(segment, nil, out)
   if code ~= 0 then
      return nil, sentence(code)
   end
   -- Closed when Lua ends or nothing refers to it any more, whichever is first.
   return setmetatable({ q = ffi.gc(out[0], lib.quipu_close) }, handle)
end

function quipu.version()
   lib = lib or ffi.load(quipu.library)
   return ffi.string(lib.quipu_version())
end

local function done(code)
   if code < 0 then
      return nil, sentence(code)
   end
   return true
end

function methods:add(key, n)
   return done(lib.quipu_add(self.q, key, #key, n))
end

-- A struct quipu_count; its fields are 64 bits wide: tonumber() them.
function methods:get(key)
   local count = ffi.new("struct quipu_count")
   local code = lib.quipu_get(self.q, key, #key, count)
   if code ~= 0 then
      return nil, sentence(code)
   end
   return count
end

-- true or false and the verdict, a struct quipu_verdict. See quipu.window and quipu.headers.
function methods:take(key, n)
   local verdict = ffi.new("struct quipu_verdict")
   local code = lib.quipu_take(self.q, key, #key, n or 1, verdict)
   if code < 0 then
      return nil, sentence(code)
   end
   return code == 0, verdict
end

-- Gives back what a take that had this verdict took.
function methods:refund(key, n, verdict)
   return done(lib.quipu_refund(self.q, key, #key, n, verdict))
end

-- A ticket, to be given to leave by this worker and no other one; nil and "denied" when the limit is reached.
function methods:enter(key)
   local ticket = ffi.new("struct quipu_ticket")
   local code = lib.quipu_enter(self.q, key, #key, ticket)
   if code == 0 then
      return ticket
   end
   return nil, code == 1 and "denied" or sentence(code)
end

function methods:leave(ticket)
   return done(lib.quipu_leave(self.q, ticket))
end

-- To be called from a timer. How much there was to do.
function methods:upkeep(budget_us)
   local code = lib.quipu_upkeep(self.q, budget_us or 0)
   if code < 0 then
      return nil, sentence(code)
   end
   return code
end

local function units(n)
   return n == 0xffffffffffffffffULL and quipu.none or tonumber(n)
end

-- Limit and remaining as Lua numbers, quipu.none where there is no limit.
function quipu.units(verdict)
   return units(verdict.limit), units(verdict.remaining)
end

-- When the window that the take was counted in began: unix time in ms.
function quipu.window(verdict)
   return tonumber(verdict.epoch / 65536ULL)
end

return quipu
