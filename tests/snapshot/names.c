/* SPDX-License-Identifier: MIT */
/* names.c: creation and removal, and the completeness of the table of operations. */
#include "names.h"

#include <errno.h>

/* ---- creation and removal ---------------------------------------------------------------------------------------- */

static int act_create(struct stage *stage, const struct action *action, int64_t *ended)
{
    struct quipu_create_options options = {
        .struct_bytes = sizeof options, .counters = 8, .threads = 4, .strategy_bytes = 4096};
    (void)action;
    (void)ended;
    return quipu_create(stage->path, &options);
}

static int act_destroy(struct stage *stage, const struct action *action, int64_t *ended)
{
    (void)action;
    (void)ended;
    return quipu_destroy(stage->path);
}

struct name_scene {
    const char *call;
    const char *what;
    struct action action;
    bool exists; /* the segment, beforehand */
    int result;
    const char *(*look)(struct stage *stage, int *progress); /* NULL: fine; else what is wrong */
};

static const char *open_and_check(const struct stage *stage)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .read_only = 1};
    struct quipu *q;
    static char text[256];
    int error = quipu_open(stage->path, &options, &q);
    if (error) {
        snprintf(text, sizeof text, "the name is there, and opening it says: %s", quipu_error(error));
        return text;
    }
    error = quipu_check_quiet(q, text, sizeof text);
    quipu_close(q);
    return error ? text : NULL;
}

/* No name; then a name behind which a whole segment stands. */
static const char *look_create(struct stage *stage, int *progress)
{
    if (access(stage->path, F_OK))
        return *progress ? "the name went away again" : NULL;
    *progress = 1;
    return open_and_check(stage);
}

/* The one that was there stays as it is. */
static const char *look_create_again(struct stage *stage, int *progress)
{
    *progress = 1;
    if (access(stage->path, F_OK))
        return "the other segment's name is gone";
    return stage_entry(stage, "chain3") ? open_and_check(stage) : "the other segment lost a key";
}

/* A segment; then one that says "destroyed" and still has its name: nobody can open it, and another quipu_destroy
 * ends it (that is the one legal state in between); then no name. */
static const char *look_destroy(struct stage *stage, int *progress)
{
    bool named = access(stage->path, F_OK) == 0;
    bool destroyed = stage->view.header->flags & QP_FLAG_DESTROYED;
    int now = !named ? 2 : destroyed ? 1 : 0;
    struct quipu *q = NULL;
    if (now < *progress)
        return "it went back";
    *progress = now;
    if (!named && !destroyed)
        return "the name is gone, and nobody was told";
    if (now == 0)
        return open_and_check(stage);
    if (now == 1 && quipu_open(stage->path, NULL, &q) != -ESTALE)
        return "a destroyed segment can be opened";
    return NULL;
}

static const struct name_scene name_scenes[] = {
    {"quipu_create", "a name that is free", {act_create, 0, 0, 0}, false, 0, look_create},
    {"quipu_create", "a name that is taken", {act_create, 0, 0, 0}, true, -EEXIST, look_create_again},
    {"quipu_destroy", "an open segment", {act_destroy, 0, 0, 0}, true, 0, look_destroy},
};
#define NAME_SCENES (sizeof name_scenes / sizeof name_scenes[0])

static void begin(struct stage *stage, struct stepped *child, const struct name_scene *scene)
{
    stage_begin(stage, true);
    stage->q = stage_open(stage);
    preset_chain(stage);
    quipu_close(stage->q);
    stage->q = NULL;
    if (!scene->exists)
        unlink(stage->path);
    step_begin(child, stage, &(struct part){.action = &scene->action, .cast = CAST_STRANGER});
}

static void run_scene(const struct name_scene *scene, struct tally *total)
{
    struct stage stage;
    struct stepped child;
    char place[512] = "at its end";
    const char *wrong = NULL;
    int progress = 0, before = 0;
    begin(&stage, &child, scene);
    uint64_t states = 0;
    while (!wrong && step_once(&child)) {
        wrong = scene->look(&stage, &progress);
        states += progress != before;
        before = progress;
    }
    if (wrong)
        step_place(&child, place, sizeof place);
    bool lives = step_finish(&child);
    if (!wrong && (!lives || stage_page->result != scene->result || !progress))
        wrong = "the call did not do what it is for";
    if (wrong) {
        printf("UNSOUND  %s: %s: after instruction %llu, %s: %s\n", scene->call, scene->what,
               (unsigned long long)child.steps, place, wrong);
        total->unsound++;
    }
    printf("%-22s %-34s %8llu instructions %6llu states  %s\n", scene->call, scene->what,
           (unsigned long long)child.steps, (unsigned long long)states, wrong ? "UNSOUND" : "sound");
    total->steps += child.steps;
    total->states += states;
    if (lives)
        step_kill(&child);
    stage_end(&stage);
}

/* Killed between its two steps: the next one to destroy it gets to the end. */
static bool destroy_is_finished_by_another(const struct name_scene *scene)
{
    struct stage stage;
    struct stepped child;
    int progress = 0;
    begin(&stage, &child, scene);
    while (progress != 1 && step_once(&child))
        scene->look(&stage, &progress);
    step_kill(&child);
    int error = quipu_destroy(stage.path);
    bool gone = access(stage.path, F_OK) != 0;
    stage_end(&stage);
    return progress == 1 && error == 0 && gone;
}

void names_run(struct tally *total)
{
    for (unsigned i = 0; i < NAME_SCENES; i++)
        run_scene(&name_scenes[i], total);
    if (destroy_is_finished_by_another(&name_scenes[NAME_SCENES - 1]))
        return;
    printf("UNSOUND  quipu_destroy: killed half-way, and not finished by the next one\n");
    total->unsound++;
}

/* ---- all names --------------------------------------------------------------------------------------------------- */

/* What changes nothing that another process could see. */
static const char *const reading[] = {
    "quipu_agent",        "quipu_check",         "quipu_check_quiet", "quipu_counter_get",
    "quipu_counter_open", "quipu_counter_close", "quipu_each",        "quipu_error",
    "quipu_get",          "quipu_get_at",        "quipu_peers",       "quipu_shares",
    "quipu_stat",         "quipu_strategy_each", "quipu_version",
};

static bool has_row(const char *name)
{
    const struct operation *operation;
    for (unsigned i = 0; (operation = operation_at(i)); i++)
        if (!strcmp(operation->call, name))
            return true;
    for (unsigned i = 0; i < NAME_SCENES; i++)
        if (!strcmp(name_scenes[i].call, name))
            return true;
    return false;
}

static bool only_reads(const char *name)
{
    for (unsigned i = 0; i < sizeof reading / sizeof reading[0]; i++)
        if (!strcmp(reading[i], name))
            return true;
    return false;
}

bool names_complete(const char *library, const char *nm)
{
    char command[1024], line[512];
    unsigned mutating = 0, missing = 0;
    snprintf(command, sizeof command, "'%s' -D --defined-only '%s'", nm, library);
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe)) {
        char *name = strstr(line, " T quipu_");
        if (!name)
            continue;
        name += 3;
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] = 0;
        if (only_reads(name))
            continue;
        mutating++;
        if (has_row(name))
            continue;
        printf("%s: a mutating call that no row steps through\n", name);
        missing++;
    }
    bool listed = pipe && pclose(pipe) == 0 && mutating;
    if (!listed)
        printf("%s: its symbols could not be listed\n", library);
    printf("%u mutating calls in the library, %u without a row\n", mutating, missing);
    return listed && missing == 0;
}
