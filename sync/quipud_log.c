/* SPDX-License-Identifier: MIT */
/* quipud_log.c: sentences on stderr. What a stranger on the network can cause is said as often as anything else, and
 * no more: each sentence has a minute, and all of them together have so many lines in ten seconds. */
#include "quipud_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGAIN_MS 60000 /* the same sentence */
#define SPELL_MS 10000
#define SPELL_LINES 50
#define REMEMBERED 64

struct said {
    char sentence[QP_QUIPUD_SENTENCE_BYTES];
    uint64_t said_ms, left_out;
};

static struct {
    enum qp_quipud_level level;
    uint64_t now_ms;
    uint64_t spell_ms; /* when the present ten seconds began */
    uint32_t spell_lines;
    uint64_t spell_left_out;
    uint32_t said_count;
    struct said said[REMEMBERED];
} log_state = {.level = QP_QUIPUD_INFO};

void qp_quipud_log_level(enum qp_quipud_level level)
{
    log_state.level = level;
}

/* The journal takes the level from the line's beginning; a terminal or a file has no use for it. */
static bool goes_to_the_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat stat;
    return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 && !fstat(fileno(stderr), &stat) &&
           stat.st_dev == device && stat.st_ino == inode;
}

static void put(enum qp_quipud_level level, const char *sentence, const char *more)
{
    static const char *const priority[] = {"<3>", "<4>", "<6>", "<7>"}; /* syslog's */
    fprintf(stderr, "%squipud: %s%s\n", goes_to_the_journal() ? priority[level] : "", sentence, more);
}

static void close_spell(void)
{
    char sentence[80];
    snprintf(sentence, sizeof sentence, "%" PRIu64 " more sentences were left out, for there were too many",
             log_state.spell_left_out);
    if (log_state.spell_left_out)
        put(QP_QUIPUD_WARNING, sentence, "");
    log_state.spell_left_out = 0;
    log_state.spell_lines = 0;
    log_state.spell_ms = log_state.now_ms;
}

void qp_quipud_log_time(uint64_t now_ms)
{
    log_state.now_ms = now_ms;
    if (now_ms - log_state.spell_ms >= SPELL_MS)
        close_spell();
}

void qp_quipud_log_anew(void)
{
    close_spell();
    log_state.said_count = 0;
}

/* The place of a sentence: its own, or the one of what was said longest ago. */
static struct said *place_of(const char *sentence)
{
    struct said *oldest = &log_state.said[0];
    for (uint32_t i = 0; i < log_state.said_count; i++) {
        struct said *said = &log_state.said[i];
        if (strcmp(said->sentence, sentence) == 0)
            return said;
        if (said->said_ms < oldest->said_ms)
            oldest = said;
    }
    if (log_state.said_count < REMEMBERED)
        oldest = &log_state.said[log_state.said_count++];
    *oldest = (struct said){0};
    return oldest;
}

static bool has_room(void)
{
    if (log_state.spell_lines == SPELL_LINES) {
        log_state.spell_left_out++;
        return false;
    }
    log_state.spell_lines++;
    return true;
}

void qp_quipud_say(enum qp_quipud_level level, const char *format, ...)
{
    char sentence[QP_QUIPUD_SENTENCE_BYTES], more[64] = "";
    va_list values;
    if (level > log_state.level)
        return;
    va_start(values, format);
    vsnprintf(sentence, sizeof sentence, format, values);
    va_end(values);
    /* A line is a sentence, whatever is quoted in it. */
    for (char *at = sentence; *at; at++)
        *at = (unsigned char)*at < ' ' || *at == 127 ? '?' : *at;
    struct said *said = place_of(sentence);
    bool is_again = said->sentence[0] != 0;
    if (is_again && log_state.now_ms - said->said_ms < AGAIN_MS) {
        said->left_out++;
        return;
    }
    if (!has_room())
        return;
    if (said->left_out)
        snprintf(more, sizeof more, " (and %" PRIu64 " times more since it was last said)", said->left_out);
    snprintf(said->sentence, sizeof said->sentence, "%s", sentence);
    said->said_ms = log_state.now_ms;
    said->left_out = 0;
    put(level, sentence, more);
}
