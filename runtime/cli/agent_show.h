/* SPDX-License-Identifier: MIT */
/* agent_show.h: the agent's figures, for people and as JSON: of itself, as `stat` and `peers` print them. */
#ifndef QP_CLI_AGENT_SHOW_H
#define QP_CLI_AGENT_SHOW_H

#include "json.h"

/* Rows of `stat`: the name, the figure, what it means. */
void qp_cli_agent_print(const struct quipu_agent *agent, int name_width);

/* Sets each figure, its name after that prefix, and refused: items by cause. Null: never, or no bound. */
void qp_cli_agent_json(json_t *object, const char *prefix, const struct quipu_agent *agent);

/* The items refused, by cause. */
json_t *qp_cli_refused_json(const uint64_t refused[8]);

/* As far as JSON's numbers go here. */
json_t *qp_cli_json_unsigned(uint64_t number);
/* Null where it is -1. */
json_t *qp_cli_json_age(int64_t ms);

#endif
