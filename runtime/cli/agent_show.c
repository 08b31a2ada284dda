/* SPDX-License-Identifier: MIT */
/* agent_show.c: the table of the agent's figures. */
#include "agent_show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum form { FORM_SMALL, FORM_NUMBER, FORM_AGE, FORM_BOUND };

#define FIGURE(form, field, meaning)                                                                                   \
    {                                                                                                                  \
        FORM_##form, #field, offsetof(struct quipu_agent, field), meaning                                              \
    }

static const struct figure {
    enum form form;
    const char *name;
    size_t offset;
    const char *meaning;
} figures[] = {
    FIGURE(SMALL, present, "1: an agent is at work; if none is, what follows is the last one's"),
    FIGURE(SMALL, joined, "1: it has taken in what the others had when it came"),
    FIGURE(SMALL, peers, "peers configured"),
    FIGURE(SMALL, peers_up, "of them, connected"),
    FIGURE(AGE, silent_ms, "ms since its last round"),
    FIGURE(NUMBER, rounds, "rounds since it began"),
    FIGURE(NUMBER, interval_ms, "ms from one round to the next"),
    FIGURE(BOUND, over_admission, "units of limits that others may have admitted and that are not counted here yet"),
    FIGURE(AGE, snapshot_age_ms, "ms since it wrote its snapshot file"),
    FIGURE(NUMBER, snapshot_failures, "snapshots that could not be written"),
    FIGURE(NUMBER, messages_in, "messages that came"),
    FIGURE(NUMBER, messages_out, "messages sent"),
    FIGURE(NUMBER, bytes_in, "bytes of the former"),
    FIGURE(NUMBER, bytes_out, "bytes of the latter"),
    FIGURE(NUMBER, would_block, "messages that found their connection full, or missing"),
    FIGURE(NUMBER, refused_connections, "connections with a key that is no peer's"),
    FIGURE(NUMBER, handshakes_failed, "connections that ended before it was known whose they are"),
    FIGURE(NUMBER, messages_bad, "messages that no agent sends"),
    FIGURE(NUMBER, out_of_descriptors, "tenths of a second in which a connection found no descriptor"),
    FIGURE(NUMBER, frames_bad, "frames damaged, or of another cluster or version"),
    FIGURE(NUMBER, conflicts, "frames in the name of another one's segment"),
};

/* By enum quipu_refused. */
static const struct cause {
    const char *name, *meaning;
} causes[] = {
    {NULL, NULL},
    {"skew", "items refused: too far ahead of this host's clock"},
    {"kind", "items refused: of another kind here, or with another window"},
    {"full", "items refused: no room"},
    {"old", "items refused: deleted since"},
    {"malformed", "items refused: no honest host says such a thing"},
    {"foreign", "items refused: another host's, from who may not relay"},
};
#define CAUSES (sizeof causes / sizeof *causes)

/* -1 and UINT64_MAX are all the same bits. */
static uint64_t figure_of(const struct quipu_agent *agent, const struct figure *figure)
{
    const char *at = (const char *)agent + figure->offset;
    uint64_t wide;
    uint32_t small;
    memcpy(&wide, at, sizeof wide);
    memcpy(&small, at, sizeof small);
    return figure->form == FORM_SMALL ? small : wide;
}

void qp_cli_agent_print(const struct quipu_agent *agent, int name_width)
{
    char name[64], number[24];
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct figure *figure = &figures[i];
        uint64_t value = figure_of(agent, figure);
        bool is_none = value == UINT64_MAX && (figure->form == FORM_AGE || figure->form == FORM_BOUND);
        snprintf(name, sizeof name, "agent_%s", figure->name);
        snprintf(number, sizeof number, "%" PRIu64, value);
        printf("%-*s  %20s  %s\n", name_width, name, is_none ? "-" : number, figure->meaning);
    }
    for (size_t i = 1; i < CAUSES; i++) {
        snprintf(name, sizeof name, "agent_refused_%s", causes[i].name);
        printf("%-*s  %20" PRIu64 "  %s\n", name_width, name, agent->refused[i], causes[i].meaning);
    }
}

json_t *qp_cli_json_unsigned(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *qp_cli_json_age(int64_t ms)
{
    return ms == -1 ? json_null() : json_integer(ms);
}

json_t *qp_cli_refused_json(const uint64_t refused[8])
{
    json_t *object = json_object();
    for (size_t i = 1; i < CAUSES; i++)
        json_object_set_new(object, causes[i].name, qp_cli_json_unsigned(refused[i]));
    return object;
}

void qp_cli_agent_json(json_t *object, const char *prefix, const struct quipu_agent *agent)
{
    char name[64];
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        uint64_t value = figure_of(agent, &figures[i]);
        bool is_none = value == UINT64_MAX && (figures[i].form == FORM_AGE || figures[i].form == FORM_BOUND);
        snprintf(name, sizeof name, "%s%s", prefix, figures[i].name);
        json_object_set_new(object, name, is_none ? json_null() : qp_cli_json_unsigned(value));
    }
    snprintf(name, sizeof name, "%srefused", prefix);
    json_object_set_new(object, name, qp_cli_refused_json(agent->refused));
}
