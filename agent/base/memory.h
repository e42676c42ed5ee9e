/* What a resting process need not hold. */
#ifndef DCVD_BASE_MEMORY_H
#define DCVD_BASE_MEMORY_H

/* Gives the heap's free pages and the clean pages of program and libraries back to the system: to be called when
 * nothing is left to do. Nothing is lost: a page that is wanted again is mapped again from the page cache (some
 * milliseconds in all for the next job). Never fails. */
void memory_give_back(void);

#endif
