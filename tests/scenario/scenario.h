/* SPDX-License-Identifier: MIT */
/* scenario.h: how scenarios are written. Each is a function that runs in a process of its own and fails by ending it; whatever it
 * forks goes with it. A program is a list of them. No test framework: most of what happens is in children. */
#ifndef QP_TESTS_SCENARIO_H
#define QP_TESTS_SCENARIO_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/block.h"
#include "tests/support.h"

struct scenario {
    const char *sentence;
    void (*run)(void);
};

/* Runs all of them, or those whose sentence contains the program's argument. The program's exit status: 1 if one failed, 77 if
 * all were skipped. */
int scenario_main(const struct scenario *scenarios, size_t count, int argc, char **argv);

/* Ends the scenario as one that cannot be played here. */
_Noreturn void scenario_skip(const char *why);

/* Ends this process, and with it the scenario, with a sentence. */
_Noreturn void scenario_fail(const char *file, int line, const char *what);
/* The same for a call that returned another code than it should. */
_Noreturn void scenario_fail_code(const char *file, int line, const char *call, int expected, int code);

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            scenario_fail(__FILE__, __LINE__, #condition);                                                             \
    } while (0)

/* A call of the library returns this code. */
#define EXPECT_CODE(expected, call)                                                                                    \
    do {                                                                                                               \
        int expected_ = (expected), code_ = (call);                                                                    \
        if (code_ != expected_)                                                                                        \
            scenario_fail_code(__FILE__, __LINE__, #call, expected_, code_);                                           \
    } while (0)

#define KEY(text) (text), sizeof(text) - 1

/* ---- processes ------------------------------------------------------------------------------------------------------ */

typedef void scenario_body(void *arg);

/* A child that runs body and exits with 0. It dies with its parent. */
pid_t scenario_fork(scenario_body *body, void *arg);
/* The same by a bare clone(2), which runs no fork handlers. */
pid_t scenario_clone(int clone_flags, scenario_body *body, void *arg);

/* The child must end by itself, and well. */
void scenario_join(pid_t child);
/* Kills a child, which must have been alive until then. */
void scenario_kill(pid_t child);
/* Waits until a child has stopped itself. */
void scenario_await_stop(pid_t child);

/* Zeroed memory shared with children. */
void *scenario_shared(size_t bytes);
/* Waits until the word is at least that; a minute without it is a failure. */
void scenario_await(const uint64_t *word, uint64_t at_least);
/* Adds one to a word that somebody awaits. */
void scenario_tell(uint64_t *word);

/* ---- segments ------------------------------------------------------------------------------------------------------- */

/* A segment whose name is gone as soon as it is open: nothing is left of it however the scenario ends. */
struct quipu *scenario_segment(uint32_t counters, uint32_t threads);
/* One more handle on the same segment, in any process that inherited q's descriptor. */
struct quipu *scenario_open_again(const struct quipu *q);
/* A folder for named files, removed with all that is in it when this program ends, however it does. */
const char *scenario_folder(void);

struct quipu_stat scenario_stat(struct quipu *q);
int64_t scenario_total(struct quipu *q, const char *key);
/* Upkeep until nothing is left to do; then everything must be sound and quiet. */
void scenario_settle(struct quipu *q);

#endif
