/* SPDX-License-Identifier: MIT */
/* error.c: one sentence for each code, and the library's version. */
#include "../shm/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../shm/layout.h"
#include "../shm/entry.h"
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
_Static_assert((int)QP_KIND_COUNTER == (int)QUIPU_KIND_COUNTER && (int)QP_KIND_LIMIT == (int)QUIPU_KIND_LIMIT &&
                   (int)QP_KIND_REGISTER == (int)QUIPU_KIND_REGISTER && QP_KEY_BYTES_MAX == QUIPU_KEY_BYTES_MAX,
               "the segment's kinds are the public ones");

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
    };
    int code = error < 0 ? (int)(0u - (unsigned)error) : error; /* INT_MIN stays what it is */
    if (code >= QUIPU_EFORMAT && code <= QUIPU_EREADONLY)
        return own[code - QUIPU_EFORMAT];
    switch (code) {
    case 0: return "done";
    case ENOENT: return "there is no such key, strategy or segment";
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
