/* SPDX-License-Identifier: MIT */
/* machine.c: the facts of the machine without which a figure says nothing, and where its programs are. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void look_at_cpu(struct bench_machine *machine)
{
    char line[4096];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(machine->cpu, sizeof(machine->cpu), "unknown CPU");
    while (file && fgets(line, sizeof(line), file)) {
        char *value = strstr(line, ": ");
        if (!value)
            continue;
        value[strcspn(value, "\n")] = '\0';
        if (strncmp(line, "model name", 10) == 0)
            snprintf(machine->cpu, sizeof(machine->cpu), "%s", value + 2);
        if (strncmp(line, "flags", 5) == 0 && strstr(value, " hypervisor"))
            machine->is_virtual = 1;
    }
    if (file)
        fclose(file);
}

/* The folder that this program was started from, then as the shell looks. */
int bench_program_find(const char *program, char *out, size_t out_bytes)
{
    char folder[512];
    ssize_t bytes = readlink("/proc/self/exe", folder, sizeof(folder));
    const char *at = getenv("PATH");
    while (bytes > 0 && (size_t)bytes < sizeof(folder) && folder[bytes - 1] != '/')
        bytes--;
    if (bytes > 0 && snprintf(out, out_bytes, "%.*s%s", (int)bytes, folder, program) < (int)out_bytes &&
        access(out, X_OK) == 0)
        return 0;
    while (at && *at) {
        size_t part = strcspn(at, ":");
        if (snprintf(out, out_bytes, "%.*s/%s", (int)part, at, program) < (int)out_bytes && access(out, X_OK) == 0)
            return 0;
        at += part + (at[part] == ':');
    }
    return -1;
}

void bench_machine_look(struct bench_machine *out)
{
    struct utsname name;
    memset(out, 0, sizeof(*out));
    look_at_cpu(out);
    out->cpus = bench_cpu_count();
    if (uname(&name) == 0)
        snprintf(out->kernel, sizeof(out->kernel), "%.60s %.60s", name.sysname, name.release);
    snprintf(out->compiler, sizeof(out->compiler), "%s", COMPILER);
    if (getloadavg(&out->load, 1) != 1)
        out->load = -1;
}
