/* How hooks of other clients are called:
 *   lego        P present|cleanup OWNER. VALUE                                    (TXT)
 *   lego-raw    P present|cleanup -- DOMAIN. TOKEN CONTENT                        (files)
 *   certbot     CERTBOT_DOMAIN, CERTBOT_VALIDATION, ... and, to clean up, CERTBOT_AUTH_OUTPUT  (TXT, files)
 *   dehydrated  P deploy_challenge|clean_challenge DOMAIN TOKEN VALUE             (TXT, files)
 *   uacme       P begin|done TYPE DOMAIN TOKEN VALUE                              (TXT, files)
 * All but lego make the record's name themselves, _acme-challenge.DOMAIN: a proof elsewhere is not for them. With a DNS
 * challenge the last two hand on the digest, and no hook looks at the token: it is "-". */
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/exec.h"
#include "validators/proof.h"

#define CHALLENGE "_acme-challenge."
#define FILE_ROOT "/.well-known/acme-challenge/"

static const char *const names[] = { "lego", "lego-raw", "certbot", "dehydrated", "uacme" };

static bool no_words(enum exec_protocol protocol, const struct proof *p, struct err *e)
{
        char text[300];
        proof_text(p, text, sizeof text);
        err_set(e, ERR_CONFIG, "hook.protocol", "protocol %s has no words for %s", names[protocol], text);
        return err_fix(e,
                protocol == EXEC_LEGO ? "lego's hooks publish TXT records; files: publisher webroot or responder"
                        : protocol == EXEC_LEGO_RAW
                        ? "dcvd knows the digest of a DNS challenge only: use protocol lego"
                        : "its hooks know _acme-challenge records and challenge files only: "
                          "use protocol lego");
}

/* The token of a file, "-" for a record; NULL: not what such a hook makes. */
static const char *token_of(const struct proof *p)
{
        if (p->type == PROOF_FILE)
                return text_starts(p->path, FILE_ROOT) && !strchr(p->path + strlen(FILE_ROOT), '/')
                        ? p->path + strlen(FILE_ROOT)
                        : NULL;
        bool usual = p->type == PROOF_TXT && text_starts(p->place, CHALLENGE) &&
                dns_name_equal(p->place + strlen(CHALLENGE), p->name);
        return usual ? "-" : NULL;
}

static bool add_own(struct texts *t, char *text)
{
        if (text && texts_add_own(t, text))
                return true;
        free(text);
        return false;
}

static bool add_all(struct texts *t, const char *const *text, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!texts_add(t, text[i]))
                        return false;
        return true;
}

static bool put(struct texts *env, const char *name, const char *value)
{
        return add_own(env, text_format("%s=%s", name, value));
}

static bool lego(const struct proof *p, bool publish, struct texts *args)
{
        return texts_add(args, publish ? "present" : "cleanup") && add_own(args, text_format("%s.", p->place)) &&
                texts_add(args, p->value);
}

static bool lego_raw(const struct proof *p, bool publish, const char *token, struct texts *args)
{
        return texts_add(args, publish ? "present" : "cleanup") && texts_add(args, "--") &&
                add_own(args, text_format("%s.", p->name)) && texts_add(args, token) && texts_add(args, p->value);
}

static bool certbot(const struct proof *p, bool publish, const char *token, const char *said, struct texts *env)
{
        return put(env, "CERTBOT_IDENTIFIER", p->name) && put(env, "CERTBOT_DOMAIN", p->name) &&
                put(env, "CERTBOT_VALIDATION", p->value) &&
                (p->type == PROOF_TXT || put(env, "CERTBOT_TOKEN", token)) &&
                put(env, "CERTBOT_REMAINING_CHALLENGES", "0") && put(env, "CERTBOT_ALL_IDENTIFIERS", p->name) &&
                put(env, "CERTBOT_ALL_DOMAINS", p->name) &&
                (publish || put(env, "CERTBOT_AUTH_OUTPUT", said ? said : ""));
}

bool exec_words_make(enum exec_protocol protocol, const struct proof *p, bool publish, const char *said,
        struct exec_words *ret, struct err *e)
{
        struct exec_words w = { 0 };
        const char *token = token_of(p);
        bool good = protocol == EXEC_LEGO   ? p->type == PROOF_TXT
                : protocol == EXEC_LEGO_RAW ? token && p->type == PROOF_FILE
                                            : token != NULL;
        if (!good)
                return no_words(protocol, p, e);
        const char *const dehydrated[] = { publish ? "deploy_challenge" : "clean_challenge", p->name, token, p->value };
        const char *const uacme[] = { publish ? "begin" : "done", p->type == PROOF_FILE ? "http-01" : "dns-01", p->name,
                token, p->value };
        switch (protocol) {
        case EXEC_LEGO:
                good = lego(p, publish, &w.args);
                break;
        case EXEC_LEGO_RAW:
                good = lego_raw(p, publish, token, &w.args);
                break;
        case EXEC_CERTBOT:
                good = certbot(p, publish, token, said, &w.env);
                break;
        case EXEC_DEHYDRATED:
                good = add_all(&w.args, dehydrated, ARRAY_LEN(dehydrated));
                break;
        case EXEC_UACME:
                good = add_all(&w.args, uacme, ARRAY_LEN(uacme));
                break;
        }
        if (!good) {
                exec_words_done(&w);
                return err_memory(e);
        }
        *ret = w;
        return true;
}

void exec_words_done(struct exec_words *w)
{
        texts_done(&w->args);
        texts_done(&w->env);
}
