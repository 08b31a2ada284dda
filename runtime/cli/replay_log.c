/* SPDX-License-Identifier: MIT */
/* replay_log.c: reading an access log. Of a line only what is used must be well-formed: the address ends at the first
 * blank, the user is the third word, the time is what first reads as one behind a bracket, and the request is what
 * stands between the first quotes behind it. */
#include "replay_log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include "quipu.h"

const char *const qp_cli_log_by_names[] = {"addr", "user", "path", NULL};

enum { PROGRESS_LINES = 1 << 20 };

struct text {
    const char *bytes;
    size_t count;
};

static size_t count_until(struct text text, char stop)
{
    const char *found = text.count ? memchr(text.bytes, stop, text.count) : NULL;
    return found ? (size_t)(found - text.bytes) : text.count;
}

static struct text text_after(struct text text, size_t skip)
{
    return skip < text.count ? (struct text){text.bytes + skip, text.count - skip} : (struct text){"", 0};
}

/* ---- the time ---------------------------------------------------------------------------------------------------- */

/* So many digits as a number from min to max; -1 when they are none. */
static int digits(const char *text, int count, int min, int max)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number < min || number > max ? -1 : number;
}

static int month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int month = 0; month < 12; month++) {
        if (!memcmp(text, names + 3 * month, 3))
            return month;
    }
    return -1;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month < 0 || year < 0 ? 0 : days[month] + (month == 1 && leap);
}

/* "17/May/2015:10:05:03 +0000"; in the form a dot is a digit, a letter or a sign. */
static bool read_time(const char *text, int64_t *out_ms)
{
    static const char form[] = "../.../....:..:..:.. .....";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] != '.' && text[i] != form[i])
            return false;
    }
    int year = digits(text + 7, 4, 1970, 9999), month = month_of(text + 3);
    int day = digits(text, 2, 1, days_in(year, month));
    int hour = digits(text + 12, 2, 0, 23), minute = digits(text + 15, 2, 0, 59), second = digits(text + 18, 2, 0, 60);
    int zone_hours = digits(text + 22, 2, 0, 23), zone_minutes = digits(text + 24, 2, 0, 59);
    if (day < 0 || hour < 0 || minute < 0 || second < 0 || zone_hours < 0 || zone_minutes < 0 ||
        (text[21] != '+' && text[21] != '-'))
        return false;
    struct tm local = {
        .tm_mday = day, .tm_mon = month, .tm_year = year - 1900, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    int64_t east_seconds = (zone_hours * 60 + zone_minutes) * 60;
    int64_t seconds = timegm(&local) - (text[21] == '+' ? east_seconds : -east_seconds);
    *out_ms = seconds * 1000;
    return seconds >= 0;
}

enum { TIME_BYTES = 26 };

/* Finds the time; rest is what follows it. */
static bool find_time(struct text line, int64_t *out_ms, struct text *rest)
{
    for (;;) {
        size_t bracket = count_until(line, '[');
        line = text_after(line, bracket + 1);
        if (line.count <= TIME_BYTES)
            return false;
        if (line.bytes[TIME_BYTES] == ']' && read_time(line.bytes, out_ms)) {
            *rest = text_after(line, TIME_BYTES + 1);
            return true;
        }
    }
}

/* ---- the keys ---------------------------------------------------------------------------------------------------- */

/* Up to the closing quote; a backslash takes the byte behind it along. */
static struct text quoted(struct text text)
{
    size_t i = 0;
    while (i < text.count && text.bytes[i] != '"')
        i += text.bytes[i] == '\\' && i + 1 < text.count ? 2 : 1;
    return (struct text){text.bytes, i};
}

/* The request's second word up to its question mark; a request of one word, such as "-", is that word. */
static struct text path_of(struct text behind_time)
{
    struct text path = quoted(text_after(behind_time, count_until(behind_time, '"') + 1));
    size_t method_bytes = count_until(path, ' ');
    if (method_bytes < path.count)
        path = text_after(path, method_bytes + 1);
    path.count = count_until(path, ' ');
    path.count = count_until(path, '?');
    return path;
}

static struct text word_of(struct text line, int number)
{
    while (number-- > 0)
        line = text_after(line, count_until(line, ' ') + 1);
    line.count = count_until(line, ' ');
    return line;
}

/* The word that requests are counted by, and the time. False: this is no request. */
static bool read_line(struct text line, enum qp_cli_log_by by, struct text *word, int64_t *time_ms)
{
    struct text rest;
    if (!find_time(line, time_ms, &rest) || word_of(line, 0).count == 0)
        return false;
    *word = by == QP_CLI_LOG_BY_ADDR ? word_of(line, 0) : by == QP_CLI_LOG_BY_USER ? word_of(line, 2) : path_of(rest);
    return word->count > 0 || by == QP_CLI_LOG_BY_PATH;
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

static bool add_request(struct qp_cli_log *log, const char *prefix, struct text word, int64_t time_ms)
{
    unsigned char key[QUIPU_KEY_BYTES_MAX];
    size_t prefix_bytes = strlen(prefix), room = sizeof key - prefix_bytes - 1;
    size_t word_bytes = word.count < room ? word.count : room;
    memcpy(key, prefix, prefix_bytes);
    key[prefix_bytes++] = ':';
    memcpy(key + prefix_bytes, word.bytes, word_bytes);
    if (log->request_count == log->request_room) {
        size_t grown = log->request_room ? log->request_room * 2 : 4096;
        struct qp_cli_request *requests = reallocarray(log->requests, grown, sizeof *requests);
        if (!requests)
            return false;
        log->requests = requests;
        log->request_room = grown;
    }
    uint32_t number = qp_cli_key_set_add(&log->keys, key, prefix_bytes + word_bytes);
    int64_t before_ms = log->request_count ? log->requests[log->request_count - 1].now_ms : 0;
    log->requests[log->request_count++] =
        (struct qp_cli_request){.now_ms = time_ms > before_ms ? time_ms : before_ms, .key = number};
    return number != QP_CLI_KEY_NONE;
}

int qp_cli_log_read(FILE *file, enum qp_cli_log_by by, int show_progress, struct qp_cli_log *out)
{
    char *buffer = NULL;
    size_t buffer_bytes = 0;
    ssize_t bytes;
    int error = 0;
    *out = (struct qp_cli_log){0};
    qp_cli_key_set_init(&out->keys);
    while (errno = 0, !error && (bytes = getline(&buffer, &buffer_bytes, file)) >= 0) {
        struct text line = {buffer, (size_t)bytes}, word;
        int64_t time_ms;
        out->line_count++;
        while (line.count && (line.bytes[line.count - 1] == '\n' || line.bytes[line.count - 1] == '\r'))
            line.count--;
        if (read_line(line, by, &word, &time_ms))
            error = add_request(out, qp_cli_log_by_names[by], word, time_ms) ? 0 : ENOMEM;
        else if (line.count && out->unreadable_count++ == 0)
            out->unreadable_line = out->line_count;
        if (show_progress && out->line_count % PROGRESS_LINES == 0)
            fprintf(stderr, "\r%zu lines read", out->line_count);
    }
    if (!error && !feof(file))
        error = errno ? errno : EIO;
    if (show_progress && out->line_count >= PROGRESS_LINES)
        fputs("\r\033[K", stderr);
    free(buffer);
    return error;
}

void qp_cli_log_close(struct qp_cli_log *log)
{
    qp_cli_key_set_fini(&log->keys);
    free(log->requests);
}
