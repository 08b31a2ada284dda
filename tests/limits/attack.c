/* SPDX-License-Identifier: MIT */
/* attack.c: one process asks for distinct random keys as fast as it can, on a segment that holds a hundredth of them, while three others use a
 * thousand honest keys up to their limit and beyond in every window. What the honest ones got is judged by what they wrote down themselves:
 *
 *     a key that stayed resident through a window got exactly its limit in it, before its first denial
 *     one that was evicted got no more than its limit either, but for what fell out of the victim table, and that was said (evicted_forgotten)
 *
 * A process knows whether one of its keys stayed resident by its denials: the count of an entry begins at 0 with the entry, and each process
 * knows how many it caused. So each new entry is asked at once for more than its limit, and from then on the count betrays any later one.
 *
 * Twice: with attackers that use up a tenth of their limit by one request, so that the little used honest keys of a window's first moments may fall out
 * of the victim table; and a thousandth, so that they may not. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits.h"
#include "tests/support.h"

#define COUNTERS 100000
#define KEYS_CI UINT64_C(750000) /* of either kind */
#define KEYS_FULL UINT64_C(15000000)
#define HONEST 3     /* processes */
#define OWN_KEYS 300 /* of each of them */
#define SHARED_KEYS 100
#define LIMIT UINT64_C(100)
#define WINDOW_MS 1000
#define WINDOWS_MAX 4096

struct honest {
    uint64_t calls, denied, full;               /* full: refused for want of room */
    uint64_t windows_resident, windows_evicted; /* of keys, judged */
    uint64_t over_windows, over_units;          /* of evicted ones */
    uint64_t early_kb, late_kb;
    uint64_t shared[WINDOWS_MAX][SHARED_KEYS]; /* units, by window */
};

static struct ground {
    uint64_t stop;
    uint64_t attacked; /* keys so far */
    uint64_t attack_full, attack_denied;
    uint64_t first_window;
    struct honest honest[HONEST];
} * ground;

static struct quipu *q;

/* ---- the attacker ------------------------------------------------------------------------------------------------------- */

static void attack(uint64_t keys)
{
    uint64_t random = limits_unix_ms() << 20;
    for (uint64_t i = 0; i < keys; i++) {
        char key[2 + 16] = "x/";
        uint64_t name[2] = {limits_random(&random), i};
        memcpy(key + 2, name, 16);
        int result = quipu_take(q, key, sizeof key, 1, NULL);
        if (result == -QUIPU_EFULL)
            limits_count(&ground->attack_full, 1);
        else
            qp_test_must(result, "an attacker's take");
        limits_count(&ground->attack_denied,
                     result == 1); /* a stranger's memory, mistaken for its own: one in millions */
        limits_write(&ground->attacked, i + 1);
    }
}

/* ---- honest keys -------------------------------------------------------------------------------------------------------- */

struct own_key {
    char name[16];
    size_t bytes;
    uint64_t window;
    uint64_t admitted; /* in it */
    uint64_t denials;  /* of the present entry */
    bool evicted;      /* in the present window, at least once */
    bool was_denied;   /* in it, one unit, while resident */
};

/* A window of a key is over. */
static void judge(struct honest *h, struct own_key *k)
{
    if (k->admitted == 0)
        return;
    limits_count(k->evicted ? &h->windows_evicted : &h->windows_resident, 1);
    if (k->admitted > LIMIT && !k->evicted)
        scale_fail("%s: %" PRIu64 " admitted in a window, and it was never evicted", k->name, k->admitted);
    if (k->admitted > LIMIT) {
        limits_count(&h->over_windows, 1);
        limits_count(&h->over_units, k->admitted - LIMIT);
    }
}

static void note_window(struct honest *h, struct own_key *k, const struct quipu_verdict *v)
{
    uint64_t window = (v->epoch >> 16) / WINDOW_MS;
    if (window == k->window)
        return;
    if (window < k->window)
        scale_fail("%s: a verdict of an older window", k->name);
    judge(h, k);
    k->window = window;
    k->admitted = 0;
    k->evicted = k->was_denied = false;
}

/* One call; whether it found the entry that the last one left. -1: no room. */
static int ask(struct honest *h, struct own_key *k, uint64_t n, struct quipu_verdict *verdict)
{
    int result = quipu_take(q, k->name, k->bytes, n, verdict);
    limits_count(&h->calls, 1);
    if (result == -QUIPU_EFULL) {
        limits_count(&h->full, 1);
        k->evicted = true;
        k->denials = 0;
        return -1;
    }
    qp_test_must(result, "an honest take");
    note_window(h, k, verdict);
    return result;
}

/* Whether the key's entry is the one that it was: denials are those that are known. If it is another one, it is marked by a denial of its own. */
static void look_for_eviction(struct honest *h, struct own_key *k)
{
    struct quipu_count count = {0};
    struct quipu_verdict verdict;
    int error = quipu_get(q, k->name, k->bytes, &count);
    if (error && error != -ENOENT)
        qp_test_must(error, "get");
    if (error == 0 && k->denials && (uint64_t)count.denied == k->denials)
        return;
    if ((uint64_t)count.denied > k->denials)
        scale_fail("%s: %" PRId64 " denials, of which %" PRIu64 " are known", k->name, count.denied, k->denials);
    k->evicted = true;
    k->denials = 0;
    /* A denied request makes no key, so after it a count of 1 says that the key is there. */
    if (ask(h, k, LIMIT + 1, &verdict) == 1 && quipu_get(q, k->name, k->bytes, &count) == 0 && count.denied == 1)
        k->denials = 1;
}

/* Returns whether anything was admitted. */
static bool use(struct honest *h, struct own_key *k, uint64_t calls)
{
    struct quipu_verdict verdict;
    bool any = false;
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t before = k->window, admitted = k->admitted;
        int result = ask(h, k, 1, &verdict);
        if (result < 0)
            break;
        any |= result == 0;
        k->admitted += result == 0;
        k->denials += result == 1;
        limits_count(&h->denied, result == 1);
        look_for_eviction(h, k);
        if (result == 1 && !k->evicted && before == k->window && admitted < LIMIT)
            scale_fail("%s: denied after %" PRIu64 " of %" PRIu64 ", and it was never evicted", k->name, admitted,
                       LIMIT);
        if (result == 1)
            break;
    }
    return any;
}

static void use_shared(struct honest *h, uint64_t number)
{
    struct quipu_verdict verdict;
    char name[16];
    size_t bytes = (size_t)snprintf(name, sizeof name, "h/s%" PRIu64, number);
    int result = quipu_take(q, name, bytes, 1, &verdict);
    limits_count(&h->full, result == -QUIPU_EFULL);
    if (result == -QUIPU_EFULL)
        return;
    qp_test_must(result, "a shared take");
    uint64_t index = (verdict.epoch >> 16) / WINDOW_MS - ground->first_window;
    if (index >= WINDOWS_MAX)
        scale_fail("too many windows");
    limits_count(&h->shared[index][number], result == 0);
}

static void be_honest(unsigned number)
{
    static struct own_key keys[OWN_KEYS];
    struct honest *h = &ground->honest[number];
    uint64_t random = number + limits_unix_ms();
    for (unsigned i = 0; i < OWN_KEYS; i++)
        keys[i].bytes = (size_t)snprintf(keys[i].name, sizeof keys[i].name, "h/%u/%u", number, i);
    while (!limits_read(&ground->stop)) {
        bool any = false;
        for (unsigned i = 0; i < OWN_KEYS; i++) {
            any |= use(h, &keys[i], 1 + limits_pick(&random, LIMIT / 4));
            use_shared(h, limits_pick(&random, SHARED_KEYS));
        }
        for (int i = 0; !any && i < 20; i++)
            limits_pause(); /* everything is used up: the attacker's turn */
        limits_write(h->early_kb ? &h->late_kb : &h->early_kb, limits_own_kb());
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

static uint64_t file_bytes(void)
{
    struct stat stat;
    if (fstat(qp_handle_fd(q), &stat))
        scale_fail("fstat: %s", strerror(errno));
    return (uint64_t)stat.st_size + (uint64_t)stat.st_blocks * 512;
}

static void judge_shared(struct honest *sum)
{
    for (unsigned w = 0; w < WINDOWS_MAX; w++)
        for (unsigned k = 0; k < SHARED_KEYS; k++) {
            uint64_t units = 0;
            for (unsigned i = 0; i < HONEST; i++)
                units += ground->honest[i].shared[w][k];
            sum->over_windows += units > LIMIT;
            sum->over_units += units > LIMIT ? units - LIMIT : 0;
        }
}

static void report(uint64_t attack_limit, double seconds)
{
    struct honest sum = {0};
    struct quipu_stat stat = scale_stat(q);
    for (unsigned i = 0; i < HONEST; i++) {
        const struct honest *h = &ground->honest[i];
        sum.calls += h->calls;
        sum.denied += h->denied;
        sum.full += h->full;
        sum.windows_resident += h->windows_resident;
        sum.windows_evicted += h->windows_evicted;
        sum.over_windows += h->over_windows;
        sum.over_units += h->over_units;
        if (h->late_kb > h->early_kb + 1024)
            scale_fail("an honest process has grown from %" PRIu64 " KiB to %" PRIu64, h->early_kb, h->late_kb);
    }
    judge_shared(&sum);
    printf("attackers' limit %" PRIu64 ": %" PRIu64 " keys in %.1f s: %.0f a second, %" PRIu64
           " refused for want of room, %" PRIu64 " denied; %" PRIu64 " evicted, %" PRIu64 " expired, %" PRIu64
           " forgotten\n",
           attack_limit, ground->attacked, seconds, (double)ground->attacked / seconds, ground->attack_full,
           ground->attack_denied, stat.evicted, stat.expired, stat.evicted_forgotten);
    printf("  honest: %" PRIu64 " calls, %" PRIu64 " denied, %" PRIu64
           " refused for want of room; windows of keys: %" PRIu64 " resident and exact, %" PRIu64
           " with an eviction; over: %" PRIu64 " windows, %" PRIu64 " units\n",
           sum.calls, sum.denied, sum.full, sum.windows_resident, sum.windows_evicted, sum.over_windows,
           sum.over_units);
    if (sum.over_windows > stat.evicted_forgotten)
        scale_fail("more windows over their limit than were forgotten");
    if (attack_limit > 10 * LIMIT - 1 && sum.over_windows)
        scale_fail("over their limit, though attackers' keys were cheaper to forget");
    if (sum.windows_resident < OWN_KEYS || sum.denied < OWN_KEYS || stat.evicted < ground->attacked / 4)
        scale_fail("too little happened");
}

static void run(uint64_t attack_limit, uint64_t keys)
{
    pid_t attacker, honest[HONEST];
    memset(ground, 0, sizeof *ground);
    q = limits_segment("attack", (struct quipu_create_options){.counters = COUNTERS, .threads = 64});
    limits_put(q, "x/", (struct quipu_strategy){.window_ms = WINDOW_MS, .limit = attack_limit});
    limits_put(q, "h/", (struct quipu_strategy){.window_ms = WINDOW_MS, .limit = LIMIT});
    uint64_t bytes = file_bytes();
    ground->first_window = limits_unix_ms() / WINDOW_MS - 1;
    for (unsigned i = 0; i < HONEST; i++)
        if ((honest[i] = scale_fork()) == 0) {
            be_honest(i);
            _exit(0);
        }
    uint64_t start_ns = scale_clock_ns();
    if ((attacker = scale_fork()) == 0) {
        attack(keys);
        _exit(0);
    }
    scale_await(attacker, "the attacker");
    double seconds = (double)(scale_clock_ns() - start_ns) / 1e9;
    /* However fast the attack was, the honest have whole windows without it: in those their keys stay. */
    for (uint64_t last = limits_unix_ms() / WINDOW_MS; limits_unix_ms() / WINDOW_MS < last + 3;)
        limits_pause();
    limits_write(&ground->stop, 1);
    for (unsigned i = 0; i < HONEST; i++)
        scale_await(honest[i], "an honest process");
    report(attack_limit, seconds);
    scale_demand(file_bytes(), bytes, "the size of the segment's file", "after the attack");
    scale_demand_sound(q, false, "after the attack");
    quipu_close(q);
}

int main(void)
{
    uint64_t scale = qp_test_scale(), keys = scale < 10 ? KEYS_CI * scale : KEYS_FULL;
    ground = scale_shared(sizeof *ground);
    run(10, keys);
    run(10 * LIMIT, keys);
    return 0;
}
