/* SPDX-License-Identifier: MIT */
/* flips.c: bytes of a segment may be anything: no public call crashes or takes more than a second.
 *
 * Each case puts the sound bytes back, changes one to eight places of a segment that is open for writing and for reading,
 * and makes every public call; in a part of the cases it also opens the segment anew. The product's sources are built into
 * this program with AddressSanitizer and UndefinedBehaviorSanitizer, and every mapping of a segment has guard pages around it.
 * A case is drawn from its number alone: "flips NUMBER" runs that one. Those with an odd number start from a segment in which an agent was at work. */
#include <sys/mman.h>

#include "calls.h"
#include "guard.h"
#include "hostile.h"
#include "told.h"

#define CASES 100000
#define PROCESSES 2 /* even: cases with an odd number are those of one of them */
#define GUARD_BYTES (1u << 20)

size_t __sanitizer_get_current_allocated_bytes(void); /* gcc comes without the header */

/* ---- guard pages ------------------------------------------------------------------------------------------------------- */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    (void)at;
    unsigned char *room = __real_mmap(NULL, bytes + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    void *base = __real_mmap(room + GUARD_BYTES, bytes, protection, flags | MAP_FIXED, fd, offset);
    if (base == MAP_FAILED)
        __real_munmap(room, bytes + 2 * GUARD_BYTES);
    return base;
}

int __wrap_munmap(void *at, size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    return __real_munmap((unsigned char *)at - GUARD_BYTES, bytes + 2 * GUARD_BYTES);
}

/* ---- the same segment every time ---------------------------------------------------------------------------------------- */

ssize_t __wrap_getrandom(void *bytes, size_t byte_count, unsigned flags);

/* Where keys stand depends on the segment's seed; a case must find them where it found them before. */
ssize_t __wrap_getrandom(void *bytes, size_t byte_count, unsigned flags)
{
    uint64_t state = byte_count;
    (void)flags;
    for (size_t i = 0; i < byte_count; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)random_next(&state);
    return (ssize_t)byte_count;
}

/* ---- flips --------------------------------------------------------------------------------------------------------------- */

struct range {
    size_t from;
    size_t bytes;
};

static struct range range_of(const struct filled *f, const void *at, size_t bytes)
{
    return (struct range){(size_t)((const unsigned char *)at - f->q->view.base), bytes};
}

static size_t block_bytes(const struct filled *f, uint32_t block)
{
    return f->q->view.class_of[qp_block_class(block)].bytes;
}

/* A block, by a reference of the sound segment; where there is none, the entry that has no reference. */
static struct range block_of(const struct filled *f, uint32_t block, const struct qp_entry *instead)
{
    const struct qp_block *at = block ? qp_block_at(&f->q->view, block) : NULL;
    return at ? range_of(f, at, block_bytes(f, block)) : range_of(f, instead, sizeof *instead);
}

/* A part of the segment; the parts that steer the algorithms more often than their size would have it. */
static struct range pick_range(const struct filled *f, uint64_t *random)
{
    const struct qp_view *view = &f->q->view;
    const struct qp_header *sound = (const void *)f->image;
    const struct qp_entry *entry = &view->entries[f->entry[random_next(random) % FILLED_ENTRIES]];
    const struct qp_entry *as_was = (const void *)(f->image + range_of(f, entry, 0).from);
    const struct qp_class *k = &view->class_of[1 + random_next(random) % (QP_CLASS_COUNT - 1)];
    switch (random_next(random) % 19) {
    case 0:
        return range_of(f, view->header, sizeof(struct qp_identity));
    case 1:
        return range_of(f, &view->header->epoch, 4 * sizeof(uint64_t));
    case 2:
        return range_of(f, &view->header->epoch, sizeof *view->header - sizeof(struct qp_identity));
    case 3:
        return range_of(f, view->records, 2 * sizeof *view->records);
    case 4:
        return range_of(f, view->slots, 3 * sizeof *view->slots);
    case 5:
    case 6:
        return range_of(f, view->buckets, ((size_t)view->bucket_mask + 1) * sizeof *view->buckets);
    case 7:
    case 8:
        return range_of(f, &entry->state, sizeof entry->state);
    case 9:
        return range_of(f, &entry->link, sizeof entry->link);
    case 10:
        return range_of(f, entry, sizeof *entry);
    case 11:
        return range_of(f, k->states, k->count * sizeof *k->states);
    case 12:
        return block_of(f, qp_ref_block(as_was->shard), entry);
    case 13:
        return block_of(f, as_was->key_block, entry);
    case 14:
        return range_of(f, qp_block_at(view, (uint32_t)sound->strategy), 512);
    case 15:
        return range_of(f, view->ledger, 4 * sizeof(struct qp_replica));
    case 16:
        return range_of(f, view->marks, 2 * 64);
    case 17:
        return range_of(f, view->graves, 2 * sizeof *view->graves);
    default:
        return (struct range){0, f->bytes};
    }
}

/* A word that could have been right: a state, a link, a reference that leads somewhere. */
static void mislead(const struct filled *f, uint64_t *random)
{
    const struct qp_view *view = &f->q->view;
    uint32_t index = (uint32_t)(1 + random_next(random) % (view->entry_count - 1));
    uint32_t other = (uint32_t)(random_next(random) % (view->entry_count + 1));
    uint32_t bucket = (uint32_t)random_next(random) & view->bucket_mask;
    unsigned c = 1 + (unsigned)(random_next(random) % (QP_CLASS_COUNT - 1));
    uint32_t of_class = (uint32_t)(random_next(random) % view->class_of[c].count);
    uint32_t block = qp_block_make(c, of_class);
    struct qp_entry *entry = &view->entries[index];
    uint64_t link = qp_link_make(view->entries[other % view->entry_count].hash, 0, other);
    const uint64_t arguments[] = {0, other, f->q->private_->tenant.owner, view->header->epoch,
                                  view->header->epoch_safe - 1};
    uint64_t argument = arguments[random_next(random) % 5];
    uint64_t state = qp_state_next(entry->state, (enum qp_word_state)(random_next(random) % 7), argument);
    switch (random_next(random) % 8) {
    case 0:
        entry->link = random_next(random) % 4 ? link : link | QP_LINK_MARK;
        return;
    case 1:
        entry->link = qp_link_make(0, 0, QP_LINK_BUCKET | bucket);
        return;
    case 2:
        view->buckets[bucket] = link;
        return;
    case 3:
        entry->state = state;
        return;
    case 4:
        *qp_state_at(view, c, of_class) = state;
        return;
    case 5:
        entry->shard = qp_ref_next(entry->shard, block);
        return;
    case 6:
        entry->key_block = block;
        return;
    default:
        view->header->strategy = qp_ref_next(view->header->strategy, block);
        return;
    }
}

/* One change: a word that misleads, a bit, a byte, or a word from elsewhere or of the kind that overflows things. */
static void flip(const struct filled *f, unsigned char *base, uint64_t *random)
{
    if (random_next(random) % 3 == 0) {
        mislead(f, random);
        return;
    }
    static const uint64_t words[] = {0, UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(1) << 32, UINT32_MAX};
    struct range range = pick_range(f, random);
    size_t at = range.from + random_next(random) % range.bytes;
    uint64_t word;
    switch (random_next(random) % 4) {
    case 0:
        base[at] = (unsigned char)random_next(random);
        return;
    case 1:
        word = words[random_next(random) % 6];
        break;
    case 2:
        memcpy(&word, base + (range.from + random_next(random) % range.bytes) / 8 * 8, 8);
        break;
    default:
        base[at] ^= (unsigned char)(1u << random_next(random) % 8);
        return;
    }
    memcpy(base + at / 8 * 8, &word, 8);
}

/* ---- cases ----------------------------------------------------------------------------------------------------------------- */

struct share {
    struct calls_progress progress;
    uint64_t cases, flips, noticed;
};

/* Attaches to the damaged segment: a changed identity must be refused, and what is not refused must work. */
static void attach_anew(const struct filled *f, struct calls *c)
{
    bool other = memcmp(f->q->view.base, f->image, sizeof(struct qp_identity)) != 0;
    if (!calls_attach(f->segment, random_next(&c->random) % 2, c->random) && other)
        calls_complain("attached to a segment with a changed identity");
}

static void run_case(struct filled *f, struct calls *c, uint64_t number, struct share *share)
{
    unsigned char *base = f->q->view.base;
    c->random = number * UINT64_C(0x2545f4914f6cdd1d);
    filled_restore(f);
    uint64_t flips = 1 + random_next(&c->random) % 8;
    for (uint64_t i = 0; i < flips; i++)
        flip(f, base, &c->random);
    if (random_next(&c->random) % 16 == 0)
        attach_anew(f, c);
    share->flips += flips;
    share->noticed += quipu_check_quiet(f->q, NULL, 0) != 0;
    calls_make(c);
}

/* Runs cases first, first + step, ... in this process. */
static int run_cases(struct share *share, const char *segment, uint64_t first, uint64_t step, uint64_t end)
{
    struct filled f;
    struct calls c = {0};
    calls_watch(&share->progress);
    filled_open(&f, segment);
    if (first % 2)
        told_make(&f);
    calls_open(&c, segment);
    filled_keep(&f);
    size_t allocated = 0;
    for (uint64_t number = first; number < end; number += step) {
        share->progress.number = number;
        run_case(&f, &c, number, share);
        /* The first ones fill what is allocated once. */
        if (++share->cases == 100)
            allocated = __sanitizer_get_current_allocated_bytes();
    }
    if (share->cases > 100 && __sanitizer_get_current_allocated_bytes() > allocated + 4096)
        calls_complain("%zu bytes allocated and not freed", __sanitizer_get_current_allocated_bytes() - allocated);
    filled_restore(&f);
    calls_close(&c);
    filled_close(&f);
    return 0;
}

/* ---- the parent -------------------------------------------------------------------------------------------------------------- */

/* One process more, for the hostile files. */
static const char *segment_of(unsigned process)
{
    static char segment[160];
    snprintf(segment, sizeof segment, "%s.%u", qp_test_name("flips"), process);
    return segment;
}

static pid_t start(struct share *share, unsigned process, uint64_t cases)
{
    const char *segment = segment_of(process);
    fflush(NULL);
    pid_t child = fork();
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (process == PROCESSES)
        _exit(hostile_run(&share->progress, segment));
    _exit(run_cases(share, segment, process, PROCESSES, cases));
}

static int finish(const struct share *share, unsigned process, pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    guard_remove(segment_of(process)); /* of a child that did not come to its end */
    if (status == 0)
        return 0;
    printf("process %u, case %llu: %s: %s (status %x)\n", process, (unsigned long long)share->progress.number,
           share->progress.call, share->progress.complaint[0] ? share->progress.complaint : "crashed",
           (unsigned)status);
    return 1;
}

static int run_one(const char *segment, void *arg)
{
    struct share *share = arg;
    return run_cases(share, segment, share->progress.number, 1, share->progress.number + 1);
}

int main(int argc, char **argv)
{
    static pid_t child[PROCESSES + 1];
    struct share sum = {0}, *share = __real_mmap(NULL, sizeof *share * (PROCESSES + 1), PROT_READ | PROT_WRITE,
                                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int failed = 0;
    if (share == MAP_FAILED)
        return 99;
    share->progress.number = argc == 2 ? strtoull(argv[1], NULL, 0) : 0;
    if (argc == 2)
        return guard_run(run_one, qp_test_name("flips"), share);
    for (unsigned i = 0; i <= PROCESSES; i++)
        child[i] = start(&share[i], i, CASES * qp_test_scale());
    for (unsigned i = 0; i <= PROCESSES; i++) {
        failed += finish(&share[i], i, child[i]);
        sum.cases += share[i].cases;
        sum.noticed += share[i].noticed;
        sum.flips += share[i].flips;
        sum.progress.calls += share[i].progress.calls;
    }
    printf("%llu cases (the check noticed %llu), %llu places changed, %llu calls; %llu hostile files\n",
           (unsigned long long)sum.cases, (unsigned long long)sum.noticed, (unsigned long long)sum.flips,
           (unsigned long long)sum.progress.calls, (unsigned long long)share[PROCESSES].progress.number);
    return failed != 0;
}
