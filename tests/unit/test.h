/* What every unit test includes first: cmocka and its prerequisites, in the order cmocka wants. */
#ifndef DCVD_TEST_H
#define DCVD_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
