/* lego's certificates/NAME.json. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_lego_json(im, "/tree", "/tree/certificates/www.json", text, len)
#include "fuzz_import.h"
