/* STATE/compromised: one SPKI hash a line, only ever added to. It outlives the journal. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/pki/keystore_internal.h"

#define FILE_MAX 67108864

/* A line that a power cut broke off is no record: compromised_add had not returned. Anything else that is no hash is
 * damage, and a list that says which keys are burnt is not guessed at. */
static bool take_line(struct keystore *s, const char *line, size_t len, unsigned number, struct err *e)
{
        CLEANUP(free_p) char *text = text_dup_n(line, len);
        if (!text)
                return err_memory(e);
        if (spki_hex_is_good(text))
                return texts_has(&s->compromised, text) || texts_add(&s->compromised, text) || err_memory(e);
        if (len < 64 && strlen(text) == len && strspn(text, "0123456789abcdef") == len) {
                if (len > 0)
                        log_warning("", "%s:%u: a line was cut short by a crash; it is ignored", s->compromised_path,
                                number);
                return true;
        }
        err_set(e, ERR_CONFIG, "compromised.damaged", "%s:%u: not the hash of a key", s->compromised_path, number);
        return err_fix(e, "restore the file from a backup, or remove that line");
}

bool compromised_load(struct keystore *s, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        struct stat st;
        if (lstat(s->compromised_path, &st) < 0)
                return errno == ENOENT || err_errno(e, errno, "compromised.read", "%s", s->compromised_path);
        if (!S_ISREG(st.st_mode)) {
                err_set(e, ERR_CONFIG, "keys.kind", "%s is not a regular file", s->compromised_path);
                return err_fix(e, "move it away");
        }
        if (!mode_check(s->compromised_path, &st, 0022, "chmod go-w", e) ||
                !file_read(s->compromised_path, FILE_MAX, &text, &len, e))
                return false;
        const char *at = text, *end = text + len;
        for (unsigned number = 1; at < end; number++) {
                const char *stop = memchr(at, '\n', (size_t)(end - at));
                if (!take_line(s, at, (size_t)((stop ? stop : end) - at), number, e))
                        return false;
                /* Else the next hash would be written onto this line. */
                if (!stop)
                        return file_append_line(s->compromised_path, 0600, "", e);
                at = stop + 1;
        }
        return true;
}

bool compromised_has(struct keystore *s, const char *spki_hex)
{
        return texts_has(&s->compromised, spki_hex);
}

bool compromised_add(struct keystore *s, const char *spki_hex, struct err *e)
{
        if (!spki_hex_is_good(spki_hex))
                return err_set(e, ERR_BUG, "key.name", "%.80s is not the hash of a key", spki_hex ? spki_hex : "");
        if (compromised_has(s, spki_hex))
                return true;
        return file_append_line(s->compromised_path, 0600, spki_hex, e) &&
                (texts_add(&s->compromised, spki_hex) || err_memory(e));
}

bool compromised_list(struct keystore *s, struct texts *ret, struct err *e)
{
        return texts_copy(ret, &s->compromised) || err_memory(e);
}
