/* SPDX-License-Identifier: MIT */
/* error.c: one sentence for each code, and the library's version. */
#include "../shm/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../shm/cell.h"
#include "../shm/entry.h"
#include "../shm/strategy.h"
#include "quipu.h"

#define SAME(name) _Static_assert((int)QP_##name == (int)QUIPU_##name, #name)
SAME(EFORMAT);
SAME(EVERSION);
SAME(ETRUNCATED);
SAME(EDAMAGED);
SAME(EBOOT);
SAME(EOWNER);
SAME(EMODE);
SAME(EMEMBARRIER);
SAME(ETHREADS);
SAME(EFULL);
SAME(ESTRATEGIES);
SAME(EREADONLY);
SAME(ETICKET);
_Static_assert((int)QP_KIND_COUNTER == (int)QUIPU_KIND_COUNTER && (int)QP_KIND_LIMIT == (int)QUIPU_KIND_LIMIT &&
                   (int)QP_KIND_INFLIGHT == (int)QUIPU_KIND_INFLIGHT &&
                   (int)QP_KIND_REGISTER == (int)QUIPU_KIND_REGISTER && QP_KEY_BYTES_MAX == QUIPU_KEY_BYTES_MAX,
               "the segment's kinds are the public ones");

_Static_assert((int)QP_ALGORITHM_BUCKET == (int)QUIPU_ALGORITHM_BUCKET &&
                   (int)QP_ALGORITHM_SLIDING == (int)QUIPU_ALGORITHM_SLIDING &&
                   (int)QP_OVERFLOW_ALLOW == (int)QUIPU_OVERFLOW_ALLOW && (int)QP_OVERFLOW_DENY == (int)QUIPU_OVERFLOW_DENY &&
                   (int)QP_SCOPE_HOST == (int)QUIPU_SCOPE_HOST && QP_CELL_COUNT_MAX == QUIPU_LIMIT_MAX &&
                   QP_IDLE_NEVER == QUIPU_IDLE_NEVER,
               "and so are the words and numbers of strategies");

const char *quipu_error(int error)
{
    static const char *const own[] = {
        "this file is not a quipu segment",
        "this segment was made by a version of quipu with another layout",
        "this segment's file is shorter than its header says",
        "this segment is damaged; check names the first contradiction",
        "this segment was made before the last reboot",
        "this segment belongs to a user whom this process does not trust",
        "a segment must not be writable by everyone on the host",
        "this segment needs membarrier(2), which this process may not call; create it with fence",
        "every thread slot or process record of this segment is taken",
        "this segment is full: there is no room for another key or change",
        "the strategy table is full",
        "this segment was opened read-only",
        "this ticket was given to another process, or was given back already",
    };
    int code = error < 0 ? (int)(0u - (unsigned)error) : error; /* INT_MIN stays what it is */
    if (code >= QUIPU_EFORMAT && code <= QUIPU_ETICKET)
        return own[code - QUIPU_EFORMAT];
    switch (code) {
    case 0: return "done";
    case ENOENT: return "there is no such key, strategy or segment";
    case EBUSY: return "somebody is in; a key with units in flight cannot be deleted";
    case EEXIST: return "there is one of that name already";
    case EPROTOTYPE: return "this key is of another kind";
    case EINVAL: return "an argument is out of its range";
    case ENAMETOOLONG: return "a key or prefix has more than 1,024 bytes, or a segment's name is too long";
    case ESTALE: return "this segment was destroyed; open the one that took its name";
    case EOVERFLOW: return "the count, or the number of resets within one window, would pass its limit";
    case ERANGE: return "the time given is more than 60 s away from the host's clock";
    case ENOSPC: return "the file system has no room for a segment of this size";
    case EOPNOTSUPP: return "this file system cannot make a file without a name (O_TMPFILE)";
    case ELOOP: return "a segment's name must not be a symbolic link";
    default: break;
    }
    const char *text = strerrordesc_np(code);
    return text ? text : "an unknown error";
}

const char *quipu_version(void)
{
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
    return TEXT(QUIPU_VERSION_MAJOR) "." TEXT(QUIPU_VERSION_MINOR) "." TEXT(QUIPU_VERSION_PATCH);
}
