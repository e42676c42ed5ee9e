/* A certificate into the arena. Texts and whole arrays that many certificates share (default files, services, the list
 * of CAs) become one block: parts are packed from the inside out, so that equal content means equal pointers means
 * equal blocks. */
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

static bool pack_text(struct arena *a, const char *from, char **ret)
{
        *ret = arena_same_text(a, from);
        return !from || *ret;
}

/* ret_list gets one block of count items of size bytes, equal to built. */
static bool pack_array(struct arena *a, const void *built, size_t count, size_t size, void **ret_list)
{
        *ret_list = count ? arena_same(a, built, count * size) : NULL;
        return count == 0 || *ret_list;
}

static bool pack_texts(struct arena *a, const struct texts *from, struct texts *ret)
{
        CLEANUP(free_p) char **built = calloc(from->count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->count; i++)
                good = pack_text(a, from->item[i], &built[i]);
        good = good && pack_array(a, built, from->count, sizeof *built, &list);
        *ret = (struct texts){ .item = list, .count = good ? from->count : 0 };
        return good;
}

static bool pack_map(struct arena *a, const struct conf_publisher_map *from, struct conf_publisher_map *ret)
{
        return pack_text(a, from->otherwise, &ret->otherwise) && pack_texts(a, &from->suffix, &ret->suffix) &&
                pack_texts(a, &from->publisher, &ret->publisher);
}

static bool pack_uses(struct arena *a, const struct conf_cert *from, struct conf_cert *ret)
{
        CLEANUP(free_p) struct conf_ca_use *built = calloc(from->ca_count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->ca_count; i++) {
                built[i].validation = from->ca[i].validation;
                built[i].key_type = from->ca[i].key_type;
                good = pack_text(a, from->ca[i].ca, &built[i].ca) &&
                        pack_map(a, &from->ca[i].publisher, &built[i].publisher);
        }
        good = good && pack_array(a, built, from->ca_count, sizeof *built, &list);
        ret->ca = list;
        ret->ca_count = good ? from->ca_count : 0;
        return good;
}

static bool pack_verify(struct arena *a, const struct conf_service *from, struct conf_service *ret)
{
        CLEANUP(free_p) struct conf_verify *built = calloc(from->verify_count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->verify_count; i++) {
                built[i].protocol = from->verify[i].protocol;
                good = pack_text(a, from->verify[i].address, &built[i].address) &&
                        pack_text(a, from->verify[i].sni, &built[i].sni);
        }
        good = good && pack_array(a, built, from->verify_count, sizeof *built, &list);
        ret->verify = list;
        ret->verify_count = good ? from->verify_count : 0;
        ret->verify_auto = from->verify_auto;
        return good;
}

static bool pack_service(struct arena *a, const struct conf_service *from, struct conf_service *ret)
{
        return pack_text(a, from->name, &ret->name) && pack_text(a, from->preset, &ret->preset) &&
                pack_texts(a, &from->test, &ret->test) && pack_texts(a, &from->reload, &ret->reload) &&
                pack_text(a, from->signal_name, &ret->signal_name) &&
                pack_text(a, from->signal_pidfile, &ret->signal_pidfile) && pack_verify(a, from, ret);
}

static bool pack_services(struct arena *a, const struct conf_target *from, struct conf_target *ret)
{
        CLEANUP(free_p) struct conf_service *built = calloc(from->service_count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->service_count; i++)
                good = pack_service(a, &from->service[i], &built[i]);
        good = good && pack_array(a, built, from->service_count, sizeof *built, &list);
        ret->service = list;
        ret->service_count = good ? from->service_count : 0;
        return good;
}

static bool pack_files(struct arena *a, const struct conf_target *from, struct conf_target *ret)
{
        CLEANUP(free_p) struct conf_file *built = calloc(from->file_count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->file_count; i++) {
                built[i].form = from->file[i].form;
                good = pack_text(a, from->file[i].name, &built[i].name);
        }
        good = good && pack_array(a, built, from->file_count, sizeof *built, &list);
        ret->file = list;
        ret->file_count = good ? from->file_count : 0;
        return good;
}

static bool pack_links(struct arena *a, const struct conf_target *from, struct conf_target *ret)
{
        CLEANUP(free_p) struct conf_link *built = calloc(from->link_count + 1, sizeof *built);
        bool good = built != NULL;
        void *list = NULL;

        for (size_t i = 0; good && i < from->link_count; i++)
                good = pack_text(a, from->link[i].path, &built[i].path) &&
                        pack_text(a, from->link[i].file, &built[i].file);
        good = good && pack_array(a, built, from->link_count, sizeof *built, &list);
        ret->link = list;
        ret->link_count = good ? from->link_count : 0;
        return good;
}

static bool pack_targets(struct arena *a, const struct conf_cert *from, struct conf_cert *ret)
{
        ret->target = from->target_count ? arena_take(a, from->target_count * sizeof *ret->target) : NULL;
        if (from->target_count && !ret->target)
                return false;
        for (size_t i = 0; i < from->target_count; i++) {
                const struct conf_target *f = &from->target[i];
                struct conf_target *t = &ret->target[i];
                t->mode = f->mode;
                if (!pack_text(a, f->directory, &t->directory) || !pack_text(a, f->owner, &t->owner) ||
                        !pack_text(a, f->group, &t->group) || !pack_files(a, f, t) || !pack_links(a, f, t) ||
                        !pack_services(a, f, t))
                        return false;
        }
        ret->target_count = from->target_count;
        return true;
}

bool cert_pack(struct arena *a, struct conf_cert *raw, struct conf_cert *ret)
{
        *ret = *raw; /* plain values; every pointer is replaced below */
        ret->target = NULL;
        ret->target_count = 0;
        ret->key_passphrase = (struct secret_ref){ 0 };
        bool good = pack_text(a, raw->name, &ret->name) && pack_texts(a, &raw->names, &ret->names) &&
                pack_uses(a, raw, ret) && pack_text(a, raw->certificate_id, &ret->certificate_id) &&
                pack_map(a, &raw->publisher, &ret->publisher) && pack_text(a, raw->key_csr, &ret->key_csr) &&
                pack_texts(a, &raw->propagation.ignore, &ret->propagation.ignore) &&
                pack_texts(a, &raw->elsewhere, &ret->elsewhere) && pack_targets(a, raw, ret);
        char *file = arena_same_text(a, raw->file);
        if (!good || !file)
                return false;
        ret->file = file;
        ret->key_passphrase = raw->key_passphrase;
        raw->key_passphrase = (struct secret_ref){ 0 };
        return true;
}
