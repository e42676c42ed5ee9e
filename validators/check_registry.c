/* The checks of this room, in the order of the catalogue. Higher rooms have arrays of their own; the mains join them.
 */
#include "validators/check.h"

const struct check *const validator_checks[] = {
        NULL,
};
