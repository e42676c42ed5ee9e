/* acme.sh's NAME/NAME.conf. */
#include "agent/cli/import_found.h"

#define PARSE(im, text, len) import_acme_sh_conf(im, "/tree", "/tree/www_ecc/www.conf", text, len)
#include "fuzz_import.h"
