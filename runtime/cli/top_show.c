/* SPDX-License-Identifier: MIT */
/* top_show.c: frames for a terminal, a table, and JSON. */
#include "top_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "json.h"
#include "key.h"
#include "strategy_field.h"

const char *const qp_cli_top_by_names[] = {"rate", "denied", "count", NULL};

/* ---- in a few columns -------------------------------------------------------------------------------------------- */

struct brief {
    char text[24];
};

/* At most five columns, six with a minus sign. */
static struct brief brief(double number)
{
    static const char units[] = " kMGTPE";
    struct brief out;
    const char *sign = number < 0 ? "-" : "";
    int unit = 0;
    number = number < 0 ? -number : number;
    if (number < 9999.5) {
        bool tenths = number < 99.95 && (double)(int)number != number;
        snprintf(out.text, sizeof out.text, "%s%.*f", sign, tenths, number);
        return out;
    }
    for (; number >= 999.5 && unit < 6; unit++)
        number /= 1000;
    snprintf(out.text, sizeof out.text, "%s%.*f%c", sign, number < 99.95, number, units[unit]);
    return out;
}

/* The rates of the last looks, by the highest of them. */
static void print_history(FILE *out, const struct qp_cli_top_view *view, const struct qp_cli_top_key *key)
{
    static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = " .:-=+*%#";
    float highest = 0;
    for (int i = 0; i < QP_CLI_HISTORY; i++)
        highest = key->history[i] > highest ? key->history[i] : highest;
    for (int i = 0; i < QP_CLI_HISTORY; i++) {
        int level = key->history[i] > 0 ? 1 + (int)(key->history[i] / highest * 7.0f) : 0;
        if (view->utf8)
            fputs(bars[level], out);
        else
            putc(ascii[level], out);
    }
}

/* As much of a text as fits; where more follows, the last column says so. */
static void print_clipped(FILE *out, const struct qp_cli_top_view *view, const char *text, int columns)
{
    mbstate_t state = {0};
    size_t left = strlen(text);
    while (left && columns > 0) {
        wchar_t wide = 0;
        size_t bytes = view->utf8 ? mbrtowc(&wide, text, left, &state) : 1;
        int width = view->utf8 ? wcwidth(wide) : (unsigned char)*text < 0x80 ? 1 : -1;
        if (bytes == 0 || bytes > left || width < 0) {
            memset(&state, 0, sizeof state);
            bytes = bytes == 0 || bytes > left ? 1 : bytes;
            width = -1;
        }
        int needed = width < 0 ? 1 : width;
        if (needed > columns - (left > bytes)) {
            putc('>', out);
            return;
        }
        if (width < 0)
            putc('?', out);
        else
            fwrite(text, 1, bytes, out);
        columns -= needed;
        text += bytes;
        left -= bytes;
    }
}

static void print_key(FILE *out, const struct qp_cli_top_view *view, const void *key, size_t key_bytes, int columns)
{
    char *text = NULL;
    size_t text_bytes;
    FILE *memory = open_memstream(&text, &text_bytes);
    if (!memory)
        return;
    qp_cli_key_print(memory, key, key_bytes);
    if (fclose(memory) == 0)
        print_clipped(out, view, text, columns);
    free(text);
}

/* ---- a frame ----------------------------------------------------------------------------------------------------- */

static const char bold[] = "\033[1m", red[] = "\033[31m", yellow[] = "\033[33m", reversed[] = "\033[7m",
                  plain[] = "\033[0m";

static const char *colour(const struct qp_cli_top_view *view, const char *code)
{
    return view->colours ? code : "";
}

/* A line of text, cut to the screen, in one colour. */
static void print_line(FILE *out, const struct qp_cli_top_view *view, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void print_line(FILE *out, const struct qp_cli_top_view *view, const char *code, const char *format, ...)
{
    char *text;
    va_list values;
    va_start(values, format);
    int bytes = vasprintf(&text, format, values);
    va_end(values);
    if (bytes < 0)
        return;
    fputs(colour(view, code), out);
    print_clipped(out, view, text, view->columns);
    fputs(colour(view, plain), out);
    putc('\n', out);
    free(text);
}

static void print_figures(FILE *out, const struct qp_cli_top_view *view, const struct qp_cli_top_sample *sample)
{
    const struct quipu_stat *stat = &sample->stat;
    print_line(out, view, bold, "%s   %s of %s keys   %s processes   by %s   r d c change that   q quits",
               view->segment, brief((double)stat->counters_used).text, brief((double)stat->counters).text,
               brief((double)stat->processes_used).text, qp_cli_top_by_names[view->by]);
    print_line(out, view, "", "%s/s  denied %s/s  evicted %s  forgotten %s  expired %s  full %s",
               brief(sample->rate).text, brief(sample->denied_rate).text, brief((double)stat->evicted).text,
               brief((double)stat->evicted_forgotten).text, brief((double)stat->expired).text,
               brief((double)(stat->full_refusals + stat->overflow_denied + stat->overflow_allowed)).text);
}

/* So many columns stand before a key. */
enum { KEY_COLUMN = 7 * 6 + 2 + QP_CLI_HISTORY + 2 };

static void print_row(FILE *out, const struct qp_cli_top_view *view, const struct qp_cli_top_sample *sample,
                      uint32_t number)
{
    const struct qp_cli_top_key *key = &sample->keys[number];
    bool denies = key->denied_rate > 0, empty = key->limit && key->remaining == 0;
    bool limits = key->kind == QUIPU_KIND_LIMIT || key->kind == QUIPU_KIND_INFLIGHT;
    size_t name_bytes;
    const void *name = qp_cli_key_set_get(&sample->names, number, &name_bytes);
    fputs(denies ? colour(view, red) : empty ? colour(view, yellow) : "", out);
    fprintf(out, "%6s %6s %6s %6s %6s %6s   ", key->has_rate ? brief(key->rate).text : "-",
            limits ? brief(key->denied_rate).text : "-", brief((double)key->count.total).text,
            limits ? brief((double)key->count.denied).text : "-", key->limit ? brief((double)key->limit).text : "-",
            key->limit ? brief((double)key->remaining).text : "-");
    print_history(out, view, key);
    fputs("  ", out);
    print_key(out, view, name, name_bytes, view->columns - KEY_COLUMN);
    fputs(denies || empty ? colour(view, plain) : "", out);
    putc('\n', out);
}

void qp_cli_top_frame(FILE *out, const struct qp_cli_top_view *view, const struct qp_cli_top_sample *sample)
{
    enum { HEADER_ROWS = 3 };
    size_t room = view->rows > HEADER_ROWS ? (size_t)(view->rows - HEADER_ROWS) : 0;
    uint32_t *numbers = calloc(room + 1, sizeof *numbers);
    size_t count = numbers ? qp_cli_top_first(sample, view->by, numbers, room) : 0;
    print_figures(out, view, sample);
    print_line(out, view, reversed, "%6s %6s %6s %6s %6s %6s   %-*s  %-*s", "RATE/s", "DENY/s", "COUNT", "DENIED",
               "LIMIT", "LEFT", QP_CLI_HISTORY, "HISTORY", view->columns > KEY_COLUMN ? view->columns - KEY_COLUMN : 0,
               "KEY");
    for (size_t i = 0; i < count; i++)
        print_row(out, view, sample, numbers[i]);
    free(numbers);
}

/* ---- for scripts ------------------------------------------------------------------------------------------------- */

static const char *limit_text(uint64_t number, uint64_t none, bool limits, struct brief *out)
{
    if (!limits)
        return "-";
    if (number == none)
        return "none";
    snprintf(out->text, sizeof out->text, "%" PRIu64, number);
    return out->text;
}

static void print_full_row(const struct qp_cli_top_sample *sample, uint32_t number)
{
    const struct qp_cli_top_key *key = &sample->keys[number];
    bool limits = key->kind == QUIPU_KIND_LIMIT || key->kind == QUIPU_KIND_INFLIGHT;
    struct brief limit, remaining;
    size_t name_bytes;
    const void *name = qp_cli_key_set_get(&sample->names, number, &name_bytes);
    printf("%-8s  %10.1f  %10.1f  %10" PRId64 "  %10" PRId64 "  %10s  %10s  ", qp_cli_kind_name(key->kind), key->rate,
           key->denied_rate, key->count.total, key->count.denied, limit_text(key->limit, 0, limits, &limit),
           limit_text(key->remaining, UINT64_MAX, limits, &remaining));
    qp_cli_key_print(stdout, name, name_bytes);
    putchar('\n');
}

void qp_cli_top_print(const struct qp_cli_top_sample *sample, const uint32_t *numbers, size_t count)
{
    const struct quipu_stat *stat = &sample->stat;
    printf("rate=%.1f denied_rate=%.1f keys=%" PRIu64 " counters=%" PRIu64 " processes=%" PRIu64 " evicted=%" PRIu64
           " forgotten=%" PRIu64 " expired=%" PRIu64 "\n",
           sample->rate, sample->denied_rate, stat->counters_used, stat->counters, stat->processes_used, stat->evicted,
           stat->evicted_forgotten, stat->expired);
    printf("%-8s  %10s  %10s  %10s  %10s  %10s  %10s  KEY\n", "KIND", "RATE/s", "DENIED/s", "TOTAL", "DENIED", "LIMIT",
           "REMAINING");
    for (size_t i = 0; i < count; i++)
        print_full_row(sample, numbers[i]);
}

static json_t *key_json(const struct qp_cli_top_sample *sample, uint32_t number)
{
    const struct qp_cli_top_key *key = &sample->keys[number];
    size_t name_bytes;
    const void *name = qp_cli_key_set_get(&sample->names, number, &name_bytes);
    const struct quipu_item item = {.kind = key->kind,
                                    .algorithm = key->algorithm,
                                    .limit = key->limit,
                                    .remaining = key->remaining,
                                    .window_ms = key->window_ms};
    json_t *row = json_object();
    qp_cli_json_text(row, "key", name, name_bytes);
    json_object_set_new(row, "kind", json_string(qp_cli_kind_name(key->kind)));
    json_object_set_new(row, "rate", key->has_rate ? json_real(key->rate) : json_null());
    json_object_set_new(row, "denied_rate", json_real(key->denied_rate));
    qp_cli_json_count(row, &key->count);
    qp_cli_json_limit(row, &item);
    return row;
}

json_t *qp_cli_top_json(const struct qp_cli_top_sample *sample, const uint32_t *numbers, size_t count)
{
    const struct quipu_stat *stat = &sample->stat;
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(keys, key_json(sample, numbers[i]));
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "rate", sample->rate, "denied_rate",
                     sample->denied_rate, "counters_used", (json_int_t)stat->counters_used, "counters",
                     (json_int_t)stat->counters, "processes_used", (json_int_t)stat->processes_used, "evicted",
                     (json_int_t)stat->evicted, "evicted_forgotten", (json_int_t)stat->evicted_forgotten, "expired",
                     (json_int_t)stat->expired, "keys", keys);
}
