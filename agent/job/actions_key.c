/* dcvctl reissue --key-compromised: whom else an operator's word about a key reaches. */
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/incident.h"
#include "agent/job/internal.h"

bool reissue_reports_key(const struct cert *c, const json_t *args)
{
        return json_bool(args, "compromised", false) && !json_bool(args, "staging", false) &&
                !json_bool(args, "marked", false) && c->row.live_spki;
}

static bool has_text(const json_t *list, const char *text)
{
        for (size_t i = 0; i < json_array_size(list); i++)
                if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
                        return true;
        return false;
}

void reissue_note_others(struct engine *g, const struct cert *c, const json_t *args, const json_t *names, json_t *also)
{
        struct texts sharing = { 0 };
        if (reissue_reports_key(c, args) && cert_shared_key(g, c->row.live_spki, &sharing))
                for (size_t i = 0; i < sharing.count; i++)
                        if (config_cert(g->conf, sharing.item[i]) && !has_text(names, sharing.item[i]) &&
                                !has_text(also, sharing.item[i]))
                                json_array_append_new(also, json_string(sharing.item[i]));
        texts_done(&sharing);
}

void dry_run_note_key(struct engine *g, const struct cert *c, const json_t *args, json_t *result)
{
        CLEANUP(json_decref_p) json_t *names = json_pack("[s]", c->row.name);
        json_t *also = json_array();
        reissue_note_others(g, c, args, names, also);
        json_put_bool(result, "marks", reissue_reports_key(c, args) && !compromised_has(g->keystore, c->row.live_spki));
        json_put_bool(result, "opens_incident", json_array_size(also) > 0);
        json_object_set_new(result, "also", also);
}

static void incident_taken(void *arg, const struct incident_answer *answer, const struct err *err)
{
        (void)arg;
        (void)answer;
        if (err)
                log_err("", "the other certificates with a compromised key are not in an incident", err);
}

void reissue_take_others(struct engine *g, const struct cert *c, const char *reason, json_t *also)
{
        struct texts sharing = { 0 };
        struct err e;
        if (!cert_shared_key(g, c->row.live_spki, &sharing))
                return texts_done(&sharing);
        const struct report report = { .source = "operator",
                .strength = REPORT_EXACT,
                .spki_hex = c->row.live_spki,
                .text = reason && strlen(reason) <= REPORT_TEXT_MAX ? reason : NULL,
                .by_operator = true,
                .revocation_reason = -1 };
        bool shared = sharing.count > 1;
        if (shared && !incident_take(g, &report, incident_taken, NULL, &e))
                incident_taken(NULL, NULL, &e);
        for (size_t i = 0; shared && i < sharing.count; i++)
                if (strcmp(sharing.item[i], c->row.name) != 0)
                        json_array_append_new(also, json_string(sharing.item[i]));
        texts_done(&sharing);
}
