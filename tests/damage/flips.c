/* SPDX-License-Identifier: MIT */
/* flips.c: bytes of a segment may be anything: no public call crashes or takes more than a second.
 *
 * Each case changes one to eight places of a sound segment that is open for writing and for reading, and makes every public call; in a part of the cases it also opens
 * the segment anew. The product's sources are built into this program with AddressSanitizer and UndefinedBehaviorSanitizer, and every mapping of a segment has guard
 * pages around it. A case is drawn from its number alone: "flips NUMBER" runs that one. */
#include "cases.h"
#include "flip.h"
#include "hostile.h"

static struct calls calls;

static void begin(const char *segment)
{
    calls_open(&calls, segment);
}

static void end(void)
{
    calls_close(&calls);
}

/* Attaches to the damaged segment: a changed identity must be refused, and what is not refused must work. */
static void attach_anew(const struct filled *f)
{
    bool other = memcmp(f->q->view.base, f->image, sizeof(struct qp_identity)) != 0;
    if (!calls_attach(f->segment, random_next(&calls.random) % 2, calls.random) && other)
        calls_complain("attached to a segment with a changed identity");
}

static void one(struct filled *f, uint64_t number, struct cases_share *share)
{
    calls.random = number * UINT64_C(0x2545f4914f6cdd1d);
    share->flips += flip_some(f, &calls.random);
    if (random_next(&calls.random) % 16 == 0)
        attach_anew(f);
    share->noticed += quipu_check_quiet(f->q, NULL, 0) != 0;
    calls_make(&calls);
}

int main(int argc, char **argv)
{
    const struct cases_plan plan = {
        .name = "flips", .count = 100000, .begin = begin, .one = one, .end = end, .beside = hostile_run};
    struct cases_share sum = {0}, files = {0};
    int failed = cases_main(argc, argv, &plan, &sum, &files);
    printf("%llu cases (the check noticed %llu), %llu places changed, %llu calls; %llu hostile files\n",
           (unsigned long long)sum.cases, (unsigned long long)sum.noticed, (unsigned long long)sum.flips,
           (unsigned long long)sum.progress.calls, (unsigned long long)files.progress.number);
    return failed;
}
