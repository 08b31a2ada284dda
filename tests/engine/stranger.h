/* SPDX-License-Identifier: MIT */
/* stranger.h: who connects and is no peer: for tests of the engine, and of agents. */
#ifndef QP_TESTS_ENGINE_STRANGER_H
#define QP_TESTS_ENGINE_STRANGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/engine.h"

#define STRANGER_SAYS_MAX 1024

/* The next one; not 0 to begin with. */
uint64_t stranger_random(uint64_t *seed);

/* What one says first, of eight kinds, drawn; some say nothing. How many bytes. */
size_t stranger_say(uint64_t *seed, uint8_t bytes[STRANGER_SAYS_MAX]);

/* A DEALER that knows our public key, has one of its own that is on no list, and something to say; it tries again
 * until it is closed. NULL: errno. */
void *stranger_with_key(void *context, const uint8_t server_key[QP_ENGINE_KEY_BYTES], const char *endpoint);

#endif
