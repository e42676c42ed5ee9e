#include "test.h"

#include <stdio.h>

#include "agent/base/util.h"
#include "config/config.h"
#include "validators/publisher.h"

static bool loads(const char *settings, char *ret_said, size_t size)
{
        const struct publisher_ops *o = publisher_ops_find("rfc2136");
        const struct conf_kind kinds[] = { { .section = "publishers",
                                                   .type = o->type,
                                                   .keys = o->keys,
                                                   .size = o->conf_size,
                                                   .check = o->check,
                                                   .can = o->can },
                { 0 } };
        char text[1024];
        struct conf_problems p = { 0 };
        struct conf *c = NULL;
        int len = snprintf(text, sizeof text, "publishers:\n  zone: {type: rfc2136, %s}\n", settings);
        bool good = config_load_text("t.yaml", text, (size_t)len, kinds, &c, &p);
        snprintf(ret_said, size, "%s", p.text.count ? p.text.item[0] : "");
        if (good)
                config_free(c);
        conf_problems_done(&p);
        return good;
}

/* An update that goes to "/etc/passwd", or is signed by the key "../x", is found when the file is read, not in the
 * night. */
static void servers_and_names_are_checked(void **state)
{
        static const struct {
                const char *settings, *says; /* NULL: good */
        } row[] = {
                { "server: \"192.0.2.1:53\"", NULL },
                { "server: 192.0.2.1", NULL },
                { "server: \"[2001:db8::1]:5353\"", NULL },
                { "server: \"2001:db8::1\"", NULL },
                { "server: ns1.example.com", NULL },
                { "server: \"ns1.example.com:5353\"", NULL },
                { "server: /etc/passwd", "t.yaml:2:33: publishers.zone.server: is no name server; " },
                { "server: ../x", "publishers.zone.server: is no name server" },
                { "server: \"ns1.example.com:0\"", "publishers.zone.server: is no name server" },
                { "server: \"ns1.example.com:dns\"", "publishers.zone.server: is no name server" },
                { "server: \"a b\"", "publishers.zone.server: is no name server" },
                { "server: a..b", "publishers.zone.server: is no name server" },
                { "zone: example.com", NULL },
                { "zone: example.com.", NULL },
                { "zone: ../x", "publishers.zone.zone: is not a domain name" },
                { "zone: \".\"", "publishers.zone.zone: is not a domain name" },
                { "tsig: {name: dcvd., secret: {file: /k}}", NULL },
                { "tsig: {name: _k-1.dcvd, secret: {file: /k}}", NULL },
                { "tsig: {name: \"a b\", secret: {file: /k}}", "publishers.zone.tsig.name: is not a domain name" },
                { "tsig: {name: a..b, secret: {file: /k}}", "publishers.zone.tsig.name: is not a domain name" },
        };
        char said[512];
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                bool good = loads(row[i].settings, said, sizeof said);
                if (good != !row[i].says || (row[i].says && !strstr(said, row[i].says)))
                        fail_msg("%s: %s", row[i].settings, said);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(servers_and_names_are_checked) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
