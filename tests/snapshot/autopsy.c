/* SPDX-License-Identifier: MIT */
/* autopsy.c: recovery of a copy, and what must hold after it. */
#include "autopsy.h"

#include <stdarg.h>

#include "shm/block.h"
#include "shm/check.h"
#include "shm/recover.h"

/* Far more than any recovery needs: removal takes six. */
#define ROUNDS_MAX 64

static bool unsound(struct autopsy *autopsy, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool unsound(struct autopsy *autopsy, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(autopsy->why, sizeof autopsy->why, format, arguments);
    va_end(arguments);
    return false;
}

static void view_private(struct qp_view *view, const struct stage *stage)
{
    /* A page of its own: lines lie as in a mapping. */
    void *bytes = aligned_alloc(4096, stage->view.bytes);
    if (!bytes)
        abort();
    memset(bytes, 0, stage->view.bytes);
    qp_view_init(view, bytes, &stage->identity);
    view->fence = true;
}

void autopsy_begin(struct autopsy *autopsy, const struct stage *stage)
{
    memset(autopsy, 0, sizeof *autopsy);
    view_private(&autopsy->view, stage);
    view_private(&autopsy->raw, stage);
}

void autopsy_end(struct autopsy *autopsy)
{
    free(autopsy->view.base);
    free(autopsy->raw.base);
    memset(autopsy, 0, sizeof *autopsy);
}

bool autopsy_take(struct autopsy *autopsy, const struct stage *stage)
{
    if (memcmp(autopsy->raw.base, stage->view.base, stage->view.bytes) == 0)
        return false;
    memcpy(autopsy->raw.base, stage->view.base, stage->view.bytes);
    return true;
}

/* By a view that knows of no growth yet: what was looked at before may have been a later state. */
static void copy_taken(struct autopsy *autopsy)
{
    struct qp_view *view = &autopsy->view;
    struct qp_identity identity;
    memcpy(view->base, autopsy->raw.base, view->bytes);
    memcpy(&identity, view->base, sizeof identity);
    qp_view_init(view, view->base, &identity);
    view->fence = true;
}

/* ---- the recoverer ----------------------------------------------------------------------------------------------- */

static bool seize(void *context, uint32_t record)
{
    return !(*(const uint32_t *)context >> record & 1);
}

static void release(void *context, uint32_t record)
{
    (void)context;
    (void)record;
}

/* A record without a tenant, or else a dead one's, as a newcomer does it (without the locks). */
static bool find_record(const struct qp_view *view, uint32_t alive, bool taken, struct qp_tenant *tenant)
{
    for (uint32_t r = 0; r < view->record_count; r++) {
        uint64_t tenancy = qp_load_acquire(&view->records[r].tenancy);
        if (qp_tenancy_is_active(tenancy) != taken || alive >> r & 1)
            continue;
        *tenant = (struct qp_tenant){-1, r, qp_owner_make(r, qp_tenancy_generation(tenancy))};
        return true;
    }
    return false;
}

/* A slot, if need be one of the dead. */
static struct qp_slot *claim_slot(const struct qp_view *view, uint64_t owner, uint32_t alive)
{
    struct qp_liveness liveness = {seize, release, &alive};
    struct qp_slot *slot = qp_slot_claim(view, owner);
    if (slot)
        return slot;
    qp_recover_dead_slots(view, &liveness);
    return qp_slot_claim(view, owner);
}

/* Joins the copy. false: no room, though the dead leave enough. */
static bool join(struct autopsy *autopsy, uint32_t alive, struct qp_worker *worker)
{
    const struct qp_view *view = &autopsy->view;
    struct qp_tenant tenant;
    *worker = (struct qp_worker){.view = &autopsy->view, .now_ms = stage_page->clock_ms};
    if (!find_record(view, alive, false, &tenant)) {
        if (!find_record(view, alive, true, &tenant) || !(worker->slot = claim_slot(view, tenant.owner, alive)))
            return false;
        worker->owner = tenant.owner;
        qp_recover_record(worker, tenant.record);
        qp_slot_release(worker->slot);
    }
    qp_process_renew(view, stage_page->clock_ms, &tenant);
    worker->owner = tenant.owner;
    worker->slot = claim_slot(view, tenant.owner, alive);
    return worker->slot != NULL;
}

static bool recover_to_rest(struct autopsy *autopsy, struct qp_worker *worker, uint32_t alive)
{
    struct qp_liveness liveness = {seize, release, &alive};
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct qp_sweep sweep = {0};
        uint32_t recovered = qp_recover_dead(worker, &liveness);
        qp_sweep_range(worker, 0, qp_sweep_items(&autopsy->view), &sweep);
        bool moved = sweep.waiting && (qp_grace_poll(&autopsy->view) || qp_grace_poll(&autopsy->view));
        if (!recovered && !sweep.done && !moved)
            return true;
    }
    return unsound(autopsy, "recovery does not come to rest");
}

/* ---- the living -------------------------------------------------------------------------------------------------- */

static bool is_of(uint32_t alive, uint64_t owner)
{
    return alive >> qp_owner_record(owner) & 1;
}

/* Whether everything that says it belongs to a living process is as it was. */
static bool living_untouched(struct autopsy *autopsy, uint32_t alive)
{
    const struct qp_view *view = &autopsy->view, *raw = &autopsy->raw;
    for (uint32_t r = 0; r < raw->record_count; r++)
        if (alive >> r & 1 && memcmp(&raw->records[r], &view->records[r], sizeof raw->records[r]))
            return unsound(autopsy, "the record %u of a living process was changed", r);
    for (uint32_t i = 0; i < raw->slot_count; i++)
        if (raw->slots[i].owner && is_of(alive, raw->slots[i].owner & ~QP_SLOT_IN_USE) &&
            memcmp(&raw->slots[i], &view->slots[i], sizeof raw->slots[i]))
            return unsound(autopsy, "the slot %u of a living process was changed", i);
    for (unsigned c = QP_CLASS_ENTRY; c < QP_CLASS_COUNT; c++)
        for (uint32_t i = 0; i < raw->class_of[c].count; i++) {
            uint64_t was = *qp_state_at(raw, c, i);
            if (qp_state_of(was) != QP_STATE_CLAIMED || !is_of(alive, qp_state_argument(was)))
                continue;
            /* An entry's link is everyone's: a neighbour may have been unlinked behind it. */
            size_t skipped = c == QP_CLASS_ENTRY ? sizeof(uint64_t) : 0, at = (size_t)i * raw->class_of[c].bytes;
            if (*qp_state_at(view, c, i) != was ||
                memcmp(raw->class_of[c].data + at + skipped, view->class_of[c].data + at + skipped,
                       raw->class_of[c].bytes - skipped))
                return unsound(autopsy, "class %u, %u: claimed by a living process, and was changed", c, i);
        }
    return true;
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

static bool check(struct autopsy *autopsy, struct qp_slot *slot, bool quiet, const char *when)
{
    char finding[256];
    if (qp_check_segment(&autopsy->view, slot, quiet, finding, sizeof finding) == 0)
        return true;
    return unsound(autopsy, "%s: %s", when, finding);
}

/* Recovery with `alive` living on made of the content what it should. */
static bool content_kept(struct autopsy *autopsy, uint32_t alive, struct content *recovered, const char *when)
{
    struct content taken;
    content_read(&autopsy->raw, stage_page->clock_ms, alive, &taken);
    content_read(&autopsy->view, stage_page->clock_ms, alive, recovered);
    if (content_may_become(&taken, recovered))
        return true;
    autopsy->recovered = *recovered;
    return unsound(autopsy, "%s: the content is not what a reader saw just before", when);
}

/* Nobody but the recoverer is left. */
static bool alone(struct autopsy *autopsy, const struct qp_worker *worker)
{
    const struct qp_view *view = &autopsy->view;
    for (uint32_t r = 0; r < view->record_count; r++)
        if (r != qp_owner_record(worker->owner) && qp_tenancy_is_active(view->records[r].tenancy))
            return unsound(autopsy, "after recovery: the record %u of a dead process is still taken", r);
    for (uint32_t i = 0; i < view->slot_count; i++)
        if (&view->slots[i] != worker->slot && (view->slots[i].owner || view->slots[i].epoch))
            return unsound(autopsy, "after recovery: the slot %u of a dead process is still taken", i);
    return true;
}

bool autopsy_is_sound(struct autopsy *autopsy, uint32_t alive, uint32_t caller)
{
    struct qp_view *view = &autopsy->view;
    struct qp_worker worker;
    struct content at_last;
    copy_taken(autopsy);
    autopsy->why[0] = 0;
    content_read(view, stage_page->clock_ms, alive | caller, &autopsy->seen);
    if (!check(autopsy, NULL, false, "before recovery"))
        return false;
    if (!join(autopsy, alive, &worker))
        return unsound(autopsy, "no record or no slot for the recoverer");
    if (alive && (!recover_to_rest(autopsy, &worker, alive) || !living_untouched(autopsy, alive) ||
                  !check(autopsy, worker.slot, false, "after recovery beside the living") ||
                  !content_kept(autopsy, alive, &autopsy->recovered, "after recovery beside the living")))
        return false;
    return recover_to_rest(autopsy, &worker, 0) && check(autopsy, worker.slot, true, "after recovery") &&
           content_kept(autopsy, 0, alive ? &at_last : &autopsy->recovered, "after recovery") &&
           alone(autopsy, &worker);
}

bool autopsy_rests(struct autopsy *autopsy, uint32_t alive)
{
    struct qp_worker worker;
    copy_taken(autopsy);
    if (!join(autopsy, alive, &worker))
        return unsound(autopsy, "no record or no slot for the recoverer");
    return recover_to_rest(autopsy, &worker, alive) &&
           check(autopsy, worker.slot, true, "after the call, its caller alive");
}
