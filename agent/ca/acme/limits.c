/* When a CA asks to be left alone, all certificates wait; when it limits what it gives for some names (rateLimited to
 * newOrder), those that have the same set of them. Both are kept over restarts and outlive the job that was told. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

#define KEY "wait_until"
#define WORDS_MAX 300 /* of the CA's, kept with the time */

/* "wait_until.SHA-256": of the names, in an order of their own. false: no memory. */
static bool names_key(const struct texts *names, char *ret, size_t size)
{
        struct texts sorted = { 0 };
        struct buf b = { .max = 1 << 20 };
        char hex[65];
        bool good = texts_copy(&sorted, names);
        texts_sort(&sorted);
        for (size_t i = 0; i < sorted.count; i++)
                buf_addf(&b, "%s ", sorted.item[i]);
        good = good && !b.failed && b.data;
        if (good) {
                sha256_hex(b.data, b.len, hex);
                snprintf(ret, size, KEY ".%s", hex);
        }
        buf_done(&b);
        texts_done(&sorted);
        return good;
}

static void note(struct ca *ca, const char *key, const struct err *e)
{
        char text[WORDS_MAX + 32];
        if (!ca->env.remember)
                return;
        /* From the next whole second: from this one it would be over before the CA means it. */
        int64_t until_s = (clock_now_ms() + 999) / 1000 + e->retry_after_s;
        snprintf(text, sizeof text, "%lld %.*s", (long long)until_s, WORDS_MAX, e->text);
        (void)ca->env.remember(ca->env.memory_arg, ca->name, key, text); /* else the next answer says it again */
}

/* Seconds until it is over, 0: there is none (any more); ret_words: the CA's, allocated. */
static int64_t left_s(struct ca *ca, const char *key, char **ret_words)
{
        CLEANUP(free_p) char *text = ca->env.recall ? ca->env.recall(ca->env.memory_arg, ca->name, key) : NULL;
        char *words = text ? strchr(text, ' ') : NULL;
        int64_t until_s, now_s = clock_now_s();
        if (words)
                *words++ = '\0';
        if (!text || !parse_i64(text, 0, INT64_MAX, &until_s))
                return 0;
        if (until_s <= now_s) {
                if (ca->env.remember)
                        (void)ca->env.remember(ca->env.memory_arg, ca->name, key, NULL); /* it is judged by its time */
                return 0;
        }
        *ret_words = text_dup(words ? words : "");
        return until_s - now_s;
}

static bool waits(int64_t s, struct err *e)
{
        e->retry_after_s = MIN(s, 86400); /* the clock may have been set since */
        return false;
}

bool acme_limit_check(struct ca *ca, const struct texts *names, struct err *e)
{
        CLEANUP(free_p) char *words = NULL;
        char when[40], key[100];
        int64_t s = left_s(ca, KEY, &words);
        if (s > 0) {
                format_time(clock_now_s() + s, when, sizeof when);
                err_set(e, ERR_RATE_LIMITED, "acme.wait", "%s asked to be left alone until %s", ca->name, when);
                return waits(s, e);
        }
        if (!names_key(names, key, sizeof key) || (s = left_s(ca, key, &words)) <= 0)
                return true;
        format_time(clock_now_s() + s, when, sizeof when);
        err_set(e, ERR_RATE_LIMITED, "acme.rateLimited", "%s gives no certificate for these names until %s (%s)",
                ca->name, when, words ? words : "");
        return waits(s, e);
}

void acme_limit_note(struct ca *ca, bool whole, const struct err *e)
{
        if (e->kind == ERR_RATE_LIMITED && (whole || strcmp(e->code, "acme.rateLimited") != 0))
                note(ca, KEY, e);
}

void acme_limit_note_names(struct ca *ca, const struct texts *names, const struct err *e)
{
        char key[100];
        if (strcmp(e->code, "acme.rateLimited") == 0 && names_key(names, key, sizeof key))
                note(ca, key, e);
}
