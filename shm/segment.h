/* SPDX-License-Identifier: MIT */
/* segment.h: making, mapping and removing segments. The only file that maps memory. */
#ifndef QP_SHM_SEGMENT_H
#define QP_SHM_SEGMENT_H

#include <sys/types.h>

#include "view.h"

#define QP_PATH_BYTES 512

/* The path of a segment's name. 0, -EINVAL or -ENAMETOOLONG. */
int qp_segment_path(const char *name, char path[QP_PATH_BYTES]);

struct qp_segment_request {
    struct qp_sizes sizes;
    mode_t mode;
    bool fence;
    bool clock_caller;
    uint64_t now_ms;
};

/* Makes a segment: complete before its name exists, and never in the place of another. Codes: quipu_create. */
int qp_segment_create(const char *path, const struct qp_segment_request *request);

struct qp_segment_access {
    bool read_only;
    int fd;             /* > 0: instead of the path */
    bool trust_owner;
    uid_t trusted_uid;
};

/* Reserves memory for these bytes of a segment's file, which may have it already. 0 or a negative errno. */
int qp_segment_reserve(int fd, uint64_t offset_bytes, uint64_t bytes);

/* Checks and maps one. *fd: a descriptor of its own, close-on-exec. Codes: quipu_open. */
int qp_segment_attach(const char *path, const struct qp_segment_access *access, struct qp_view *view, int *fd);
void qp_segment_detach(struct qp_view *view);

/* Tells who has it open, and removes the name. */
int qp_segment_destroy(const char *path);

/* Lays out an empty segment in zeroed memory of identity->segment_bytes bytes, whose identity is planned but for the
 * random and time fields, which are filled here. For creation, and for tests that keep a segment in plain memory. */
int qp_segment_format(void *base, struct qp_identity *identity, bool fence, bool clock_caller, uint64_t now_ms);

#endif
