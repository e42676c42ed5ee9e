/* certbot's renewal/NAME.conf. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_certbot_conf(im, "/tree", "/tree/renewal/www.conf", text, len)
#include "fuzz_import.h"
