/* O11: another agent that replaces the same certificate: whoever comes last wins, and the old key may come back. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"

#define FILE_MAX_BYTES (256 * 1024)
#define FILES_MAX 2000

static const struct {
        const char *folder, *suffix; /* files with names of certificates in them */
        const char *agent;
        bool (*is_off)(void); /* it stands still: nothing is said of it; NULL: not known */
        const char *stop; /* FILE, NAME: as a shell takes them; nothing that removes what a server reads */
} places[] = {
        { "/etc/letsencrypt/renewal", ".conf", "certbot", check_certbot_is_off,
                "systemctl disable --now certbot.timer, or for this one alone: mv FILE FILE.off (certbot delete would "
                "remove the files that servers read)" },
        { "/root/.acme.sh", "", "acme.sh", NULL, "acme.sh --remove -d NAME" },
        { "/root/.lego/certificates", ".json", "lego", NULL, "take lego's cron entry away" },
        { "/etc/lego/certificates", ".json", "lego", NULL, "take lego's cron entry away" },
        { "/var/lib/lego/certificates", ".json", "lego", NULL, "take lego's cron entry away" },
        { "/var/lib/dehydrated/certs", "", "dehydrated", NULL, "take the name out of domains.txt" },
        { "/var/lib/caddy/.local/share/caddy/certificates", "", "caddy", NULL,
                "turn automatic HTTPS off for the name" },
};

static bool has_word(const char *text, const char *word)
{
        size_t n = strlen(word);
        static const char inside[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
        for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
                if ((at == text || !strchr(inside, at[-1])) && (!at[n] || !strchr(inside, at[n])))
                        return true;
        return false;
}

/* The file's name or its content speaks of a name of ours, or of a directory that we fill. */
static bool speaks_of(const struct check_target *t, const char *path, const char *file)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct err e;
        for (size_t i = 0; i < t->names.count; i++)
                if (strncmp(file, t->names.item[i], strlen(t->names.item[i])) == 0 &&
                        !strchr("abcdefghijklmnopqrstuvwxyz0123456789-", file[strlen(t->names.item[i])]))
                        return true;
        if (!file_read(path, FILE_MAX_BYTES, &text, &len, &e))
                return false;
        for (size_t i = 0; i < t->names.count; i++)
                if (has_word(text, t->names.item[i]))
                        return true;
        for (size_t i = 0; i < t->cert->target_count; i++)
                if (strstr(text, t->cert->target[i].directory))
                        return true;
        return false;
}

/* One word of a shell's command, whatever is in it. */
static void put_word(struct buf *to, const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
        bool quoted = text[strspn(text, plain)] != '\0';
        buf_add(to, quoted ? "'" : "");
        for (const char *c = text; *c; c++)
                if (*c == '\'')
                        buf_add(to, "'\\''");
                else
                        buf_addc(to, *c);
        buf_add(to, quoted ? "'" : "");
}

/* acme.sh keeps ECDSA certificates in NAME_ecc, and wants to be told so. */
static void put_name(struct buf *to, const char *name)
{
        bool ecc = text_ends(name, "_ecc");
        CLEANUP(free_p) char *domain = text_dup_n(name, strlen(name) - (ecc ? strlen("_ecc") : 0));
        put_word(to, domain ? domain : name);
        buf_add(to, ecc ? " --ecc" : "");
}

/* How to end it. */
static char *stop_of(size_t place, const char *path, const char *name)
{
        struct buf b = { .max = 4096 };
        for (const char *at = places[place].stop; *at;) {
                bool file = text_starts(at, "FILE"), called = text_starts(at, "NAME");
                if (file)
                        put_word(&b, path);
                else if (called)
                        put_name(&b, name);
                else
                        buf_addc(&b, *at);
                at += file || called ? strlen("FILE") : 1;
        }
        return buf_steal(&b);
}

static bool scan(struct check_context *c, size_t place, struct judgements *out)
{
        const char *folder = places[place].folder, *suffix = places[place].suffix;
        DIR *dir = opendir(folder);
        size_t seen = 0, told = 0;
        if (!dir)
                return access(folder, F_OK) != 0;
        for (struct dirent *d; (d = readdir(dir)) && seen < FILES_MAX; seen++) {
                char path[600];
                size_t n = strlen(d->d_name), s = strlen(suffix);
                if (d->d_name[0] == '.' || n < s || strcmp(d->d_name + n - s, suffix) != 0)
                        continue;
                snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
                if (!speaks_of(c->target, path, d->d_name))
                        continue;
                if (told++ == 0 && places[place].is_off && places[place].is_off())
                        break; /* asked once: it reads many files */
                CLEANUP(free_p) char *name = text_dup_n(d->d_name, n - s);
                CLEANUP(free_p) char *fix = name ? stop_of(place, path, name) : NULL;
                judge(out, "O11", (struct judgement_words){ .subject = path, .fix = fix },
                        "%s replaces this certificate too (%s)", places[place].agent, path);
        }
        closedir(dir);
        return true;
}

static void run(struct check_context *c, struct judgements *out)
{
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
                if (!scan(c, i, out))
                        judge_unverifiable(
                                out, "O11", places[i].folder, "%s cannot be read by this user", places[i].folder);
}

extern const struct check check_agents;
const struct check check_agents = { .ids = "O11",
        .stage = STAGE_REST,
        .scope = CHECK_TARGET,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS,
        .run = run };
