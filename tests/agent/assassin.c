/* SPDX-License-Identifier: MIT */
/* assassin.c: kills a process in the middle of something.
 *
 *   assassin PID PROGRAM SYMBOLS FUNCTION STEPS [FILE...]
 *
 * The first of its threads that comes to that function is let go on for so many instructions from there, one by one,
 * and then the process gets SIGKILL. Prints in which function that was, and how many us of a core the process had
 * taken. SYMBOLS is what `nm -n PROGRAM` prints. Each FILE is where a process shows how often it has added (worker.c):
 * those add some thousand times more, to new keys too, while that thread stands there, and again once it is dead.
 * Exit status: 0; 1: nobody came there within 30 s, or somebody did not go on adding; 77: this machine does not let us
 * trace, or is of a kind whose breakpoints are not known here. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILED 1
#define SKIPPED 77
#define PATIENCE_S 30
#define NAME_BYTES 128
#define ADDS_MORE 2048
#define LOOK_NS 1000000

#if defined(__x86_64__)

#define TRAP_BYTE 0xccL

static pid_t prey;
static char **adding; /* a NULL is the last */
static const char *volatile missing = "assassin: nobody came there\n"; /* what is waited for, when it does not come */

static void too_long(int number)
{
    (void)number;
    ssize_t done = write(STDERR_FILENO, missing, strlen(missing));
    kill(prey, SIGKILL); /* it has our breakpoint */
    _exit(done < 0 ? FAILED + 1 : FAILED);
}

/* Address of a function; or, without a name, the name of that at an address. */
static bool look_up(const char *symbols, char name[NAME_BYTES], uint64_t *address)
{
    FILE *file = fopen(symbols, "r");
    char line[1024], word[NAME_BYTES], kind;
    uint64_t value;
    bool wants_name = !*name, found = false;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNx64 " %c %127s", &value, &kind, word) != 3 || !strchr("tT", kind))
            continue;
        if (wants_name && value <= *address) {
            strcpy(name, word);
            found = true;
        } else if (!wants_name && strcmp(word, name) == 0) {
            *address = value;
            found = true;
        }
    }
    if (file)
        fclose(file);
    return found;
}

/* Where the program lies in that process, and up to where. */
static bool find_program(const char *program, uint64_t *base, uint64_t *end)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)prey);
    FILE *file = fopen(path, "r");
    *base = *end = 0;
    while (file && fgets(line, sizeof line, file)) {
        uint64_t from, to;
        if (!strstr(line, program) || sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) != 2)
            continue;
        *base = *base ? *base : from;
        *end = to;
    }
    if (file)
        fclose(file);
    return *base != 0;
}

static bool seize_all(void)
{
    char path[64];
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)prey);
    DIR *folder = opendir(path);
    bool is_done = folder;
    while (is_done && (entry = readdir(folder))) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread > 0)
            is_done = ptrace(PTRACE_SEIZE, thread, NULL, (void *)PTRACE_O_TRACECLONE) == 0;
    }
    if (folder)
        closedir(folder);
    return is_done;
}

/* Only who is stopped can be written to. */
static bool stop_first(void)
{
    int status;
    return ptrace(PTRACE_INTERRUPT, prey, NULL, NULL) == 0 && waitpid(prey, &status, __WALL) == prey && WIFSTOPPED(status);
}

/* Everybody goes on until somebody has come to the breakpoint. Who; 0: the process has ended by itself. */
static pid_t wait_for_one(uint64_t trap)
{
    for (;;) {
        struct user_regs_struct registers;
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0)
            return 0;
        if (!WIFSTOPPED(status))
            continue;
        int signal = WSTOPSIG(status);
        bool is_event = status >> 16;
        if (signal == SIGTRAP && !is_event && ptrace(PTRACE_GETREGS, thread, NULL, &registers) == 0 &&
            registers.rip == trap + 1) {
            registers.rip = trap;
            ptrace(PTRACE_SETREGS, thread, NULL, &registers);
            return thread;
        }
        ptrace(PTRACE_CONT, thread, NULL, (void *)(long)(is_event ? 0 : signal));
    }
}

/* So many instructions of that thread. Where it is then. */
static uint64_t step(pid_t thread, long steps)
{
    struct user_regs_struct registers = {0};
    int status;
    for (long i = 0; i < steps; i++)
        if (ptrace(PTRACE_SINGLESTEP, thread, NULL, NULL) != 0 || waitpid(thread, &status, __WALL) != thread ||
            !WIFSTOPPED(status))
            break;
    ptrace(PTRACE_GETREGS, thread, NULL, &registers);
    return registers.rip;
}

static long taken_us(void)
{
    struct timespec taken = {0};
    clockid_t clock;
    if (clock_getcpuclockid(prey, &clock) == 0)
        clock_gettime(clock, &taken);
    return taken.tv_sec * 1000000 + taken.tv_nsec / 1000;
}

static uint64_t adds_of(const char *path)
{
    uint64_t adds = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || pread(file, &adds, sizeof adds, 0) != sizeof adds)
        adds = 0;
    if (file >= 0)
        close(file);
    return adds;
}

/* Until each of them has added so much more; who does not is waited for until too_long. */
static void see_them_add(const char *unless)
{
    missing = unless;
    for (char **path = adding; *path; path++)
        for (uint64_t enough = adds_of(*path) + ADDS_MORE; adds_of(*path) < enough;)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

static int kill_in(const char *program, const char *symbols, char *function, long steps)
{
    uint64_t base, end, address = 0;
    char name[NAME_BYTES] = "";
    if (!look_up(symbols, function, &address) || !find_program(program, &base, &end)) {
        fprintf(stderr, "assassin: there is no %s in %s of %d\n", function, program, (int)prey);
        return FAILED;
    }
    if (!seize_all() || !stop_first())
        return SKIPPED;
    uint64_t trap = base + address;
    long code = ptrace(PTRACE_PEEKTEXT, prey, (void *)trap, NULL);
    if (ptrace(PTRACE_POKETEXT, prey, (void *)trap, (void *)((code & ~0xffL) | TRAP_BYTE)) != 0)
        return SKIPPED;
    ptrace(PTRACE_CONT, prey, NULL, NULL);
    pid_t thread = wait_for_one(trap);
    if (!thread || ptrace(PTRACE_POKETEXT, thread, (void *)trap, (void *)code) != 0)
        return FAILED;
    uint64_t at = step(thread, steps);
    long us = taken_us();
    see_them_add("assassin: somebody waits for one who stands still\n");
    kill(prey, SIGKILL);
    see_them_add("assassin: somebody waits for the dead\n");
    uint64_t inside = at - base;
    if (at < base || at >= end || !look_up(symbols, name, &inside))
        strcpy(name, "a-library");
    printf("%s %ld\n", name, us);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return FAILED;
    adding = argv + 6;
    prey = (pid_t)atoi(argv[1]);
    signal(SIGALRM, too_long);
    alarm(PATIENCE_S);
    return kill_in(argv[2], argv[3], argv[4], atol(argv[5]));
}

#else

int main(void)
{
    return SKIPPED;
}

#endif
