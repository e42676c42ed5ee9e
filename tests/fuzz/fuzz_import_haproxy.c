/* haproxy.cfg. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_haproxy_text(im, "/tree/haproxy.cfg", text, len)
#include "fuzz_import.h"
