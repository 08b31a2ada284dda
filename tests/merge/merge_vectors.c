/* SPDX-License-Identifier: MIT */
/* merge_vectors.c: runs merge vectors, a JSON object a line (sync/MERGE.md has the format), each in many arrangements.
 *
 *     merge-vectors FILE...
 *
 * Closes with "N passed, M failed"; exit status 1 if any failed, or is no vector. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vector.h"

#define LINE_BYTES_MAX (1 << 20)

/* ---- reading: every function returns false for what is not as the format says --------------------------------------------- */

/* Integers are decimal strings: a u64 does not fit every parser's integer. */
static bool get_number(const json_t *object, const char *name, bool negative_too, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(object, name));
    char *end;
    if (!text || text[0] == '\0' || strspn(text, "-0123456789") != strlen(text) || (text[0] == '-' && !negative_too))
        return false;
    errno = 0;
    *out = negative_too ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text;
}

static bool get_version(const json_t *object, struct qp_version *out)
{
    return get_number(object, "ts", false, &out->timestamp) && get_number(object, "replica", false, &out->replica);
}

static bool get_point(const json_t *object, struct qp_point *out)
{
    struct qp_version version;
    *out = (struct qp_point){0};
    if (!get_version(object, &version) || !get_number(object, "epoch", false, &out->epoch) ||
        !get_number(object, "count", true, &out->count))
        return false;
    out->timestamp = version.timestamp;
    out->replica = version.replica;
    return true;
}

/* A tombstone or null. */
static bool get_cut(const json_t *tombstone, struct qp_cut *out)
{
    out->has_tombstone = json_is_object(tombstone);
    return json_is_null(tombstone) || get_version(tombstone, &out->tombstone);
}

static bool get_state(const json_t *object, struct qp_point *point, uint32_t room, uint32_t *count, struct qp_cut *cut)
{
    const json_t *points = json_object_get(object, "points");
    *count = (uint32_t)json_array_size(points);
    if (!json_is_array(points) || json_array_size(points) > room)
        return false;
    for (uint32_t i = 0; i < *count; i++)
        if (!get_point(json_array_get(points, i), &point[i]))
            return false;
    return get_cut(json_object_get(object, "tombstone"), cut);
}

static bool get_counter_op(const json_t *object, const char *verb, struct vector_case *c, struct vector_op *op)
{
    op->first = c->point_count;
    bool ok = false;
    if (strcmp(verb, "insert") == 0 && c->point_count < VECTOR_POINTS_MAX) {
        op->count = 1;
        ok = get_point(object, &c->point[op->first]);
    } else if (strcmp(verb, "remove") == 0) {
        op->cut.has_tombstone = true;
        ok = get_version(object, &op->cut.tombstone);
    } else if (strcmp(verb, "state") == 0) {
        ok = get_state(object, &c->point[op->first], VECTOR_POINTS_MAX - c->point_count, &op->count, &op->cut);
    }
    c->point_count += ok ? op->count : 0;
    return ok;
}

static bool get_register_op(const json_t *object, const char *verb, struct vector_op *op)
{
    uint64_t value = 0;
    op->written.written = true;
    op->written.removed = strcmp(verb, "remove") == 0;
    if (!get_version(object, &op->written.version) || (!op->written.removed && strcmp(verb, "insert") != 0) ||
        (!op->written.removed && !get_number(object, "value", true, &value)))
        return false;
    op->written.value = (int64_t)value;
    return true;
}

static bool get_shard(const json_t *object, struct vector_case *c, struct vector_op *op)
{
    struct qp_point *point = &c->point[c->point_count];
    op->first = c->point_count;
    op->count = 1;
    *point = (struct qp_point){.timestamp = 1};
    c->point_count++;
    return get_number(object, "replica", false, &point->replica) && get_number(object, "epoch", false, &point->epoch) &&
           get_number(object, "count", true, &point->count);
}

static bool get_ops(const json_t *root, struct vector_case *c)
{
    const json_t *ops = json_object_get(root, c->strategy == VECTOR_TOTAL ? "shards" : "ops");
    if (!json_is_array(ops) || json_array_size(ops) > VECTOR_OPS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const json_t *object = json_array_get(ops, i);
        struct vector_op *op = &c->op[c->op_count++];
        const char *verb = json_string_value(json_object_get(object, "op"));
        if (c->strategy == VECTOR_TOTAL              ? !get_shard(object, c, op)
            : !verb                                  ? true
            : c->strategy == VECTOR_LAST_WRITER_WINS ? !get_register_op(object, verb, op)
                                                     : !get_counter_op(object, verb, c, op))
            return false;
    }
    return true;
}

/* The value of a counter is kept where a register's would be: epoch as the version, count as the value. */
static bool expect_counter(const json_t *expect, struct vector_state *out)
{
    const json_t *value = json_object_get(expect, "value");
    uint64_t count = 0;
    if (!get_state(expect, out->point, VECTOR_POINTS_MAX, &out->count, &out->cut))
        return false;
    if (json_is_null(value))
        return out->count == 0;
    out->held.written = true;
    if (!get_number(value, "epoch", false, &out->held.version.timestamp) || !get_number(value, "count", true, &count))
        return false;
    out->held.value = (int64_t)count;
    return out->count != 0;
}

static bool expect_register(const json_t *expect, struct qp_register *out)
{
    const json_t *version = json_object_get(expect, "version");
    uint64_t value = 0;
    out->written = !json_is_null(version);
    out->removed = out->written && json_is_null(json_object_get(expect, "value"));
    if (out->written &&
        (!get_version(version, &out->version) || (!out->removed && !get_number(expect, "value", true, &value))))
        return false;
    out->value = (int64_t)value;
    return true;
}

static bool expect_total(const json_t *expect, struct qp_sum *out)
{
    uint64_t count;
    out->any = !json_is_null(json_object_get(expect, "epoch"));
    if ((out->any && !get_number(expect, "epoch", false, &out->epoch)) || !get_number(expect, "count", true, &count))
        return false;
    out->count = (int64_t)count;
    return true;
}

static bool get_case(const json_t *root, struct vector_case *c)
{
    static const char *const names[] = {"epoch_max_wins", "last_writer_wins", "total"};
    const char *strategy = json_string_value(json_object_get(root, "strategy"));
    const json_t *expect = json_object_get(root, "expect");
    unsigned number = 0;
    while (number < 3 && (!strategy || strcmp(strategy, names[number]) != 0))
        number++;
    if (number == 3 || !json_is_object(expect))
        return false;
    memset(c, 0, sizeof *c);
    c->strategy = (enum vector_strategy)number;
    return get_ops(root, c) && (number == 0   ? expect_counter(expect, &c->expect)
                                : number == 1 ? expect_register(expect, &c->expect.held)
                                              : expect_total(expect, &c->expect_total));
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

/* false: failed, and said why. */
static bool run_line(const char *file, unsigned number, const char *line, size_t bytes)
{
    static struct vector_case c;
    json_error_t error;
    json_t *root = bytes > LINE_BYTES_MAX ? NULL : json_loadb(line, bytes, 0, &error);
    const char *name = json_string_value(json_object_get(root, "name"));
    int failed = -2;
    if (root && get_case(root, &c))
        failed = vector_run(&c);
    if (failed == -2)
        printf("%s:%u: this is no vector\n", file, number);
    else if (failed >= 0)
        printf("%s:%u: %s: comes to something else when arranged so: %s\n", file, number, name ? name : "(no name)",
               vector_arrangement_name(failed));
    json_decref(root);
    return failed == -1;
}

static bool run_file(const char *path, unsigned long *passed, unsigned long *failed)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes;
    if (!file) {
        fprintf(stderr, "merge-vectors: %s: %s\n", path, strerror(errno));
        return false;
    }
    for (unsigned number = 1; (bytes = getline(&line, &room, file)) >= 0; number++)
        if (strspn(line, " \t\r\n") != (size_t)bytes)
            ++*(run_line(path, number, line, (size_t)bytes) ? passed : failed);
    bool ok = !ferror(file);
    free(line);
    fclose(file);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned long passed = 0, failed = 0;
    bool all_read = true;
    if (argc < 2) {
        fprintf(stderr, "usage: merge-vectors FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        all_read &= run_file(argv[i], &passed, &failed);
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed != 0 || !all_read ? 1 : 0;
}
