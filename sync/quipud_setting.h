/* SPDX-License-Identifier: MIT */
/* quipud_setting.h: one setting: what it is called, what may stand behind its =, and what it is if nothing does. */
#ifndef QP_SYNC_QUIPUD_SETTING_H
#define QP_SYNC_QUIPUD_SETTING_H

#include "quipud_config.h"

enum qp_quipud_form {
    QP_QUIPUD_TEXT,    /* anything of some length */
    QP_QUIPUD_NUMBER,  /* whole, in a range */
    QP_QUIPUD_WORD,    /* one of some, by their number */
    QP_QUIPUD_ADDRESS, /* tcp://HOST:PORT */
    QP_QUIPUD_KEY,     /* public, as keygen prints it */
};

struct qp_quipud_setting {
    const char *name, *initial; /* initial NULL: it must be said */
    const char *unit;           /* NULL: none */
    const char *about;          /* a sentence */
    enum qp_quipud_form form;
    uint64_t least, most;     /* numbers; bytes of texts; ports of addresses */
    const char *const *words; /* NULL at their end */
    size_t offset;            /* in the section's struct */
    bool is_live;             /* a reload changes it */
};

extern const struct qp_quipud_setting qp_quipud_agent_settings[],
    qp_quipud_peer_settings[]; /* without a name at their end */

const struct qp_quipud_setting *qp_quipud_setting_find(const struct qp_quipud_setting *settings, const char *name);

/* Writes the value into the section's struct. false: it is not one; *sentence says what would be. */
bool qp_quipud_setting_put(const struct qp_quipud_setting *setting, const char *value, void *section,
                           char sentence[QP_QUIPUD_TEXT_BYTES]);
/* What was not said. */
void qp_quipud_setting_defaults(const struct qp_quipud_setting *settings, void *section);

/* From one section's struct to another's. true: it was otherwise there. */
bool qp_quipud_setting_copy(const struct qp_quipud_setting *setting, const void *from, void *to);

/* "whole number from 1 to 64": what may stand behind the =. */
void qp_quipud_setting_range(const struct qp_quipud_setting *setting, char text[QP_QUIPUD_TEXT_BYTES]);

#endif
