/* SPDX-License-Identifier: MIT */
/* log_test.c: what the agent says, however often it happens. stderr is a file here, and time is what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sync/quipud_log.h"

#define FLOOD 10000

static FILE *heard;
static int terminal;

/* From now on stderr is heard. */
static int begin(void **state)
{
    static uint64_t now_ms; /* goes forward from one test to the next: what an earlier one said is long ago */
    *state = &now_ms;
    now_ms += 3600 * 1000;
    qp_quipud_log_level(QP_QUIPUD_INFO);
    qp_quipud_log_time(now_ms);
    heard = tmpfile();
    fflush(stderr);
    terminal = dup(STDERR_FILENO);
    dup2(fileno(heard), STDERR_FILENO);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fflush(stderr);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    fclose(heard);
    return 0;
}

/* How many lines were said that have those words; all: "". */
static unsigned lines(const char *words)
{
    char line[1024];
    unsigned count = 0;
    fflush(stderr);
    rewind(heard);
    while (fgets(line, sizeof line, heard)) {
        count += strstr(line, words) != NULL;
        if (strncmp(line, "quipud: ", 8) != 0 || line[strlen(line) - 1] != '\n')
            fail_msg("this is no line of the agent's: %s", line);
    }
    fseek(heard, 0, SEEK_END);
    return count;
}

static void test_levels(void **state)
{
    (void)state;
    qp_quipud_say(QP_QUIPUD_DEBUG, "too small");
    qp_quipud_say(QP_QUIPUD_ERROR, "an error of %s", "somebody");
    assert_int_equal(1, lines(""));
    qp_quipud_log_level(QP_QUIPUD_DEBUG);
    qp_quipud_say(QP_QUIPUD_DEBUG, "small");
    assert_int_equal(2, lines(""));
    assert_int_equal(1, lines("an error of somebody"));
}

/* One sentence that comes all the time: once a minute, with how often it was left out. */
static void test_again(void **state)
{
    uint64_t now_ms = *(uint64_t *)*state;
    for (unsigned i = 0; i <= 60; i++) {
        qp_quipud_log_time(now_ms + i * 1000);
        for (unsigned j = 0; j < 10; j++)
            qp_quipud_say(QP_QUIPUD_WARNING, "a stranger knocks");
    }
    assert_int_equal(2, lines("a stranger knocks"));
    assert_int_equal(1, lines("a stranger knocks (and 599 times more since it was last said)"));
    assert_int_equal(2, lines(""));
}

/* Ten thousand different ones: the first of them, and then how many there were. */
static void test_flood(void **state)
{
    uint64_t now_ms = *(uint64_t *)*state;
    for (unsigned i = 0; i < FLOOD; i++)
        qp_quipud_say(QP_QUIPUD_WARNING, "stranger %u knocks", i);
    unsigned said = lines("knocks");
    char rest[64];
    assert_in_range(said, 10, 100);
    assert_int_equal(said, lines(""));
    snprintf(rest, sizeof rest, "%u more sentences were left out", FLOOD - said);
    qp_quipud_log_time(now_ms + 9999);
    assert_int_equal(0, lines(rest));
    qp_quipud_log_time(now_ms + 10000);
    assert_int_equal(1, lines(rest));
    qp_quipud_say(QP_QUIPUD_WARNING, "it goes on");
    assert_int_equal(1, lines("it goes on"));
}

/* Who asks for it hears again what was said already, and what there was no room for. */
static void test_anew(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FLOOD; i++)
        qp_quipud_say(QP_QUIPUD_WARNING, "stranger %u knocks", i);
    unsigned said = lines("knocks");
    qp_quipud_log_anew();
    qp_quipud_say(QP_QUIPUD_WARNING, "stranger %u knocks", 0);
    qp_quipud_say(QP_QUIPUD_WARNING, "stranger %u knocks", 0);
    assert_int_equal(2, lines("stranger 0 knocks"));
    assert_int_equal(0, lines("more since"));
    assert_int_equal(1, lines("more sentences were left out"));
    assert_int_equal(said + 2, lines(""));
}

/* A long one is cut, and whatever it quotes, it stays one line. */
static void test_long(void **state)
{
    char words[4 * QP_QUIPUD_SENTENCE_BYTES];
    (void)state;
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = 0;
    qp_quipud_say(QP_QUIPUD_ERROR, "%s", words);
    qp_quipud_say(QP_QUIPUD_ERROR, "%s", words);
    assert_int_equal(1, lines(""));
    qp_quipud_say(QP_QUIPUD_ERROR, "a name of %s", "two\nlines\033[2J");
    assert_int_equal(2, lines(""));
    assert_int_equal(1, lines("a name of two?lines?[2J"));
}

int main(void)
{
    unsetenv("JOURNAL_STREAM");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels, begin, end),
        cmocka_unit_test_setup_teardown(test_again, begin, end),
        cmocka_unit_test_setup_teardown(test_flood, begin, end),
        cmocka_unit_test_setup_teardown(test_anew, begin, end),
        cmocka_unit_test_setup_teardown(test_long, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
