/* The few macros everything uses: clean-up of locals, handing a value over, array length. */
#ifndef DCVD_BASE_UTIL_H
#define DCVD_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/param.h> /* MIN, MAX */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CLEANUP(function) __attribute__((cleanup(function)))
/* The value of a pointer lvalue, which becomes NULL: the clean-up of the local then frees nothing. */
#define STEAL(pointer)                                                                                                 \
        ({                                                                                                             \
                __typeof__(pointer) *steal_from_ = &(pointer);                                                         \
                __typeof__(pointer) stolen_ = *steal_from_;                                                            \
                *steal_from_ = NULL;                                                                                   \
                stolen_;                                                                                               \
        })
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void free_p(void *p)
{
        free(*(void **)p);
}

void close_p(int *fd); /* closes if >= 0, keeps errno */

#endif
