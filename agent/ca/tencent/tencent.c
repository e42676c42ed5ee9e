/* Tencent Cloud SSL Certificate Service, API 2019-12-05.
 * Documentation: https://cloud.tencent.com/document/api/400 (mainland), https://www.tencentcloud.com/document/api/1007
 * (international). Authentication: TC3-HMAC-SHA256 with a secret id and key (net/tc3), read at each call. Limits: ten
 * calls a second and action, kept on our side. Retried: reads, and anything throttled. ReplaceCertificate goes once; a
 * lost answer is for resolve(). This CA reissues: it neither issues a first certificate nor renews, and a reissue keeps
 * the end date, so that time is never a reason to call it. */
#include "agent/ca/tencent/tencent.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "config/yaml.h"

#define OFFSET_MAX_S (100LL * 365 * 86400)

static void offset_recall(struct ca *ca)
{
        CLEANUP(free_p)
        char *text = ca->env.recall ? ca->env.recall(ca->env.memory_arg, ca->name, "clock_offset_s") : NULL;
        bool behind = text && *text == '-';
        int64_t offset_s;

        if (!text || !parse_i64(text + behind, 0, OFFSET_MAX_S, &offset_s))
                return;
        ca->offset_remembered_s = behind ? -offset_s : offset_s;
        tencent_api_set_clock_offset(ca->api, ca->offset_remembered_s);
}

static void tencent_close(struct ca *ca)
{
        if (!ca)
                return;
        while (ca->calls)
                tc_op_free(ca->calls);
        tencent_api_close(ca->api);
        tc_notes_done(&ca->notes);
        free(ca->name);
        free(ca);
}

static bool tencent_open(struct ca **ret, const struct ca_env *env, const void *conf, struct err *e)
{
        const struct tencent_conf *c = conf;
        struct ca *ca = calloc(1, sizeof *ca);

        if (!ca || !(ca->name = text_dup(env->name))) {
                free(ca);
                return err_memory(e);
        }
        ca->env = *env;
        ca->env.name = ca->name;
        ca->console = strstr(c->endpoint, ".intl.") ? "https://console.tencentcloud.com"
                                                    : "https://console.cloud.tencent.com";
        const struct tencent_api_conf api = { .endpoint = c->endpoint,
                .service = "ssl",
                .version = "2019-12-05",
                .secret_id = &c->secret_id,
                .secret_key = &c->secret_key,
                .token = &c->token,
                .name = ca->name,
                .ca_bundle = c->ca_bundle };
        if (!tencent_api_open(&ca->api, env->loop, env->http, &api, e)) {
                tencent_close(ca);
                return false;
        }
        offset_recall(ca);
        *ret = ca;
        return true;
}

static void tencent_cancel_call(struct ca *ca, struct ca_call *call)
{
        (void)ca;
        if (call)
                tc_op_free(call);
}

static int64_t tencent_server_time(struct ca *ca)
{
        return tencent_api_has_server_time(ca->api) ? tencent_api_server_time_s(ca->api) : 0;
}

static void tencent_about(const void *conf, const char *name, const char *state_directory, struct ca_about *ret)
{
        const struct tencent_conf *c = conf;

        (void)name;
        (void)state_directory;
        *ret = (struct ca_about){ .url = c->endpoint, .ca_bundle = c->ca_bundle };
}

extern const struct ca_ops ca_tencent;
const struct ca_ops ca_tencent = {
        .type = "tencent",
        .can = CONF_CA_REISSUES | CONF_CA_DNS_AUTO | CONF_CA_NEEDS_CERTIFICATE_ID,
        .key_types = tencent_key_types,
        .keys = tencent_keys,
        .conf_size = sizeof(struct tencent_conf),
        .check = tencent_check,
        .about = tencent_about,
        .open = tencent_open,
        .close = tencent_close,
        .inspect = tc_inspect,
        .order = tc_order,
        .resolve = tc_resolve,
        .view = tc_view,
        .validate = tc_validate,
        .diagnose = tc_diagnose,
        .fetch = tc_fetch,
        .cancel_order = tc_cancel_order,
        .revoke = tc_revoke,
        .list = tc_list,
        .cancel = tencent_cancel_call,
        .server_time_s = tencent_server_time,
};
