/* SPDX-License-Identifier: MIT */
/* account.c: keeping the account, and comparing with it what the core does. */
#include "account.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/rules.h"

void sim_account_fail(struct sim_account *account, const char *format, ...)
{
    va_list args;
    if (account->wrong[0])
        return;
    va_start(args, format);
    vsnprintf(account->wrong, sizeof account->wrong, format, args);
    va_end(args);
}

/* ---- keys and lives -------------------------------------------------------------------------------------------------------- */

static struct sim_strategy draw_strategy(const struct sim_profile *profile, struct sim_random *random)
{
    struct sim_strategy limit = {.kind = QP_KIND_LIMIT,
                                 .algorithm = sim_random_chance(random, 300000) ? SIM_SLIDING : SIM_FIXED,
                                 .window_ms = profile->window_ms,
                                 .limit = profile->limit};
    struct sim_strategy counter = {.kind = QP_KIND_COUNTER}, value = {.kind = QP_KIND_REGISTER};
    switch (profile->theme) {
    case SIM_THEME_LIMITS:
        return limit;
    case SIM_THEME_VALUES:
        return value;
    case SIM_THEME_MIXED:
    case SIM_THEME_HOSTILE:
    case SIM_THEME_COLLECT: {
        uint64_t choice = sim_random_below(random, 10);
        return choice < 6 ? counter : choice < 8 ? value : limit;
    }
    default:
        return counter;
    }
}

void sim_account_init(struct sim_account *account, const struct sim_profile *profile, struct sim_random *random)
{
    memset(account, 0, sizeof *account);
    account->key_count = profile->keys;
    for (uint32_t i = 0; i < profile->keys; i++) {
        struct sim_account_key *k = &account->key[i];
        k->name_bytes = (uint32_t)snprintf(k->name, sizeof k->name, "k%u", i);
        k->strategy = draw_strategy(profile, random);
    }
}

void sim_account_free(struct sim_account *account)
{
    for (uint32_t i = 0; i < account->key_count; i++) {
        free(account->key[i].write);
        free(account->key[i].series);
    }
}

uint32_t sim_account_key_of(const struct sim_account *account, const void *name, size_t name_bytes)
{
    for (uint32_t i = 0; i < account->key_count; i++) {
        if (account->key[i].name_bytes == name_bytes && memcmp(account->key[i].name, name, name_bytes) == 0)
            return i;
    }
    return SIM_KEYS;
}

uint32_t sim_account_born(struct sim_account *account, uint32_t host, uint64_t replica)
{
    if (account->life_count == SIM_LIVES)
        abort(); /* the schedule stops taking segments away before that */
    account->life[account->life_count] = (struct sim_life){.replica = replica, .host = host};
    return account->life_count++;
}

static bool is_newer(struct qp_version a, struct qp_version b)
{
    return qp_version_compare(a.timestamp, a.replica, b.timestamp, b.replica) > 0;
}

/* ---- what hosts do ----------------------------------------------------------------------------------------------------------- */

static uint64_t window_of(const struct sim_account_key *k, uint64_t epoch)
{
    return k->strategy.kind == QP_KIND_LIMIT ? (epoch >> 16) / k->strategy.window_ms : 0;
}

static void count_in_series(struct sim_account_key *k, uint64_t window, struct sim_series counted)
{
    if (window < k->series_window)
        return;
    if (window > k->series_window) {
        k->series_window = window;
        k->series_count = 0;
    }
    if (k->series_count == k->series_room) {
        k->series_room = k->series_room ? k->series_room * 2 : 32;
        k->series = realloc(k->series, k->series_room * sizeof *k->series);
        if (!k->series)
            abort();
    }
    k->series[k->series_count++] = counted;
}

/* A host that counts in another window than before: what it had not told of the older one is told no more, unless it
 * is the one before, which has the other parity. */
static void enter_window(struct sim_account_key *k, struct sim_shard *s, uint64_t window, uint64_t epoch)
{
    bool back = window < s->window;
    if (back) {
        uint64_t until = (s->window + 2) * k->strategy.window_ms;
        k->loose_before_ms = until > k->loose_before_ms ? until : k->loose_before_ms;
    }
    *s = (struct sim_shard){.window = window, .epoch = epoch, .loose = back};
}

void sim_account_add(struct sim_account *account, uint32_t life, uint32_t key, uint64_t epoch, uint64_t n, uint64_t now_ms, bool late)
{
    struct sim_account_key *k = &account->key[key];
    uint64_t window = window_of(k, epoch);
    struct sim_shard *s = &account->shard[key][life][window & 1];
    if (window != s->window)
        enter_window(k, s, window, epoch);
    if (k->strategy.kind == QP_KIND_LIMIT)
        count_in_series(k, window, (struct sim_series){.at_ms = now_ms, .n = n, .life = life});
    s->loose |= k->strategy.kind == QP_KIND_LIMIT && window * k->strategy.window_ms < k->loose_before_ms;
    if (s->epoch != epoch && !s->loose)
        sim_account_fail(account, "%s: life %u counts in epoch %" PRIu64 ", and was in %" PRIu64, k->name, life, epoch, s->epoch);
    s->epoch = epoch;
    s->unstamped += n;
    s->late += late ? n : 0;
    s->added += n;
}

void sim_account_refund(struct sim_account *account, uint32_t life, uint32_t key, uint64_t epoch, uint64_t n)
{
    struct sim_account_key *k = &account->key[key];
    count_in_series(k, window_of(k, epoch), (struct sim_series){.n = n, .life = life, .what = SIM_GIVEN_BACK});
}

/* Of a limit a cut ends the window that it is made in, and perhaps the one before; the block may still speak of an
 * older one. */
static bool is_cut(const struct sim_account_key *k, const struct sim_shard *s, uint64_t epoch)
{
    uint64_t window = window_of(k, epoch);
    return k->strategy.kind == QP_KIND_COUNTER || window > s->window || (window == s->window && epoch > s->epoch);
}

/* A faster clock had begun the next window when the reset was made in this one: what had been heard of it is older
 * than the reset, and ends with it. */
static void end_by_version(struct sim_account *account, uint32_t key, uint64_t window, struct qp_version tombstone)
{
    struct sim_account_key *k = &account->key[key];
    for (uint32_t life = 0; life < account->life_count; life++) {
        for (unsigned parity = 0; parity < 2; parity++) {
            struct sim_shard *s = &account->shard[key][life][parity];
            if (s->window <= window || s->stamped <= s->ended || is_newer(s->said, tombstone))
                continue;
            count_in_series(k, s->window, (struct sim_series){.n = s->stamped - s->ended, .life = life, .what = SIM_ENDED});
            s->ended = s->stamped;
        }
    }
}

void sim_account_cut(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *after, bool is_delete,
                     int64_t ended)
{
    struct sim_account_key *k = &account->key[key];
    bool plain = k->strategy.kind == QP_KIND_COUNTER;
    k->cuts++;
    k->newest = after->tombstone.timestamp > k->newest ? after->tombstone.timestamp : k->newest;
    for (uint32_t i = 0; i < after->point_count; i++)
        k->newest = after->point[i].timestamp > k->newest ? after->point[i].timestamp : k->newest;
    for (unsigned parity = 0; parity < (plain ? 1 : 2); parity++) {
        uint64_t epoch = after->own[parity].epoch, window = window_of(k, epoch);
        struct sim_shard *s = &account->shard[key][life][parity];
        k->epoch_made = epoch > k->epoch_made ? epoch : k->epoch_made;
        if (epoch == 0 || !is_cut(k, s, epoch))
            continue;
        if (!plain && window > k->cut_window)
            k->cut_window = window;
        if (plain && ended != (int64_t)(s->stamped + s->unstamped))
            sim_account_fail(account, "%s: life %u ended %" PRId64 ", and had %" PRIu64, k->name, life, ended, s->stamped + s->unstamped);
        if (window != s->window)
            enter_window(k, s, window, epoch);
        s->epoch = epoch;
        s->stamped = s->unstamped = s->late = s->ended = 0;
        s->unheard = true;
    }
    if (!plain)
        end_by_version(account, key, window_of(k, after->floor), after->tombstone);
    if ((is_delete || !plain) && is_newer(after->tombstone, k->cut_newest))
        k->cut_newest = after->tombstone;
}

void sim_account_write(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *after)
{
    struct sim_account_key *k = &account->key[key];
    if (k->write_count == k->write_room) {
        k->write_room = k->write_room ? k->write_room * 2 : 32;
        k->write = realloc(k->write, k->write_room * sizeof *k->write);
        if (!k->write)
            abort();
    }
    k->write[k->write_count++] = (struct sim_write){after->tombstone, after->value, after->deleted, life};
}

/* It goes on where it was when it returns in the same window, if it is still remembered. */
void sim_account_evicted(struct sim_account *account, uint32_t life, uint32_t key)
{
    for (unsigned parity = 0; parity < 2; parity++)
        account->shard[key][life][parity].loose = true;
    struct sim_account_key *k = &account->key[key];
    uint64_t until = (k->series_window + 2) * k->strategy.window_ms;
    k->loose_before_ms = until > k->loose_before_ms ? until : k->loose_before_ms;
}

/* ---- what the core does ---------------------------------------------------------------------------------------------------------- */

/* The host's own point of an epoch, as it has told it. */
static const struct qp_point *own_point(const struct qp_state *state, uint64_t self, uint64_t epoch)
{
    const struct qp_point *best = NULL;
    for (uint32_t i = 0; i < state->point_count; i++) {
        const struct qp_point *point = &state->point[i];
        if (point->replica == self && point->epoch == epoch && (!best || point->count > best->count))
            best = point;
    }
    return best;
}

/* What was told may only be taken back by somebody's delete that is newer, or by the end of its epoch. */
static bool was_killed(const struct sim_account_key *k, const struct sim_shard *s)
{
    return k->epoch_made > s->epoch || !is_newer(s->said, k->cut_newest);
}

/* Who mints a version takes his own clock, or one more than the newest that he knows of this key: nobody else's clock
 * moves his. */
static void check_versions(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state, uint64_t now_ms)
{
    struct sim_account_key *k = &account->key[key];
    for (uint32_t i = 0; i < state->point_count; i++) {
        const struct qp_point *point = &state->point[i];
        if (point->replica != account->life[life].replica || point->timestamp <= k->newest)
            continue;
        if (point->timestamp > k->newest + 1 && point->timestamp >> 16 > now_ms)
            sim_account_fail(account, "%s: life %u mints a version %" PRIu64 " ms ahead of its clock", k->name, life,
                             (point->timestamp >> 16) - now_ms);
        k->newest = point->timestamp;
    }
}

static void observe_point(struct sim_account *account, struct sim_account_key *k, uint32_t life, struct sim_shard *s,
                          const struct qp_point *point)
{
    uint64_t known = s->stamped + s->unstamped - s->late, most = s->stamped + s->unstamped;
    if (!point) {
        if (s->stamped && !was_killed(k, s) && !s->loose)
            sim_account_fail(account, "%s: life %u lost what it had told, %" PRIu64 " in epoch %" PRIu64, k->name, life, s->stamped,
                             s->epoch);
        s->stamped = s->ended = 0;
        return;
    }
    if (point->count == s->stamped && !(s->unstamped && s->loose)) {
        s->said = (struct qp_version){point->timestamp, point->replica};
        return;
    }
    if ((point->count < known || point->count > most) && was_killed(k, s)) {
        known -= s->stamped; /* killed, and stamped anew in one step */
        most -= s->stamped;
        s->stamped = s->ended = 0;
    }
    if (s->loose)
        known = most = point->count;
    if (point->count < known || point->count > most)
        sim_account_fail(account, "%s: life %u told %" PRIu64 " in epoch %" PRIu64 ", and has counted %" PRIu64, k->name, life, point->count,
                         s->epoch, most);
    s->unstamped = most - point->count;
    s->stamped = point->count;
    s->said = (struct qp_version){point->timestamp, point->replica};
}

static void observe_epoch(struct sim_account *account, struct sim_account_key *k, uint32_t life, struct sim_shard *s, uint64_t epoch)
{
    if (epoch == s->epoch)
        return;
    if (epoch < s->epoch && !s->loose)
        sim_account_fail(account, "%s: life %u went back from epoch %" PRIu64 " to %" PRIu64, k->name, life, s->epoch, epoch);
    if (epoch > k->epoch_made && s->unheard)
        k->epoch_made = epoch;
    if (epoch > k->epoch_made)
        sim_account_fail(account, "%s: life %u is in epoch %" PRIu64 ", which nobody began (%" PRIu64 ")", k->name, life, epoch,
                         k->epoch_made);
    s->epoch = epoch;
    s->stamped = s->ended = 0;
}

static void observe_plain(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state)
{
    struct sim_account_key *k = &account->key[key];
    struct sim_shard *s = &account->shard[key][life][0];
    if (!state) {
        if (s->stamped + s->unstamped)
            sim_account_fail(account, "%s: life %u forgot it with %" PRIu64 " counted", k->name, life, s->stamped + s->unstamped);
        *s = (struct sim_shard){0};
        return;
    }
    observe_epoch(account, k, life, s, state->own[0].epoch);
    observe_point(account, k, life, s, own_point(state, account->life[life].replica, s->epoch));
    s->late = 0;
    s->unheard &= state->stated == 0;
    if (state->cell[0] - state->own[0].base != s->stamped + s->unstamped)
        sim_account_fail(account, "%s: life %u holds %" PRIu64 " in epoch %" PRIu64 ", and has counted %" PRIu64, k->name, life,
                         state->cell[0] - state->own[0].base, s->epoch, s->stamped + s->unstamped);
}

static void observe_windows(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state, uint64_t now_ms)
{
    struct sim_account_key *k = &account->key[key];
    for (unsigned parity = 0; parity < 2; parity++) {
        struct sim_shard *s = &account->shard[key][life][parity];
        if (!state || s->window == 0)
            continue;
        uint64_t epoch = state->own[parity].epoch;
        if (state->cell_window[parity] != s->window && window_of(k, epoch) != s->window)
            continue;
        s->loose |= s->window * k->strategy.window_ms < k->loose_before_ms;
        if (window_of(k, epoch) > s->window) { /* the block speaks of a later one: what is in the cell is over */
            s->loose = true;
            continue;
        }
        if (window_of(k, epoch) != s->window)
            epoch = (s->window * k->strategy.window_ms) << 16;
        observe_epoch(account, k, life, s, epoch);
        const struct qp_point *point = own_point(state, account->life[life].replica, s->epoch);
        bool is_over = (s->window + 2) * k->strategy.window_ms + QP_SKEW_MAX_MS <= now_ms; /* its points may go */
        s->loose |= is_over && !point;
        observe_point(account, k, life, s, point);
        s->late = 0;
    }
}

/* A write that would have been dead on arrival, below the grave of the key, may be given a newer version before
 * anybody hears of it. */
static void observe_value(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state)
{
    struct sim_account_key *k = &account->key[key];
    uint32_t i = k->write_count;
    if (!state || state->tombstone.replica != account->life[life].replica)
        return;
    while (i && k->write[i - 1].life != life)
        i--;
    if (i && is_newer(state->tombstone, k->write[i - 1].version) && state->value == k->write[i - 1].value &&
        state->deleted == k->write[i - 1].removed)
        sim_account_write(account, life, key, state);
}

void sim_account_observe(struct sim_account *account, uint32_t life, uint32_t key, const struct qp_state *state, uint64_t now_ms)
{
    uint8_t kind = account->key[key].strategy.kind;
    if (account->wrong[0] || (state && state->kind != kind))
        return;
    if (state)
        check_versions(account, life, key, state, now_ms);
    if (kind == QP_KIND_REGISTER)
        observe_value(account, life, key, state);
    else if (kind == QP_KIND_COUNTER)
        observe_plain(account, life, key, state);
    else if (!state || state->window_ms == account->key[key].strategy.window_ms)
        observe_windows(account, life, key, state, now_ms);
}

void sim_account_excuse_windows(struct sim_account *account, uint64_t before_ms)
{
    for (uint32_t key = 0; key < account->key_count; key++)
        account->key[key].loose_before_ms = before_ms;
}

/* ---- segments that are lost ----------------------------------------------------------------------------------------------------- */

void sim_account_lost(struct sim_account *account, uint32_t life)
{
    account->life[life].lost = true;
    for (uint32_t key = 0; key < account->key_count; key++) {
        for (unsigned parity = 0; parity < 2; parity++) {
            struct sim_shard *s = &account->shard[key][life][parity];
            s->unstamped = s->late = 0;
            s->low = s->low_epoch = 0;
        }
    }
}

void sim_account_cut_lost(struct sim_account *account, uint32_t key)
{
    account->key[key].cut_lost = account->key[key].cut_newest;
}

void sim_account_known(struct sim_account *account, uint32_t key, uint32_t life, unsigned parity, const struct qp_point *point)
{
    struct sim_shard *s = &account->shard[key][life][parity];
    if (point->epoch < s->low_epoch || (point->epoch == s->low_epoch && point->count <= s->low))
        return;
    s->low_epoch = point->epoch;
    s->low = point->count;
    s->low_said = (struct qp_version){point->timestamp, point->replica};
}

/* ---- what must be read ------------------------------------------------------------------------------------------------------------ */

void sim_account_expect(const struct sim_account *account, uint32_t key, uint64_t window, uint64_t epoch, uint64_t *low, uint64_t *high)
{
    *low = *high = 0;
    for (uint32_t life = 0; life < account->life_count; life++) {
        const struct sim_shard *s = &account->shard[key][life][window & 1];
        if (account->life[life].lost) {
            const struct sim_account_key *k = &account->key[key];
            bool lives = s->low_epoch == epoch && is_newer(s->low_said, k->cut_newest);
            bool may_live = s->low_epoch == epoch && k->cut_lost.timestamp && !is_newer(k->cut_newest, k->cut_lost);
            uint64_t most = s->window != window ? 0 : s->epoch == epoch ? s->stamped : s->epoch > epoch ? s->added : 0;
            *low += lives ? s->low : 0;
            *high += may_live && s->low > most ? s->low : most;
        } else if (s->window == window && s->epoch == epoch) {
            *low += s->stamped + s->unstamped;
            *high += s->stamped + s->unstamped;
        }
    }
}

uint64_t sim_account_used_most(const struct sim_account *account, uint32_t key, uint64_t window)
{
    const struct sim_account_key *k = &account->key[key];
    if (window != k->series_window)
        return window > k->series_window ? 0 : UINT64_MAX;
    uint64_t used = 0;
    for (uint32_t i = 0; i < k->series_count; i++)
        used += k->series[i].what == SIM_COUNTED ? k->series[i].n : 0;
    return used;
}

/* Of a window that nobody has cut. */
static uint64_t known_of_lost(const struct sim_account *account, uint32_t key, uint64_t window)
{
    const struct sim_account_key *k = &account->key[key];
    uint64_t known = 0;
    for (uint32_t life = 0; life < account->life_count; life++) {
        const struct sim_shard *s = &account->shard[key][life][window & 1];
        bool lives = s->low_epoch == (window * k->strategy.window_ms) << 16 && is_newer(s->low_said, k->cut_newest);
        known += account->life[life].lost && lives ? s->low : 0;
    }
    return known;
}

uint64_t sim_account_used_for_long(const struct sim_account *account, uint32_t life, uint32_t key, uint64_t window, uint64_t until_ms)
{
    const struct sim_account_key *k = &account->key[key];
    if (window != k->series_window)
        return window > k->series_window ? 0 : UINT64_MAX;
    uint64_t used = known_of_lost(account, key, window), gone = 0;
    for (uint32_t i = 0; i < k->series_count; i++) {
        const struct sim_series *counted = &k->series[i];
        bool lost = account->life[counted->life].lost;
        if (counted->what == SIM_COUNTED)
            used += counted->at_ms <= until_ms && !lost ? counted->n : 0;
        else if (counted->what == SIM_ENDED ? !lost : counted->life == life)
            gone += counted->n;
    }
    return used > gone ? used - gone : 0;
}
