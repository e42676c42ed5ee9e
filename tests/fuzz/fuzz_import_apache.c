/* apache2.conf. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_apache_text(im, "/tree/apache2.conf", text, len)
#include "fuzz_import.h"
