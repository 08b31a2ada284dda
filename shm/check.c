/* SPDX-License-Identifier: MIT */
/* check.c: the check's driver, and the invariants of header, records and slots. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#include "error.h"
#include "extent.h"
#include "grace.h"
#include "process.h"

#define LOOKS 3
#define SPOILED_LOOKS 100
#define ITEMS_PER_SECTION 64

int qp_check_broken(struct qp_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->text, sizeof check->text, format, arguments);
    va_end(arguments);
    return -QP_EDAMAGED;
}

/* One look. Without a section of our own things may be reused under our eyes; but what could be found when the look
 * began is not reused before epoch_safe has moved on. So if it has, a finding does not count, and we look once more. */
static int look_once(struct qp_check *check, qp_check_look *look, uint32_t index)
{
    const uint64_t *safe = &check->view->header->epoch_safe;
    for (int i = 0; i < SPOILED_LOOKS; i++) {
        uint64_t before = qp_load_acquire(safe);
        int error = look(check, index);
        qp_fence_acquire();
        if (!error || check->slot || qp_load_relaxed(safe) == before)
            return error;
    }
    return 0;
}

static int look_again(struct qp_check *check, qp_check_look *look, uint32_t index)
{
    char first[sizeof check->text];
    memcpy(first, check->text, sizeof first);
    for (int i = 1; i < LOOKS; i++)
        if (!look_once(check, look, index) || strcmp(first, check->text))
            return 0;
    return -QP_EDAMAGED;
}

int qp_check_each(struct qp_check *check, qp_check_look *look, uint32_t first, uint32_t end)
{
    int error = 0;
    while (first < end && !error) {
        uint32_t stop = end - first > ITEMS_PER_SECTION ? first + ITEMS_PER_SECTION : end;
        if (check->slot)
            qp_grace_enter(check->view, check->slot);
        for (; first < stop && !error; first++)
            if (look_once(check, look, first))
                error = look_again(check, look, first);
        if (check->slot)
            qp_grace_exit(check->slot);
    }
    return error;
}

bool qp_check_all_zero(const void *bytes, size_t byte_count)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < byte_count; i++)
        if (b[i])
            return false;
    return true;
}

int qp_check_state(struct qp_check *check, const char *what, uint32_t index, uint64_t word)
{
    const struct qp_view *view = check->view;
    uint64_t argument = qp_state_argument(word);
    switch (qp_state_of(word)) {
    case QP_STATE_FREE:
        return argument ? qp_check_broken(check, "%s %u: free, but its state word has an argument", what, index) : 0;
    case QP_STATE_CLAIMED:
        if (check->quiet)
            return qp_check_broken(check, "%s %u: claimed, though nobody is at work", what, index);
        return qp_owner_is_current(view, argument)
                   ? 0
                   : qp_check_broken(check, "%s %u: claimed by a process that is not there", what, index);
    case QP_STATE_LIVE:
        return argument == 0 || (argument <= UINT32_MAX && qp_entry_at(view, (uint32_t)argument))
                   ? 0
                   : qp_check_broken(check, "%s %u: live, but its parent is out of range", what, index);
    case QP_STATE_RETIRED:
        if (check->quiet)
            return qp_check_broken(check, "%s %u: retired and not reused, though nothing is left to do", what, index);
        return (argument == 0 && !strcmp(what, "entry")) || qp_grace_stamp_exists(view, argument)
                   ? 0 /* entries are stamped by a step of its own */
                   : qp_check_broken(check, "%s %u: its stamp is ahead of the epoch", what, index);
    case QP_STATE_CLOSING:
    case QP_STATE_EVICTING:
        return argument == 0 || qp_grace_stamp_exists(view, argument)
                   ? 0
                   : qp_check_broken(check, "%s %u: its stamp is ahead of the epoch", what, index);
    case QP_STATE_DEAD:
        return 0; /* entries only: check_entry.c */
    default:
        return qp_check_broken(check, "%s %u: unknown state %d", what, index, (int)qp_state_of(word));
    }
}

/* ---- header, records, slots ---------------------------------------------------------------------------------------- */

/* In the order in which nobody who grows can make it look wrong: what is above is read later. */
static int look_extent(struct qp_check *check)
{
    const struct qp_view *view = check->view;
    const struct qp_header *h = view->header;
    uint64_t linked = qp_load_acquire(&h->heads_linked), reserved = qp_load_acquire(&h->heads_reserved);
    uint64_t counters = qp_load_acquire(&h->counters_now), splitter = qp_load_acquire(&h->splitter);
    if (!qp_layout_is_stage(view->counters, view->counters_max, counters))
        return qp_check_broken(check, "header: it never grew to %llu counters", (unsigned long long)counters);
    if (linked < qp_layout_heads(view->counters) || linked > reserved ||
        reserved > qp_layout_heads((uint32_t)counters))
        return qp_check_broken(check, "header: %llu heads in the list, and memory for %llu", (unsigned long long)linked,
                               (unsigned long long)reserved);
    if (qp_state_of(splitter) == QP_STATE_FREE ? qp_state_argument(splitter) != 0 : qp_state_of(splitter) != QP_STATE_CLAIMED)
        return qp_check_broken(check, "header: the claim to link heads is nonsense");
    if (qp_state_of(splitter) == QP_STATE_CLAIMED &&
        (check->quiet || !qp_owner_is_current(view, qp_state_argument(splitter))) && qp_load_acquire(&h->splitter) == splitter)
        return qp_check_broken(check, "header: heads are being linked by nobody");
    qp_extent_follow(view);
    return 0;
}

static int look_header(struct qp_check *check, uint32_t index)
{
    (void)index;
    const struct qp_header *h = check->view->header;
    if (h->identity.magic != QP_MAGIC || qp_layout_verify(&h->identity))
        return qp_check_broken(check, "header: the identity was changed after creation");
    uint64_t safe = qp_load_acquire(&h->epoch_safe), epoch = qp_load_acquire(&h->epoch);
    if (epoch == 0 || safe == 0)
        return qp_check_broken(check, "header: the grace epoch is 0");
    if (safe > epoch)
        return qp_check_broken(check, "header: the safe epoch %llu is ahead of the epoch %llu",
                               (unsigned long long)safe, (unsigned long long)epoch);
    if (qp_load_relaxed(&h->flags) & ~QP_FLAG_DESTROYED)
        return qp_check_broken(check, "header: unknown flags");
    if (qp_load_relaxed(&h->slots_high) > check->view->slot_count)
        return qp_check_broken(check, "header: more slots in use than there are");
    if (look_extent(check))
        return -QP_EDAMAGED;
    if (qp_load_relaxed(&h->gossip) > 1 || qp_load_relaxed(&h->harvest_all) > 1)
        return qp_check_broken(check, "header: a word of the agent's is neither 0 nor 1");
    if (qp_load_relaxed(&h->clock_ms) > INT64_MAX / 65536)
        return qp_check_broken(check, "header: its clock is out of range");
    if (qp_load_relaxed(&h->sweep_cursor) > UINT64_C(1) << 62)
        return qp_check_broken(check, "header: the sweep's cursor is out of range");
    if (qp_load_relaxed(&h->room_cursor) > UINT64_C(1) << 62 || qp_load_relaxed(&h->block_cursor) > UINT64_C(1) << 62)
        return qp_check_broken(check, "header: the cursor of searches for room is out of range");
    if (!qp_check_all_zero(h->hot_reserved, sizeof h->hot_reserved) ||
        !qp_check_all_zero(h->rare_reserved, sizeof h->rare_reserved) ||
        !qp_check_all_zero(h->stat_reserved, sizeof h->stat_reserved))
        return qp_check_broken(check, "header: a reserved word is not 0");
    return 0;
}

static int look_record(struct qp_check *check, uint32_t index)
{
    const struct qp_record *record = &check->view->records[index];
    uint64_t tenancy = qp_load_acquire(&record->tenancy);
    if ((tenancy & 0xff) > QP_TENANCY_ACTIVE || tenancy >> 32)
        return qp_check_broken(check, "process record %u: its tenancy word is nonsense", index);
    if (qp_tenancy_is_active(tenancy) && qp_load_relaxed(&record->pid) == 0)
        return qp_check_broken(check, "process record %u: taken, by no process", index);
    if (!qp_check_all_zero(record->reserved, sizeof record->reserved))
        return qp_check_broken(check, "process record %u: a reserved word is not 0", index);
    return 0;
}

static int look_slot(struct qp_check *check, uint32_t index)
{
    const struct qp_view *view = check->view;
    const struct qp_slot *slot = &view->slots[index];
    uint64_t epoch = qp_load_acquire(&slot->epoch);
    uint64_t owner = qp_load_acquire(&slot->owner);
    uint64_t plain = owner & ~QP_SLOT_IN_USE;
    if (owner && (!(owner & QP_SLOT_IN_USE) || plain >> QP_ARGUMENT_BITS || qp_owner_record(plain) >= view->record_count))
        return qp_check_broken(check, "thread slot %u: its owner word is nonsense", index);
    /* Its process gives slots back before its record, so an owner without tenancy is one that nobody will recover. */
    if (owner && !qp_owner_is_current(view, plain) && qp_load_acquire(&slot->owner) == owner)
        return qp_check_broken(check, "thread slot %u: taken by a process that is not there", index);
    if (epoch > qp_load_acquire(&view->header->epoch))
        return qp_check_broken(check, "thread slot %u: entered an epoch that is yet to come", index);
    if (epoch && !owner && qp_load_acquire(&slot->epoch) == epoch)
        return qp_check_broken(check, "thread slot %u: inside a section, with no owner", index);
    if (epoch && index >= qp_load_acquire(&view->header->slots_high))
        return qp_check_broken(check, "thread slot %u: inside a section, where pollers do not look", index);
    if (check->quiet && epoch && slot != check->slot)
        return qp_check_broken(check, "thread slot %u: inside a section, though nobody is at work", index);
    if (check->quiet && owner && index >= qp_load_acquire(&view->header->slots_high))
        return qp_check_broken(check, "thread slot %u: in use, where pollers do not look", index);
    if (!qp_check_all_zero(slot->reserved, sizeof slot->reserved))
        return qp_check_broken(check, "thread slot %u: a reserved word is not 0", index);
    return 0;
}

/* ---- hints: right only when nothing is going on ------------------------------------------------------------------- */

static int look_hints(struct qp_check *check, uint32_t class_number)
{
    const struct qp_class *k = &check->view->class_of[class_number];
    for (uint32_t i = class_number == QP_CLASS_ENTRY; i < qp_load_relaxed(&k->count); i++) {
        bool in_use = qp_state_of(qp_load_acquire(qp_state_at(check->view, class_number, i))) != QP_STATE_FREE;
        bool hinted = qp_load_relaxed(&k->hints[i / 64]) >> (i % 64) & 1;
        if (in_use != hinted)
            return qp_check_broken(check, "class %u: the hint of %u says %s, and it is not", class_number, i,
                                   hinted ? "in use" : "free");
        bool full = qp_load_relaxed(&k->hint_summary[i / 4096]) >> (i / 64 % 64) & 1;
        if (full && !hinted)
            return qp_check_broken(check, "class %u: %u is free in a stretch that is said to be full", class_number, i);
    }
    return 0;
}

int qp_check_segment(const struct qp_view *view, struct qp_slot *slot, bool quiet, char *finding, size_t finding_bytes)
{
    struct qp_check check = {.view = view, .slot = slot, .quiet = quiet};
    int error = qp_check_each(&check, look_header, 0, 1);
    if (!error)
        error = qp_check_each(&check, look_record, 0, view->record_count);
    if (!error)
        error = qp_check_each(&check, look_slot, 0, view->slot_count);
    if (!error)
        error = qp_check_tables(&check);
    if (!error)
        error = qp_check_list(&check);
    if (!error)
        error = qp_check_entries(&check);
    if (!error)
        error = qp_check_blocks(&check);
    if (!error)
        error = qp_check_agent(&check);
    if (!error && quiet)
        error = qp_check_each(&check, look_hints, 0, QP_CLASS_COUNT);
    if (error && finding && finding_bytes)
        snprintf(finding, finding_bytes, "%s", check.text);
    return error;
}
