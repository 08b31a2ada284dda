/* SPDX-License-Identifier: MIT */
/* json.c: keys and counts in JSON, and the printing of answers. */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dispatch.h"
#include "strategy_field.h"

/* Two digits a byte. NULL for want of memory. */
static json_t *hex_string(const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * count + 1);
    if (!hex)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    json_t *string = json_stringn(hex, 2 * count);
    free(hex);
    return string;
}

void qp_cli_json_text(json_t *object, const char *name, const void *text, size_t text_bytes)
{
    json_t *string = json_stringn(text, text_bytes); /* NULL: not UTF-8 */
    if (string) {
        json_object_set_new(object, name, string);
        return;
    }
    char name_hex[32];
    snprintf(name_hex, sizeof name_hex, "%s_hex", name);
    json_object_set_new(object, name_hex, hex_string(text, text_bytes));
}

json_t *qp_cli_json_bounded(uint64_t number, uint64_t none)
{
    return number == none ? json_null() : json_integer((json_int_t)number);
}

void qp_cli_json_count(json_t *object, const struct quipu_count *count)
{
    json_object_set_new(object, "total", json_integer(count->total));
    json_object_set_new(object, "local", json_integer(count->local));
    json_object_set_new(object, "remote", json_integer(count->remote));
    json_object_set_new(object, "previous", json_integer(count->previous));
    json_object_set_new(object, "epoch", json_integer((json_int_t)count->epoch));
    json_object_set_new(object, "denied", json_integer(count->denied));
}

/* The replica is all of 64 bits, more than a JSON reader's numbers are sure to hold: it goes as text. */
json_t *qp_cli_json_replica(uint64_t replica)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, replica);
    return json_string(text);
}

static int append_share(const struct quipu_share *share, void *list)
{
    json_t *element = json_pack("{s:o, s:I, s:I, s:b, s:b, s:I}", "replica", qp_cli_json_replica(share->replica), "count",
                                (json_int_t)share->count, "epoch", (json_int_t)share->epoch, "own", (int)share->own,
                                "current", (int)share->current, "stamped_ms", (json_int_t)share->stamped_ms);
    return json_array_append_new(list, element) ? -ENOMEM : 0;
}

int qp_cli_json_shares(json_t *object, struct quipu *q, const void *key, size_t key_bytes)
{
    json_t *list = json_array();
    int error = quipu_shares(q, key, key_bytes, append_share, list);
    json_object_set_new(object, "replicas", list);
    return error == -ENOENT ? 0 : error;
}

void qp_cli_json_limit(json_t *object, const struct quipu_item *item)
{
    bool windows = item->kind == QUIPU_KIND_LIMIT;
    if (windows) {
        json_object_set_new(object, "algorithm", json_string(qp_cli_algorithm_name(item->algorithm)));
        json_object_set_new(object, "window_ms", json_integer((json_int_t)item->window_ms));
    }
    if (windows || item->kind == QUIPU_KIND_INFLIGHT) {
        json_object_set_new(object, "limit", qp_cli_json_bounded(item->limit, 0));
        json_object_set_new(object, "remaining", qp_cli_json_bounded(item->remaining, UINT64_MAX));
    }
}

int qp_cli_json_write(json_t *value)
{
    int failed = value ? json_dumpf(value, stdout, JSON_REAL_PRECISION(9)) : -1;
    json_decref(value);
    return failed;
}

int qp_cli_json_answer(json_t *value)
{
    int failed = qp_cli_json_write(value);
    /* A failed write is said once, by main(). */
    if (failed && !ferror(stdout)) {
        fputs("quipu: there is not enough memory for the answer\n", stderr);
        return QP_CLI_CANNOT;
    }
    putchar('\n');
    return QP_CLI_DONE;
}
