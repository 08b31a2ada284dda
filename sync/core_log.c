/* SPDX-License-Identifier: MIT */
/* core_log.c: the log of our stream: what was stated when, one place a subject; the list of tombstones; and which
 * slot holds the key with a hash. Lists through an array of notes, nothing else: a change costs the same however much
 * is held. */
#include "core_internal.h"

#include <errno.h>

int qp_log_init(struct qp_log *log, uint32_t slots, uint32_t subjects, struct qp_alloc_arena *arena)
{
    uint32_t places = 16;
    while (places < 2 * (uint64_t)slots)
        places *= 2;
    *log = (struct qp_log){.slots = slots, .subjects = subjects, .place_mask = places - 1};
    log->note = qp_alloc(arena, subjects * sizeof *log->note);
    log->place = qp_alloc(arena, places * sizeof *log->place);
    return log->note && log->place ? 0 : -ENOMEM;
}

/* ---- in the order in which things were stated -------------------------------------------------------------------------- */

uint32_t qp_log_next(const struct qp_log *log, uint32_t cursor)
{
    return cursor ? log->note[cursor].newer : log->oldest;
}

void qp_log_cursor_set(struct qp_log *log, uint32_t *cursor, uint32_t subject)
{
    *cursor = subject;
    if (subject)
        log->note[subject].flags |= QP_NOTE_CURSOR;
}

/* What is before the cursor stays before it. */
static void move_cursors(struct qp_log *log, uint32_t subject, uint32_t to)
{
    log->note[subject].flags &= ~QP_NOTE_CURSOR;
    for (uint32_t i = 0; i < log->cursors; i++) {
        if (log->cursor[i].sent == subject)
            qp_log_cursor_set(log, &log->cursor[i].sent, to);
        if (log->cursor[i].acked == subject)
            qp_log_cursor_set(log, &log->cursor[i].acked, to);
    }
}

void qp_log_remove(struct qp_log *log, uint32_t subject)
{
    struct qp_slot_note *note = &log->note[subject];
    if (note->stated == 0)
        return;
    if (note->flags & QP_NOTE_CURSOR)
        move_cursors(log, subject, note->older);
    if (log->swept == subject)
        log->swept = note->older;
    if (note->older)
        log->note[note->older].newer = note->newer;
    else
        log->oldest = note->newer;
    if (note->newer)
        log->note[note->newer].older = note->older;
    else
        log->newest = note->older;
    note->stated = 0;
    note->newer = note->older = 0;
    log->count--;
}

void qp_log_put(struct qp_log *log, uint32_t subject, uint64_t stated)
{
    qp_log_remove(log, subject);
    uint32_t older = log->newest, newer = 0;
    while (older && log->note[older].stated > stated) {
        newer = older;
        older = log->note[older].older;
    }
    struct qp_slot_note *note = &log->note[subject];
    note->stated = stated;
    note->older = older;
    note->newer = newer;
    if (older)
        log->note[older].newer = subject;
    else
        log->oldest = subject;
    if (newer)
        log->note[newer].older = subject;
    else
        log->newest = subject;
    log->count++;
}

uint32_t qp_log_after(const struct qp_log *log, uint64_t mark)
{
    uint32_t subject = log->newest, after = 0;
    if (subject && mark < log->note[subject].stated / 2) { /* from the nearer end */
        for (subject = log->oldest; subject && log->note[subject].stated <= mark;)
            subject = log->note[subject].newer;
        return subject;
    }
    while (subject && log->note[subject].stated > mark) {
        after = subject;
        subject = log->note[subject].older;
    }
    return after;
}

/* ---- tombstones ------------------------------------------------------------------------------------------------------------- */

void qp_log_tomb_put(struct qp_log *log, uint32_t slot)
{
    struct qp_slot_note *note = &log->note[slot];
    if (note->flags & QP_NOTE_TOMB)
        return;
    note->flags |= QP_NOTE_TOMB;
    note->tomb_newer = 0;
    note->tomb_older = log->tomb_newest;
    if (log->tomb_newest)
        log->note[log->tomb_newest].tomb_newer = slot;
    else
        log->tomb_oldest = slot;
    log->tomb_newest = slot;
    log->tombs++;
}

void qp_log_tomb_remove(struct qp_log *log, uint32_t slot)
{
    struct qp_slot_note *note = &log->note[slot];
    if (!(note->flags & QP_NOTE_TOMB))
        return;
    note->flags &= ~QP_NOTE_TOMB;
    if (note->tomb_older)
        log->note[note->tomb_older].tomb_newer = note->tomb_newer;
    else
        log->tomb_oldest = note->tomb_newer;
    if (note->tomb_newer)
        log->note[note->tomb_newer].tomb_older = note->tomb_older;
    else
        log->tomb_newest = note->tomb_older;
    note->tomb_newer = note->tomb_older = 0;
    log->tombs--;
}

/* ---- which slot has a key ----------------------------------------------------------------------------------------------------- */

/* Hosts choose keys, so somebody can choose many of one hash's low bits: the table is never more than half full, and
 * a long run costs only who may write keys anyway. */
static uint32_t home(const struct qp_log *log, uint64_t key_hash)
{
    return (uint32_t)(key_hash ^ (key_hash >> 32)) & log->place_mask;
}

static uint32_t place_of(const struct qp_log *log, uint64_t key_hash)
{
    uint32_t at = home(log, key_hash);
    while (log->place[at] && log->note[log->place[at]].key_hash != key_hash)
        at = (at + 1) & log->place_mask;
    return at;
}

uint32_t qp_log_key_find(const struct qp_log *log, uint64_t key_hash)
{
    return log->place[place_of(log, key_hash)];
}

/* Closes the gap, so that no search ends before what it looks for. */
static void vacate(struct qp_log *log, uint32_t gap)
{
    log->place[gap] = 0;
    for (uint32_t at = (gap + 1) & log->place_mask; log->place[at]; at = (at + 1) & log->place_mask) {
        uint32_t from = home(log, log->note[log->place[at]].key_hash);
        if (((at - from) & log->place_mask) < ((at - gap) & log->place_mask))
            continue; /* its search begins behind the gap */
        log->place[gap] = log->place[at];
        log->place[at] = 0;
        gap = at;
    }
}

void qp_log_key_set(struct qp_log *log, uint32_t slot, uint64_t key_hash)
{
    struct qp_slot_note *note = &log->note[slot];
    if (note->key_hash == key_hash)
        return;
    if (note->key_hash) {
        uint32_t at = place_of(log, note->key_hash);
        if (log->place[at] == slot)
            vacate(log, at);
    }
    note->key_hash = key_hash;
    if (key_hash) {
        /* Another slot may stand there: the key has left it and come back in this one. */
        log->place[place_of(log, key_hash)] = slot;
    }
}
