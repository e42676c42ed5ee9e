/* nginx.conf. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_nginx_text(im, "/tree/nginx.conf", text, len)
#include "fuzz_import.h"
