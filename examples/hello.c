/* SPDX-License-Identifier: MIT */
/* hello.c: the example of quipu.h as a program. Make the segment first, with `quipu -s web create`. */
#include <stdio.h>

#include <quipu.h>

int main(void)
{
    struct quipu *q;
    int error = quipu_open("web", NULL, &q);
    if (error)
        return fprintf(stderr, "web: %s\n", quipu_error(error)), 1;
    quipu_add(q, "addr:192.0.2.7", 14, 1);
    struct quipu_count count;
    quipu_get(q, "addr:192.0.2.7", 14, &count);
    printf("%lld\n", (long long)count.total);
    quipu_close(q);
    return 0;
}
