/* SPDX-License-Identifier: MIT */
/* cmd_top.c: the verb top: the keys that are used, or denied, most. The segment is opened read-only, so looking takes
 * no slot in it and no writer waits or helps. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "json.h"
#include "session.h"
#include "top_sample.h"
#include "top_screen.h"
#include "top_show.h"
#include "verbs.h"

enum { INTERVAL_LIVE_MS = 1000, INTERVAL_ONCE_MS = 200, ROWS_DEFAULT = 20 };

struct top {
    enum qp_cli_top_by by;
    bool once;
    int64_t interval_ms; /* 0: not said */
    int64_t rows;        /* with once; 0: not said */
};

/* ---- its words --------------------------------------------------------------------------------------------------- */

enum { KEY_BY = 0x200, KEY_ONCE, KEY_INTERVAL, KEY_ROWS };

static const struct argp_option top_options[] = {
    {"by", KEY_BY, "WORD", 0, "the first are those with the highest rate, denied or count (rate)", 0},
    {"once", KEY_ONCE, NULL, 0, "look twice, print, and end: for scripts", 0},
    {"interval", KEY_INTERVAL, "MS", 0, "between two looks, 10 to 60000 (1000, with --once 200)", 0},
    {"rows", KEY_ROWS, "N", 0, "with --once, print so many keys (20)", 0},
    {0},
};

static error_t parse_top(int key, char *arg, struct argp_state *state, void *input)
{
    struct top *top = input;
    switch (key) {
    case KEY_BY:
        top->by = (enum qp_cli_top_by)qp_cli_option_word(state, "by", arg, qp_cli_top_by_names);
        return 0;
    case KEY_ONCE:
        top->once = true;
        return 0;
    case KEY_INTERVAL:
        top->interval_ms = qp_cli_option_number(state, "interval", arg, 10, 60000);
        return 0;
    case KEY_ROWS:
        top->rows = qp_cli_option_number(state, "rows", arg, 1, 1 << 26);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- once -------------------------------------------------------------------------------------------------------- */

static int print_sample(const struct qp_cli *cli, const struct top *top, const struct qp_cli_top_sample *sample)
{
    size_t rows = top->rows ? (size_t)top->rows : ROWS_DEFAULT;
    if (rows > sample->names.count)
        rows = sample->names.count;
    uint32_t *numbers = calloc(rows + 1, sizeof *numbers);
    if (!numbers)
        return qp_cli_say(cli, QP_CLI_CANNOT, "there is not enough memory for the answer");
    size_t count = qp_cli_top_first(sample, top->by, numbers, rows);
    int status = QP_CLI_DONE;
    if (cli->json)
        status = qp_cli_json_answer(qp_cli_top_json(sample, numbers, count));
    else
        qp_cli_top_print(sample, numbers, count);
    free(numbers);
    return status;
}

static int look_twice(const struct qp_cli *cli, const struct top *top, struct quipu *q)
{
    struct qp_cli_top_sample before, now;
    int64_t interval_ms = top->interval_ms ? top->interval_ms : INTERVAL_ONCE_MS;
    struct timespec interval = {.tv_sec = interval_ms / 1000, .tv_nsec = interval_ms % 1000 * 1000000};
    int error = qp_cli_top_look(q, NULL, &before);
    int status = QP_CLI_DONE;
    if (!error) {
        while (nanosleep(&interval, &interval) && errno == EINTR)
            continue;
        error = qp_cli_top_look(q, &before, &now);
        if (!error)
            status = print_sample(cli, top, &now);
        qp_cli_top_free(&now);
    }
    qp_cli_top_free(&before);
    return error ? qp_cli_fail_segment(cli, error) : status;
}

/* ---- live -------------------------------------------------------------------------------------------------------- */

static void show(const struct qp_cli_top_sample *sample, struct qp_cli_top_view *view)
{
    char *frame = NULL;
    size_t frame_bytes;
    struct qp_cli_screen_size size;
    qp_cli_screen_measure(&size);
    view->rows = size.rows;
    view->columns = size.columns;
    FILE *out = open_memstream(&frame, &frame_bytes);
    if (!out)
        return;
    qp_cli_top_frame(out, view, sample);
    if (fclose(out) == 0)
        qp_cli_screen_show(frame, frame_bytes, view->rows);
    free(frame);
}

/* False: it means that we leave. */
static bool obey(char key, struct qp_cli_top_view *view)
{
    static const char keys[] = {'r', 'd', 'c'};
    const char *found = memchr(keys, key, sizeof keys);
    if (found)
        view->by = (enum qp_cli_top_by)(found - keys);
    return key != 'q' && key != 'Q';
}

/* Shows a sample until the next one is due. False: we leave. */
static bool show_until(const struct qp_cli_top_sample *sample, struct qp_cli_top_view *view, int64_t due_us)
{
    for (;;) {
        char key;
        show(sample, view);
        int64_t left_us = due_us - qp_cli_clock_us();
        switch (qp_cli_screen_wait(left_us > 0 ? left_us : 0, &key)) {
        case QP_CLI_SCREEN_TIME:
            return true;
        case QP_CLI_SCREEN_END:
            return false;
        case QP_CLI_SCREEN_KEY:
            if (!obey(key, view))
                return false;
            break;
        case QP_CLI_SCREEN_REDRAW:
            break;
        }
    }
}

/* When the next look is due. A large segment takes a while to walk: then we do so a fifth of the time at most. */
static int64_t next_look_us(const struct top *top, int64_t began_us)
{
    int64_t interval_us = (top->interval_ms ? top->interval_ms : INTERVAL_LIVE_MS) * 1000;
    int64_t walk_us = qp_cli_clock_us() - began_us;
    return began_us + (interval_us > 5 * walk_us ? interval_us : 5 * walk_us);
}

/* 0 or the code of what went wrong. */
static int look_on(const struct top *top, struct quipu *q, struct qp_cli_top_view *view)
{
    struct qp_cli_top_sample before, now;
    int error = qp_cli_top_look(q, NULL, &before);
    while (!error && show_until(&before, view, next_look_us(top, before.at_us))) {
        error = qp_cli_top_look(q, &before, &now);
        qp_cli_top_free(&before);
        before = now;
    }
    qp_cli_top_free(&before);
    return error;
}

static int show_live(const struct qp_cli *cli, const struct top *top, struct quipu *q)
{
    setlocale(LC_CTYPE, "");
    const char *no_colour = getenv("NO_COLOR");
    struct qp_cli_top_view view = {.segment = cli->segment,
                                   .by = top->by,
                                   .colours = !no_colour || !*no_colour,
                                   .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8")};
    if (qp_cli_screen_open())
        return qp_cli_misuse("top needs a terminal; --once prints without one");
    int error = look_on(top, q, &view);
    int signal_number = qp_cli_screen_close();
    if (signal_number)
        raise(signal_number);
    return error ? qp_cli_fail_segment(cli, error) : QP_CLI_DONE;
}

int qp_cli_top(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    struct top top = {.by = QP_CLI_TOP_BY_RATE};
    const struct qp_cli_grammar grammar = {.options = top_options, .option = parse_top, .input = &top};
    qp_cli_parse(cli, verb, &grammar, argc, argv);
    if (cli->json && !top.once)
        return qp_cli_misuse("--json is for top --once");
    if (top.rows && !top.once)
        return qp_cli_misuse("--rows is for top --once; a terminal has as many as it has");
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_LOOK, &q);
    if (status)
        return status;
    status = top.once ? look_twice(cli, &top, q) : show_live(cli, &top, q);
    quipu_close(q);
    return status;
}
