/* SPDX-License-Identifier: MIT */
/* add_many.c: several adds, each for itself.
 *
 * One after the other, each add waits for memory twice, for its key's bucket and for its entry, and its locked
 * instruction keeps the processor from looking ahead to the next one. Here a few keys at a time are asked for together
 * before the first of them is counted. */
#include <errno.h>

#include "../shm/error.h"
#include "key.h"

/* Keys asked for at once: a core has 10 to 24 loads under way, and each key needs two lines after its bucket. */
#define KEYS_AT_ONCE 12

static int check(const struct quipu *q, const struct quipu_add_request *requests, size_t count)
{
    if (!q || (!requests && count))
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (requests[i].struct_bytes != sizeof requests[i] || requests[i].reserved0)
            return -EINVAL;
    return 0;
}

/* What is no add is not looked up, and has its result already. */
static void ask_for(const struct quipu *q, struct quipu_add_request *requests, struct qp_key *keys, size_t count)
{
    uint32_t mask = qp_bucket_mask(&q->view);
    for (size_t i = 0; i < count; i++) {
        struct quipu_add_request *r = &requests[i];
        r->result = qp_key_check(q, r->key, r->key_bytes);
        if (qp_unlikely(!r->result && r->n < 0))
            r->result = -EINVAL;
        if (qp_unlikely(r->result))
            continue;
        keys[i] = qp_key_make(&q->view, r->key, r->key_bytes);
        qp_table_prefetch_head(&q->view, mask, &keys[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (qp_likely(!requests[i].result))
            qp_table_prefetch_entry(&q->view, mask, &keys[i]);
}

/* Returns the first result that is not 0. */
static int add_some(struct quipu *q, struct qp_worker *worker, struct quipu_add_request *requests, size_t count, int64_t now_ms)
{
    struct qp_key keys[KEYS_AT_ONCE];
    int first = 0;
    ask_for(q, requests, keys, count);
    for (size_t i = 0; i < count; i++) {
        struct quipu_add_request *r = &requests[i];
        if (qp_likely(!r->result))
            r->result = qp_key_add_any(q, worker, &keys[i], r->n, now_ms);
        if (qp_unlikely(r->result && !first))
            first = r->result;
    }
    return first;
}

int quipu_add_many_at(struct quipu *q, struct quipu_add_request *requests, size_t count, int64_t now_ms)
{
    int error = check(q, requests, count), first = 0;
    if (error)
        return error;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    for (size_t at = 0; at < count; at += KEYS_AT_ONCE) {
        size_t some = count - at < KEYS_AT_ONCE ? count - at : KEYS_AT_ONCE;
        for (size_t i = 0; !worker && i < some; i++)
            requests[at + i].result = error;
        int result = worker ? add_some(q, worker, requests + at, some, now_ms) : error;
        first = first ? first : result;
    }
    return first;
}

int quipu_add_many(struct quipu *q, struct quipu_add_request *requests, size_t count)
{
    return quipu_add_many_at(q, requests, count, QP_NOW_UNKNOWN);
}
