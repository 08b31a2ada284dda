/* SPDX-License-Identifier: MIT */
/* verbs.h: the verbs, as the table in main.c calls them. Each returns an exit status. */
#ifndef QP_CLI_VERBS_H
#define QP_CLI_VERBS_H

#include "dispatch.h"

typedef int qp_cli_run(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv);

qp_cli_run qp_cli_create, qp_cli_destroy;                                                /* cmd_segment.c */
qp_cli_run qp_cli_add, qp_cli_get, qp_cli_take, qp_cli_set, qp_cli_reset, qp_cli_delete; /* cmd_count.c */
qp_cli_run qp_cli_strategy;                                                              /* cmd_strategy.c */
qp_cli_run qp_cli_list;                                                                  /* cmd_list.c */
qp_cli_run qp_cli_top;                                                                   /* cmd_top.c */
qp_cli_run qp_cli_replay;                                                                /* cmd_replay.c */
qp_cli_run qp_cli_dump, qp_cli_load;                                                     /* cmd_dump.c */
qp_cli_run qp_cli_peers;                                                                 /* cmd_peers.c */
qp_cli_run qp_cli_stat, qp_cli_check, qp_cli_reap;                                       /* cmd_care.c */

#endif
