/* SPDX-License-Identifier: MIT */
/* cmd_list.c: the verb list. Keys are printed as the walk meets them, so that a segment of any size can be
 * listed. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "key.h"
#include "session.h"
#include "strategy_field.h"
#include "verbs.h"

enum { COLUMN_COUNT = 8 };

static const char *const column_names[COLUMN_COUNT] = {"TOTAL", "LOCAL",  "REMOTE", "PREVIOUS",
                                                       "EPOCH", "DENIED", "LIMIT",  "REMAINING"};

struct cell {
    char text[24];
};

static bool has_limit(const struct quipu_item *item)
{
    return item->kind == QUIPU_KIND_LIMIT || item->kind == QUIPU_KIND_INFLIGHT;
}

static void cells_of(const struct quipu_item *item, struct cell out[COLUMN_COUNT])
{
    const struct quipu_count *count = &item->count;
    const int64_t counts[] = {count->total, count->local, count->remote, count->previous};
    int at = 0;
    for (; at < 4; at++)
        snprintf(out[at].text, sizeof out->text, "%" PRId64, counts[at]);
    snprintf(out[at++].text, sizeof out->text, "%" PRIu64, count->epoch);
    if (!has_limit(item)) {
        while (at < COLUMN_COUNT)
            strcpy(out[at++].text, "-");
        return;
    }
    snprintf(out[at++].text, sizeof out->text, "%" PRId64, count->denied);
    if (item->limit == 0) {
        strcpy(out[at++].text, "none");
        strcpy(out[at].text, "none");
        return;
    }
    snprintf(out[at++].text, sizeof out->text, "%" PRIu64, item->limit);
    snprintf(out[at].text, sizeof out->text, "%" PRIu64, item->remaining);
}

struct table {
    int widths[COLUMN_COUNT];
};

static int measure(const struct quipu_item *item, void *arg)
{
    struct table *table = arg;
    struct cell cells[COLUMN_COUNT];
    cells_of(item, cells);
    for (int i = 0; i < COLUMN_COUNT; i++) {
        int width = (int)strlen(cells[i].text);
        if (width > table->widths[i])
            table->widths[i] = width;
    }
    return 0;
}

static int print_row(const struct quipu_item *item, void *arg)
{
    const struct table *table = arg;
    struct cell cells[COLUMN_COUNT];
    cells_of(item, cells);
    printf("%-8s", qp_cli_kind_name(item->kind));
    for (int i = 0; i < COLUMN_COUNT; i++)
        printf("  %*s", table->widths[i], cells[i].text);
    printf("  ");
    qp_cli_key_print(stdout, item->key, item->key_bytes);
    putchar('\n');
    return 0;
}

/* Two walks: one for the widths, one for the rows. What grows in between is printed in full, a little out of
 * line. */
static int print_table(struct quipu *q, const struct qp_cli_key *prefix)
{
    struct table table;
    for (int i = 0; i < COLUMN_COUNT; i++)
        table.widths[i] = (int)strlen(column_names[i]);
    int error = quipu_each(q, prefix->bytes, prefix->count, measure, &table);
    if (error)
        return error;
    printf("%-8s", "KIND");
    for (int i = 0; i < COLUMN_COUNT; i++)
        printf("  %*s", table.widths[i], column_names[i]);
    puts("  KEY");
    return quipu_each(q, prefix->bytes, prefix->count, print_row, &table);
}

struct elements {
    struct quipu *q;
    size_t printed;
};

static int print_element(const struct quipu_item *item, void *arg)
{
    struct elements *elements = arg;
    json_t *element = json_object();
    qp_cli_json_text(element, "key", item->key, item->key_bytes);
    json_object_set_new(element, "kind", json_string(qp_cli_kind_name(item->kind)));
    qp_cli_json_count(element, &item->count);
    qp_cli_json_limit(element, item);
    int error = qp_cli_json_shares(element, elements->q, item->key, item->key_bytes);
    fputs(elements->printed++ ? ",\n" : "\n", stdout);
    qp_cli_json_write(element);
    return error;
}

/* An array with one element a line. */
static int print_json(struct quipu *q, const struct qp_cli_key *prefix)
{
    struct elements elements = {.q = q};
    putchar('[');
    int error = quipu_each(q, prefix->bytes, prefix->count, print_element, &elements);
    puts("\n]");
    return error;
}

int qp_cli_list(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 1, argc, argv);
    const char *text = cli->arg_count ? cli->args[0] : "";
    struct qp_cli_key prefix;
    const char *problem = qp_cli_prefix_read(text, strlen(text), &prefix);
    if (problem)
        return qp_cli_misuse("%s", problem);
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_READ, &q);
    if (status)
        return status;
    int error = (cli->json ? print_json : print_table)(q, &prefix);
    quipu_close(q);
    return error ? qp_cli_fail(cli, error, quipu_error(error)) : QP_CLI_DONE;
}
