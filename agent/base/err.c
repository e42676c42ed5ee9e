#include "agent/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"

static const char *const kind_names[ERR_KINDS] = {
        [ERR_NONE] = "none",
        [ERR_TEMPORARY] = "temporary",
        [ERR_RATE_LIMITED] = "rate-limited",
        [ERR_UNKNOWN] = "unknown-outcome",
        [ERR_WAITING] = "waiting",
        [ERR_RULE] = "rule",
        [ERR_DENIED] = "denied",
        [ERR_PROTOCOL] = "protocol",
        [ERR_CONFIG] = "config",
        [ERR_CANCELLED] = "cancelled",
        [ERR_BUG] = "bug",
};

const char *err_kind_name(enum err_kind kind)
{
        return (unsigned)kind < ERR_KINDS ? kind_names[kind] : "bug";
}

enum err_kind err_kind_from_name(const char *name)
{
        for (unsigned i = 0; name && i < ERR_KINDS; i++)
                if (strcmp(kind_names[i], name) == 0)
                        return (enum err_kind)i;
        return ERR_BUG;
}

/* Works without memory too: what is not plain ASCII is then shown as "?". */
static void fill(char *ret, size_t size, const char *text)
{
        struct buf b = { .max = 16 * 1024 };
        size_t n = strlen(text);
        if (!buf_add_escaped(&b, text, n, n) || !buf_append(&b, "", 0)) {
                for (size_t i = 0; i < n && i < size - 1; i++)
                        ret[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
                ret[n < size - 1 ? n : size - 1] = '\0';
                buf_done(&b);
                return;
        }
        bool cut = b.len > size - 1;
        size_t take = cut ? size - sizeof "..." : b.len;
        while (cut && take > 0 && ((unsigned char)b.data[take] & 0xc0) == 0x80)
                take--; /* not in the middle of a character */
        memcpy(ret, b.data, take);
        memcpy(ret + take, cut ? "..." : "", cut ? sizeof "..." : 1);
        buf_done(&b);
}

__attribute__((format(printf, 3, 0))) static void fill_v(char *ret, size_t size, const char *format, va_list ap)
{
        char text[2048];
        vsnprintf(text, sizeof text, format, ap);
        fill(ret, size, text);
}

bool err_set(struct err *e, enum err_kind kind, const char *code, const char *format, ...)
{
        if (!e)
                return false;
        struct err new = { .kind = kind };
        fill(new.code, sizeof new.code, code); /* it may hold a word of the other side */
        va_list ap;
        va_start(ap, format);
        fill_v(new.text, sizeof new.text, format, ap); /* the arguments may lie in *e: it is written last */
        va_end(ap);
        *e = new;
        return false;
}

bool err_fix(struct err *e, const char *format, ...)
{
        char fix[sizeof e->fix];
        if (!e)
                return false;
        va_list ap;
        va_start(ap, format);
        fill_v(fix, sizeof fix, format, ap);
        va_end(ap);
        memcpy(e->fix, fix, sizeof fix);
        return false;
}

bool err_wrap(struct err *e, const char *format, ...)
{
        char what[sizeof e->text], joined[2 * sizeof e->text];
        if (!e)
                return false;
        va_list ap;
        va_start(ap, format);
        fill_v(what, sizeof what, format, ap);
        va_end(ap);
        snprintf(joined, sizeof joined, "%s: %s", what, e->text);
        fill(e->text, sizeof e->text, joined);
        return false;
}

static enum err_kind kind_of_errno(int error)
{
        switch (error) {
        case ENOENT:
        case EACCES:
        case EPERM:
        case ENOTDIR:
        case EISDIR:
        case ELOOP:
        case EEXIST:
        case ENAMETOOLONG:
        case EINVAL:
        case ENXIO:
        case EXDEV:
                return ERR_CONFIG;
        default:
                return ERR_TEMPORARY;
        }
}

/* What a person can do about an error that is the machine's, wherever it happens. */
static void fix_of_errno(struct err *e, int error)
{
        if (error == ENOSPC || error == EDQUOT)
                err_fix(e, "make room there (df -h and df -i show what is full)");
        else if (error == EROFS)
                err_fix(e, "mount that file system writable again (dmesg says why it is not)");
        else if (error == EIO)
                err_fix(e, "see dmesg: the disk below may be failing");
        else if (error == EMFILE || error == ENFILE)
                err_fix(e, "allow more open files (systemctl edit dcvd: LimitNOFILE=)");
}

bool err_errno(struct err *e, int error, const char *code, const char *format, ...)
{
        char what[sizeof e->text], reason[128];
        va_list ap;
        va_start(ap, format);
        fill_v(what, sizeof what, format, ap);
        va_end(ap);
        err_set(e, kind_of_errno(error), code, "%s: %s", what, strerror_r(error, reason, sizeof reason));
        fix_of_errno(e, error);
        return false;
}

bool err_memory(struct err *e)
{
        return err_set(e, ERR_TEMPORARY, "memory", "out of memory");
}
