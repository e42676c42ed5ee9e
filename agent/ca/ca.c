#include "agent/ca/ca.h"

#include <stdlib.h>

void ca_subject_done(struct ca_subject *s)
{
        if (!s)
                return;
        free(s->product);
        free(s->common_name);
        free(s->cert_pem);
        texts_done(&s->names);
        texts_done(&s->notes);
        texts_done(&s->rules);
        texts_done(&s->replaced);
        texts_done(&s->exclusive);
        *s = (struct ca_subject){ 0 };
}

bool ca_subject_copy(struct ca_subject *ret, const struct ca_subject *from)
{
        struct ca_subject s = *from;

        s.names = s.notes = s.rules = s.replaced = s.exclusive = (struct texts){ 0 };
        s.product = text_dup(from->product);
        s.common_name = text_dup(from->common_name);
        s.cert_pem = text_dup(from->cert_pem);
        bool ok = (s.product || !from->product) && (s.common_name || !from->common_name) &&
                (s.cert_pem || !from->cert_pem) && texts_copy(&s.names, &from->names) &&
                texts_copy(&s.notes, &from->notes) && texts_copy(&s.rules, &from->rules) && texts_copy(&s.replaced, &from->replaced) &&
                texts_copy(&s.exclusive, &from->exclusive);
        if (!ok) {
                ca_subject_done(&s);
                return false;
        }
        *ret = s;
        return true;
}

void ca_view_done(struct ca_view *v)
{
        if (!v)
                return;
        for (size_t i = 0; i < v->proof_count; i++)
                proof_done(&v->proof[i]);
        free(v->proof);
        v->proof = NULL;
        v->proof_count = 0;
}
