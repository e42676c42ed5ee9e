#include "validators/judgement.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define TEXT_MAX 600

static char *clean(const char *text)
{
        struct buf b = { 0 };
        buf_add_escaped(&b, text ? text : "", text ? strlen(text) : 0, TEXT_MAX);
        return buf_steal(&b);
}

static void judgement_done(struct judgement *j)
{
        free(j->subject);
        free(j->message);
        free(j->fix);
        free(j->observed);
        free(j->wanted);
}

static bool room_for_one(struct judgements *to)
{
        if (to->count == JUDGEMENTS_MAX)
                return false;
        if (to->count % 16)
                return true;
        struct judgement *more = realloc(to->item, (to->count + 16) * sizeof *more);
        if (more)
                to->item = more;
        return more;
}

__attribute__((format(printf, 5, 0))) static void add(struct judgements *to, const char *id, bool unverifiable,
        struct judgement_words w, const char *format, va_list ap)
{
        struct buf b = { 0 };
        buf_addv(&b, format, ap);
        CLEANUP(free_p) char *text = buf_steal(&b);
        struct judgement j = { id, unverifiable, clean(w.subject), clean(text), clean(w.fix), clean(w.observed),
                clean(w.wanted) };
        if (text && j.subject && j.message && j.fix && j.observed && j.wanted && room_for_one(to)) {
                to->item[to->count++] = j;
                return;
        }
        judgement_done(&j);
        to->failed = true;
}

void judge(struct judgements *to, const char *id, struct judgement_words words, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        add(to, id, false, words, format, ap);
        va_end(ap);
}

void judge_unverifiable(struct judgements *to, const char *id, const char *subject, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        add(to, id, true, (struct judgement_words){ .subject = subject }, format, ap);
        va_end(ap);
}

const struct judgement *judgements_find(const struct judgements *list, const char *id)
{
        for (size_t i = 0; i < list->count; i++)
                if (!list->item[i].unverifiable && strcmp(list->item[i].id, id) == 0)
                        return &list->item[i];
        return NULL;
}

void judgements_done(struct judgements *list)
{
        for (size_t i = 0; i < list->count; i++)
                judgement_done(&list->item[i]);
        free(list->item);
        *list = (struct judgements){ 0 };
}
