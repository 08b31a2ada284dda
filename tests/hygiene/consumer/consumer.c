/* SPDX-License-Identifier: MIT */
/* consumer.c: a program of somebody else's, with nothing but the installed header and library. Valid C and C++.
 *
 *     consumer SEGMENT */
#include <quipu.h>

#include <stdio.h>
#include <string.h>

static int visit(const struct quipu_item *item, void *arg)
{
    *(int64_t *)arg += item->count.total;
    return 0;
}

static int use(struct quipu *q)
{
    struct quipu_counter handle;
    struct quipu_count count;
    int64_t seen = 0, ended = 0;
    int error = quipu_counter_open(q, "key", 3, &handle);
    if (error)
        return error;
    error = quipu_counter_add(&handle, 40);
    quipu_counter_close(&handle);
    if (!error)
        error = quipu_add(q, "key", 3, 2);
    if (!error)
        error = quipu_get(q, "key", 3, &count);
    if (!error)
        error = quipu_each(q, "k", 1, visit, &seen);
    if (!error)
        error = quipu_reset(q, "key", 3, &ended);
    if (error)
        return error;
    return count.total == 42 && seen == 42 && ended == 42 ? 0 : -QUIPU_EDAMAGED;
}

int main(int argc, char **argv)
{
    struct quipu_create_options options;
    struct quipu *q = NULL;
    if (argc != 2)
        return 2;
    memset(&options, 0, sizeof options);
    options.struct_bytes = sizeof options;
    options.counters = 1024;
    options.threads = 16;
    int error = quipu_create(argv[1], &options);
    if (!error)
        error = quipu_open(argv[1], NULL, &q);
    if (!error)
        error = use(q);
    quipu_close(q);
    quipu_destroy(argv[1]);
    if (error)
        return fprintf(stderr, "%s\n", quipu_error(error)), 1;
    return printf("quipu %s\n", quipu_version()) < 0;
}
