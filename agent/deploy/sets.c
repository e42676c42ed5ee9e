#include "agent/deploy/sets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/pki/revocation.h"

#define TEMPORARY ".new" /* a set that is being written: removed at start */
#define META_MAX (256 * 1024)
#define NUMBER_MAX 1000000000u

#define PROVEN_MAX 64
#define KNOWN_MAX 16

/* A file of a key, by its hash, that was seen to hold the private half of this public key: reading one takes OpenSSL a
 * millisecond, and a job asks for its sets again and again. */
struct proven {
        uint8_t file[32];
        char spki[65];
};
/* A chain by the hash of its file: a job reads its set four times, and OpenSSL takes two milliseconds for each. */
struct known {
        uint8_t file[32];
        struct chain chain;
};
struct sets {
        char *directory;
        int sets_fd, live_fd;
        pthread_mutex_t meta_lock; /* held while one meta.json is read, changed and written */
        pthread_mutex_t lock; /* guards what follows */
        uint64_t changes;
        struct proven proven[PROVEN_MAX];
        size_t proven_count; /* ever; the oldest is overwritten */
        struct known known[KNOWN_MAX];
        size_t known_count; /* ever */
};

void set_done(struct set *s)
{
        chain_done(&s->chain);
        secret_done(&s->key_pem);
        json_decref(s->meta);
        *s = (struct set){ 0 };
}

json_t *set_meta_new(const struct chain *c, const char *origin, bool good, int64_t now_s)
{
        json_t *o = json_object();
        json_object_set_new(o, "names", json_texts(&c->leaf.names));
        json_put_text(o, "spki", c->leaf.spki_hex);
        json_put_text(o, "sha256", c->leaf.sha256);
        json_put_text(o, "serial", c->leaf.serial_hex);
        json_put_text(o, "issuer", c->leaf.issuer);
        json_put_i64(o, "not_before", c->leaf.not_before_s);
        json_put_i64(o, "not_after", c->leaf.not_after_s);
        json_put_i64(o, "created", now_s);
        json_put_text(o, "origin", origin);
        json_put_bool(o, "good", good);
        return o;
}

static bool number_of(const char *name, unsigned *ret)
{
        int64_t n;
        if (name[0] == '0' || !parse_i64(name, 1, NUMBER_MAX, &n))
                return false;
        *ret = (unsigned)n;
        return true;
}

/* Calls fn for each entry of a directory that is not hidden or "." ... */
static bool each(
        int dir_fd, const char *name, bool (*fn)(void *arg, int fd, const char *entry), void *arg, struct err *e)
{
        int fd = (int)TEMP_FAILURE_RETRY(openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (fd < 0)
                return errno == ENOENT || err_errno(e, errno, "sets.read", "sets of %s", name);
        DIR *d = fdopendir(fd);
        if (!d) {
                close_p(&fd);
                return err_memory(e);
        }
        bool good = true;
        for (struct dirent *entry; good && (entry = readdir(d));)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        good = fn(arg, dirfd(d), entry->d_name);
        (void)closedir(d);
        return good;
}

static bool sweep_set(void *arg, int fd, const char *entry)
{
        struct err e;
        (void)arg;
        if (strcmp(entry, TEMPORARY) == 0)
                (void)tree_remove_at(fd, entry, &e); /* in the way of the next write only, which tells */
        return true;
}

static bool sweep_cert(void *arg, int fd, const char *entry)
{
        struct err e;
        (void)each(fd, entry, sweep_set, arg, &e);
        return true;
}

bool sets_open(struct sets **ret, const char *state_directory, struct err *e)
{
        CLEANUP(close_p) int state = -1;
        struct sets *s = calloc(1, sizeof *s);
        if (!s || !(s->directory = text_dup(state_directory))) {
                free(s);
                return err_memory(e);
        }
        s->sets_fd = s->live_fd = -1;
        pthread_mutex_init(&s->meta_lock, NULL);
        pthread_mutex_init(&s->lock, NULL);
        if (!dir_open(state_directory, false, 0, &state, e) ||
                !dir_open_at(state, "sets", true, 0700, &s->sets_fd, e) ||
                !dir_open_at(state, "live", true, 0700, &s->live_fd, e) || !each(s->sets_fd, ".", sweep_cert, s, e)) {
                sets_close(s);
                return err_wrap(e, "%s", state_directory);
        }
        *ret = s;
        return true;
}

void sets_close(struct sets *s)
{
        if (!s)
                return;
        close_p(&s->sets_fd);
        close_p(&s->live_fd);
        for (size_t i = 0; i < KNOWN_MAX; i++)
                chain_done(&s->known[i].chain);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->meta_lock);
        free(s->directory);
        free(s);
}

uint64_t sets_changes(struct sets *s)
{
        pthread_mutex_lock(&s->lock);
        uint64_t n = s->changes;
        pthread_mutex_unlock(&s->lock);
        return n;
}

static void count_change(struct sets *s)
{
        pthread_mutex_lock(&s->lock);
        s->changes++;
        pthread_mutex_unlock(&s->lock);
}

/* ---- listing ---- */

struct list {
        unsigned *number;
        size_t count;
        bool failed;
};

static bool add_number(void *arg, int fd, const char *entry)
{
        struct list *l = arg;
        unsigned n;
        (void)fd;
        if (!number_of(entry, &n))
                return true;
        unsigned *more = realloc(l->number, (l->count + 1) * sizeof *more);
        if (!more)
                return !(l->failed = true);
        l->number = more;
        more[l->count++] = n;
        return true;
}

static int rising(const void *a, const void *b)
{
        unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
        return (x > y) - (x < y);
}

bool sets_list(struct sets *s, const char *cert, unsigned **ret, size_t *ret_count, struct err *e)
{
        struct list l = { 0 };
        if (!name_is_safe(cert))
                return err_set(e, ERR_BUG, "sets.name", "\"%s\" is not a certificate's name", cert);
        if (!each(s->sets_fd, cert, add_number, &l, e)) {
                free(l.number);
                return l.failed ? err_memory(e) : false;
        }
        if (l.count > 1)
                qsort(l.number, l.count, sizeof *l.number, rising);
        *ret = l.number;
        *ret_count = l.count;
        return true;
}

static bool add_cert(void *arg, int fd, const char *entry)
{
        struct stat st;
        if (!name_is_safe(entry) || fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                return true;
        return texts_add(arg, entry);
}

bool sets_certs(struct sets *s, struct texts *ret, struct err *e)
{
        struct texts t = { 0 };
        if (!each(s->sets_fd, ".", add_cert, &t, e)) {
                texts_done(&t);
                return err_memory(e);
        }
        texts_sort(&t);
        *ret = t;
        return true;
}

/* ---- what is known by its bytes ---- */

static bool is_proven(struct sets *s, const uint8_t file[32], const char *spki)
{
        bool found = false;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; !found && i < MIN(s->proven_count, PROVEN_MAX); i++)
                found = memcmp(s->proven[i].file, file, 32) == 0 && strcmp(s->proven[i].spki, spki) == 0;
        pthread_mutex_unlock(&s->lock);
        return found;
}

static void note_proof(struct sets *s, const uint8_t file[32], const char *spki)
{
        pthread_mutex_lock(&s->lock);
        struct proven *p = &s->proven[s->proven_count++ % PROVEN_MAX];
        memcpy(p->file, file, sizeof p->file);
        snprintf(p->spki, sizeof p->spki, "%s", spki);
        pthread_mutex_unlock(&s->lock);
}

/* For lack of memory it is not noted, and read again. */
static void note_chain(struct sets *s, const uint8_t file[32], const struct chain *c)
{
        struct chain mine;
        if (!chain_copy(c, &mine, NULL))
                return;
        pthread_mutex_lock(&s->lock);
        struct known *oldest = &s->known[s->known_count++ % KNOWN_MAX];
        struct chain gone = oldest->chain;
        oldest->chain = mine;
        memcpy(oldest->file, file, sizeof oldest->file);
        pthread_mutex_unlock(&s->lock);
        chain_done(&gone);
}

/* False: it is not known; or there is no memory, and *ret is empty. */
static bool copy_known(struct sets *s, const uint8_t file[32], struct chain *ret)
{
        bool found = false;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; !found && i < MIN(s->known_count, KNOWN_MAX); i++)
                found = memcmp(s->known[i].file, file, 32) == 0 && chain_copy(&s->known[i].chain, ret, NULL);
        pthread_mutex_unlock(&s->lock);
        return found;
}

/* ---- writing ---- */

static bool write_files(int fd, const struct chain *c, const struct secret *key, const json_t *meta, struct err *e)
{
        CLEANUP(free_p) char *text = json_text(meta);
        if (!text)
                return err_memory(e);
        const struct new_file file[] = {
                { "cert.pem", 0600, c->cert_pem, strlen(c->cert_pem) },
                { "chain.pem", 0600, c->chain_pem, strlen(c->chain_pem) },
                { "fullchain.pem", 0600, c->fullchain_pem, strlen(c->fullchain_pem) },
                { "meta.json", 0600, text, strlen(text) },
                { "privkey.pem", 0600, key->data, key->len },
        };
        size_t count = ARRAY_LEN(file) - (key->len == 0 ? 1 : 0); /* a key may be held elsewhere */
        return files_create_at(fd, file, count, (uid_t)-1, (gid_t)-1, e);
}

bool sets_write(struct sets *s, const char *cert, const struct chain *chain, const struct secret *key_pem,
        const json_t *meta, unsigned *ret_number, struct err *e)
{
        CLEANUP(close_p) int cert_fd = -1;
        CLEANUP(close_p) int fd = -1;
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        char name[16];
        if (!sets_list(s, cert, &number, &count, e) || !dir_open_at(s->sets_fd, cert, true, 0700, &cert_fd, e) ||
                !dir_make_at(cert_fd, TEMPORARY, 0700, &fd, e))
                return err_wrap(e, "%s: set of %s", s->directory, cert);
        unsigned next = count ? number[count - 1] + 1 : 1;
        snprintf(name, sizeof name, "%u", next);
        if (!write_files(fd, chain, key_pem, meta, e))
                return err_wrap(e, "%s: set %u of %s", s->directory, next, cert);
        /* Its name appears only when it is whole. */
        if (renameat(cert_fd, TEMPORARY, cert_fd, name) < 0)
                return err_errno(e, errno, "sets.write", "%s: set %u of %s", s->directory, next, cert);
        count_change(s);
        if (!dir_sync(cert_fd, e) || (count == 0 && !dir_sync(s->sets_fd, e)))
                return false;
        uint8_t file[32];
        sha256(chain->fullchain_pem, strlen(chain->fullchain_pem), file);
        note_chain(s, file, chain);
        if (key_pem->len > 0) {
                sha256(key_pem->data, key_pem->len, file);
                note_proof(s, file, chain->leaf.spki_hex);
        }
        *ret_number = next;
        return true;
}

static bool open_set(struct sets *s, const char *cert, unsigned number, int *ret, struct err *e)
{
        char path[96];
        if (!name_is_safe(cert))
                return err_set(e, ERR_BUG, "sets.name", "\"%s\" is not a certificate's name", cert);
        snprintf(path, sizeof path, "%s/%u", cert, number);
        int fd = (int)TEMP_FAILURE_RETRY(openat(s->sets_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (fd < 0 && errno == ENOENT) {
                err_set(e, ERR_CONFIG, "set.absent", "%s has no set %u", cert, number);
                return err_fix(e, "dcvctl sets %s shows those it has", cert);
        }
        if (fd < 0)
                return err_errno(e, errno, "sets.read", "set %u of %s", number, cert);
        *ret = fd;
        return true;
}

static bool prove(struct sets *s, const char *pem, size_t len, const char *spki, struct err *e)
{
        struct key *key = NULL;
        uint8_t file[32];
        char own[65];
        sha256(pem, len, file);
        if (is_proven(s, file, spki))
                return true;
        bool good = key_read_pem(pem, len, NULL, &key, e) && key_spki_hex(key, own, e);
        key_free(key);
        if (!good)
                return false;
        if (strcmp(own, spki) != 0)
                return err_set(e, ERR_CONFIG, "set.damaged", "key and certificate do not belong together");
        note_proof(s, file, own);
        return true;
}

static bool read_key(struct sets *s, int fd, const struct chain *c, struct secret *ret, struct err *e)
{
        char *pem = NULL;
        size_t len = 0;
        if (faccessat(fd, "privkey.pem", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return true; /* held elsewhere */
        if (!file_read_at(fd, "privkey.pem", 64 * 1024, &pem, &len, e))
                return false;
        bool good = prove(s, pem, len, c->leaf.spki_hex, e) && secret_set(ret, pem, len, e);
        wipe(pem, len);
        free(pem);
        return good;
}

static bool read_chain(struct sets *s, const char *pem, size_t len, struct chain *ret, struct err *e)
{
        uint8_t file[32];
        sha256(pem, len, file);
        struct chain c = { 0 };
        if (copy_known(s, file, ret))
                return true;
        if (!chain_read(pem, len, NULL, &c, e))
                return false;
        note_chain(s, file, &c);
        *ret = c;
        return true;
}

static bool read_meta(int fd, json_t **ret, struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        return file_read_at(fd, "meta.json", META_MAX, &text, &len, e) && json_read(text, len, 8, ret, e);
}

bool sets_read(struct sets *s, const char *cert, unsigned number, unsigned parts, struct set *ret, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        CLEANUP(free_p) char *pem = NULL;
        size_t len = 0;
        struct set out = { .number = number };
        if (!open_set(s, cert, number, &fd, e))
                return false;
        bool good = file_read_at(fd, "fullchain.pem", CHAIN_PEM_MAX, &pem, &len, e) &&
                read_chain(s, pem, len, &out.chain, e) &&
                (!(parts & SET_KEY) || read_key(s, fd, &out.chain, &out.key_pem, e)) &&
                (!(parts & SET_META) || read_meta(fd, &out.meta, e));
        if (!good) {
                set_done(&out);
                return err_wrap(e, "set %u of %s", number, cert);
        }
        *ret = out;
        return true;
}

bool sets_read_meta(struct sets *s, const char *cert, unsigned number, json_t **ret, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        if (!open_set(s, cert, number, &fd, e))
                return false;
        return read_meta(fd, ret, e) || err_wrap(e, "set %u of %s", number, cert);
}

bool sets_read_leaf(struct sets *s, const char *cert, unsigned number, uint8_t **ret_der, size_t *ret_len,
        json_t **ret_meta, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        CLEANUP(free_p) char *pem = NULL;
        CLEANUP(json_decref_p) json_t *meta = NULL;
        size_t len = 0;
        if (!open_set(s, cert, number, &fd, e))
                return false;
        bool good = read_meta(fd, &meta, e) && file_read_at(fd, "cert.pem", CHAIN_PEM_MAX, &pem, &len, e) &&
                (chain_first_der(pem, ret_der, ret_len, &(struct err){ 0 }) ||
                        err_set(e, ERR_CONFIG, "set.damaged", "cert.pem holds no certificate"));
        if (!good)
                return err_wrap(e, "set %u of %s", number, cert);
        *ret_meta = STEAL(meta);
        return true;
}

static bool change_meta(int fd, const json_t *changes, struct err *e)
{
        CLEANUP(json_decref_p) json_t *meta = NULL;
        if (!read_meta(fd, &meta, e))
                return false;
        CLEANUP(free_p) char *text = json_object_update(meta, (json_t *)changes) == 0 ? json_text(meta) : NULL;
        if (!text)
                return err_memory(e);
        return file_write_atomic_at(fd, "meta.json", 0600, (uid_t)-1, (gid_t)-1, text, strlen(text), e);
}

bool sets_change_meta(struct sets *s, const char *cert, unsigned number, const json_t *changes, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        if (!open_set(s, cert, number, &fd, e))
                return false;
        pthread_mutex_lock(&s->meta_lock);
        bool good = change_meta(fd, changes, e) || err_wrap(e, "set %u of %s", number, cert);
        pthread_mutex_unlock(&s->meta_lock);
        return good;
}

/* ---- the live link ---- */

unsigned sets_live(struct sets *s, const char *cert)
{
        char target[128];
        unsigned n;
        ssize_t len = name_is_safe(cert) ? readlinkat(s->live_fd, cert, target, sizeof target - 1) : -1;
        if (len <= 0)
                return 0;
        target[len] = '\0';
        const char *slash = strrchr(target, '/');
        return slash && number_of(slash + 1, &n) ? n : 0;
}

bool sets_switch(struct sets *s, const char *cert, unsigned number, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        char target[128];
        if (!open_set(s, cert, number, &fd, e))
                return false;
        snprintf(target, sizeof target, "../sets/%s/%u", cert, number);
        count_change(s);
        return symlink_switch_at(s->live_fd, cert, target, e) || err_wrap(e, "%s: live link of %s", s->directory, cert);
}

bool sets_remove(struct sets *s, const char *cert, unsigned number, struct err *e)
{
        CLEANUP(close_p) int cert_fd = -1;
        char name[16];
        if (sets_live(s, cert) == number)
                return err_set(e, ERR_BUG, "set.live", "set %u of %s is live", number, cert);
        snprintf(name, sizeof name, "%u", number);
        count_change(s);
        return dir_open_at(s->sets_fd, cert, false, 0, &cert_fd, e) && tree_remove_at(cert_fd, name, e) &&
                dir_sync(cert_fd, e);
}

bool sets_forget(struct sets *s, const char *cert, struct err *e)
{
        if (!name_is_safe(cert))
                return err_set(e, ERR_BUG, "sets.name", "\"%s\" is not a certificate's name", cert);
        count_change(s);
        if (unlinkat(s->live_fd, cert, 0) < 0 && errno != ENOENT)
                return err_errno(e, errno, "sets.forget", "live link of %s", cert);
        return dir_sync(s->live_fd, e) && tree_remove_at(s->sets_fd, cert, e) && dir_sync(s->sets_fd, e);
}
