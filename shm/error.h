/* SPDX-License-Identifier: MIT */
/* error.h: Quipu's own codes, as the rooms of the segment return them; quipu.h names the same values for the public. */
#ifndef QP_SHM_ERROR_H
#define QP_SHM_ERROR_H

/* The public header repeats these; runtime/error.c asserts that they are equal. They stand here because shm includes
 * nothing above it. */
enum {
    QP_EFORMAT = 10001,
    QP_EVERSION,
    QP_ETRUNCATED,
    QP_EDAMAGED,
    QP_EBOOT,
    QP_EOWNER,
    QP_EMODE,
    QP_EMEMBARRIER,
    QP_ETHREADS,
    QP_EFULL,
    QP_ESTRATEGIES,
    QP_EREADONLY,
    QP_ETICKET,
};

#endif
