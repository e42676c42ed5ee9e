/* dehydrated's config. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_dehydrated_config(im, "/tree/config", text, len)
#include "fuzz_import.h"
