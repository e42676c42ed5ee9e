/* Small readers for the text formats of other clients: lines, `key = value`, and assignments of a shell that is not
 * run. */
#ifndef DCVD_CLI_IMPORT_LINES_H
#define DCVD_CLI_IMPORT_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct import;

struct import_line {
        const char *rest, *end; /* what is still to come */
        size_t number; /* of this line, from 1 */
        const char *text; /* without blanks at both ends */
        size_t len;
};
void import_lines(struct import_line *l, const char *text, size_t len);
bool import_next_line(struct import_line *l);

/* `KEY=value`, `KEY='value'`, `export KEY="${OTHER}/x"`: what a shell would set, as far as that can be told without
 * one. Later ones win. A value with a command or anything else that only a shell knows is left out, and told. */
struct import_shell {
        struct {
                char *key, *value;
        } set[256];
        size_t count;
};
void import_shell_read(struct import *im, struct import_shell *s, const char *file, const char *text, size_t len);
const char *import_shell_get(const struct import_shell *s, const char *key); /* NULL: not set, or empty */
void import_shell_done(struct import_shell *s);

/* A command line that needs no shell: words of plain characters. NULL: it needs one. Allocated words, NULL-terminated;
 * import_words_free. */
char **import_words(const char *command);
void import_words_free(char **words);

#endif
