#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/cli/import_lines.h"
#include "base/scratch_dir.h"

/* What a parser found, as one text: a line for each. */
static char *uses_of(const struct import *im)
{
        struct buf b = { 0 };
        for (size_t i = 0; i < im->use_count; i++) {
                const struct import_use *u = &im->use[i];
                buf_addf(&b, "%s cert=%s key=%s chain=%s root=%s", u->said, u->cert, u->key ? u->key : "-",
                        u->chain ? u->chain : "-", u->root ? u->root : "-");
                for (size_t k = 0; k < u->names.count; k++)
                        buf_addf(&b, " %s", u->names.item[k]);
                buf_addc(&b, '\n');
        }
        return buf_steal(&b);
}

typedef void text_fn(struct import *im, const char *file, const char *text, size_t len);

static void expect_uses(text_fn *read, const char *file, const char *text, const char *want, size_t left)
{
        struct import im = { .closed = true };
        read(&im, file, text, strlen(text));
        CLEANUP(free_p) char *found = uses_of(&im);
        assert_string_equal(found, want);
        assert_int_equal(im.left.count, left);
        assert_false(im.failed);
        import_done(&im);
}

static void nginx_says_what_each_server_uses(void **state)
{
        static const struct {
                const char *text, *want;
                size_t left;
        } row[] = {
                { "http { server { server_name a.example b.example; root /srv/a;\n"
                  "  ssl_certificate a.pem; ssl_certificate_key 'k.pem'; } }",
                        "/etc/nginx/nginx.conf:1 cert=/etc/nginx/a.pem key=/etc/nginx/k.pem chain=- root=/srv/a "
                        "a.example "
                        "b.example\n",
                        0 },
                { "http { ssl_certificate /o.pem; ssl_certificate_key /o.key; root /srv;\n server { server_name x; }\n"
                  " server { server_name y; ssl_certificate /y.pem; ssl_certificate_key /y.key; } }",
                        "/etc/nginx/nginx.conf:2 cert=/o.pem key=/o.key chain=- root=/srv x\n"
                        "/etc/nginx/nginx.conf:3 cert=/y.pem key=/y.key chain=- root=/srv y\n",
                        0 },
                { "server { ssl_certificate /rsa.pem; ssl_certificate_key /rsa.key;\n"
                  " ssl_certificate /ec.pem; ssl_certificate_key /ec.key; }",
                        "/etc/nginx/nginx.conf:1 cert=/rsa.pem key=/rsa.key chain=- root=-\n"
                        "/etc/nginx/nginx.conf:1 cert=/ec.pem key=/ec.key chain=- root=-\n",
                        0 },
                { "server { location / { if ($a ~ \"{\") { set $x ${b}c; } } # } ssl_certificate /no;\n"
                  " ssl_certificate /y.pem; ssl_certificate_key /y.key; }",
                        "/etc/nginx/nginx.conf:1 cert=/y.pem key=/y.key chain=- root=-\n", 0 },
                { "server { ssl_certificate /tls/$ssl_server_name.pem; ssl_certificate_key data:x; }", "", 2 },
                { "server { ssl_certificate /a.pem; }", "", 1 }, /* no key */
                { "server { ssl_certificate \"/never ended; }", "", 1 },
                { "} } } server { }", "", 0 },
                { "upstream server { server 127.0.0.1; }", "", 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                expect_uses(import_nginx_text, "/etc/nginx/nginx.conf", row[i].text, row[i].want, row[i].left);
}

static void nginx_blocks_inside_each_other_end_somewhere(void **state)
{
        struct import im = { .closed = true };
        struct buf b = { 0 };
        (void)state;
        for (int i = 0; i < 5000; i++)
                buf_add(&b, "a {");
        import_nginx_text(&im, "/n", b.data, b.len);
        assert_int_equal(im.left.count, 1);
        assert_non_null(strstr(im.left.item[0], "too deeply"));
        import_done(&im);
        buf_done(&b);
}

static void apache_says_what_each_host_uses(void **state)
{
        static const struct {
                const char *text, *want;
                size_t left;
        } row[] = {
                { "ServerRoot \"/etc/apache2\"\nDocumentRoot /srv/all\n<VirtualHost *:443>\n ServerName a.example\n"
                  " ServerAlias b.example c.example\n SSLCertificateFile tls/a.pem\n"
                  " sslcertificatekeyfile \\\n   /k.pem\n</VirtualHost>\n",
                        "/c:3 cert=/etc/apache2/tls/a.pem key=/k.pem chain=- root=/srv/all a.example b.example "
                        "c.example\n",
                        0 },
                { "Define dir /tls\n<VirtualHost *:443>\n<IfModule x>\nSSLCertificateFile ${dir}/a.pem\n"
                  "SSLCertificateChainFile ${dir}/c.pem\nDocumentRoot \"/srv/my site\"\n</IfModule></VirtualHost>\n"
                  "</VirtualHost>\n",
                        "/c:2 cert=/tls/a.pem key=- chain=/tls/c.pem root=/srv/my site\n", 0 },
                { "SSLCertificateFile /all.pem\nSSLCertificateKeyFile /all.key\n# SSLCertificateFile /no.pem\n",
                        "/c:0 cert=/all.pem key=/all.key chain=- root=-\n", 0 },
                { "<VirtualHost *:443>\nSSLCertificateFile /never/ended.pem\n", "", 0 },
                { "Define d /a\nDefine d /b\nSSLCertificateFile ${d}/x.pem\n",
                        "/c:0 cert=/b/x.pem key=- chain=- root=-\n", 0 },
                { "SSLCertificateFile ${NOBODY}/x.pem\nSSLCertificateKeyFile /x.key\n", "", 1 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                expect_uses(import_apache_text, "/c", row[i].text, row[i].want, row[i].left);
}

static void haproxy_says_its_bundles(void **state)
{
        static const struct {
                const char *text, *want;
                size_t left;
        } row[] = {
                { "global\n crt-base /tls\nfrontend f\n bind *:443 ssl crt a.pem crt /b.pem alpn h2 # crt /no\n",
                        "/h.cfg:4 cert=/tls/a.pem key=- chain=- root=-\n/h.cfg:4 cert=/b.pem key=- chain=- root=-\n",
                        0 },
                { "frontend f\n bind :443 ssl crt \"/my site/a.pem\"\n server x crt /client.pem\n",
                        "/h.cfg:2 cert=/my site/a.pem key=- chain=- root=-\n", 0 },
                { "frontend f\n bind :443 ssl crt '/a.pem\n", "", 1 },
                { " bind\n bind :443 crt\ncrt-base\n", "", 0 },
                { "crt-store\n load crt /a.pem\ncrt-store named\n", "", 2 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                expect_uses(import_haproxy_text, "/h.cfg", row[i].text, row[i].want, row[i].left);
}

static char *cert_of(struct import *im)
{
        struct buf b = { 0 };
        const struct import_cert *c = im->cert_count ? &im->cert[0] : NULL;
        CLEANUP(free_p) char *publishers = c ? json_dumps(c->publishers, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
        if (c)
                buf_addf(&b, "%s %s %s ca=%s reuse=%d %s", c->name, c->cert, c->key, c->directory ? c->directory : "-",
                        c->reuse_key, publishers);
        return buf_steal(&b);
}

static void certbot_says_ca_and_validation(void **state)
{
        static const struct {
                const char *text, *want;
                size_t left;
        } row[] = {
                { "[renewalparams]\nauthenticator = webroot\nserver = https://ca.example/dir\nreuse_key = True\n"
                  "webroot_path = /srv/a,\n",
                        "ca=https://ca.example/dir reuse=1 "
                        "{\"default\":{\"directory\":\"/srv/a\",\"type\":\"webroot\"}}",
                        0 },
                { "[renewalparams]\nauthenticator = webroot\n[[webroot_map]]\nb.example = \"/srv/b\"\n",
                        "ca=- reuse=0 {\"b.example\":{\"directory\":\"/srv/b\",\"type\":\"webroot\"}}", 0 },
                { "[renewalparams]\nauthenticator=standalone\n", "ca=- reuse=0 {\"default\":{\"type\":\"responder\"}}",
                        0 },
                { "[renewalparams]\nauthenticator = dns-route53\nrenew_hook = rm -rf /\n",
                        "ca=- reuse=0 {\"default\":{\"for\":\"dns\",\"type\":\"manual\"}}", 2 },
                { "[renewalparams]\nauthenticator = manual\npref_challs = dns-01,\nmanual_auth_hook = /etc/auth -x\n"
                  "manual_cleanup_hook = /etc/clean\n",
                        "ca=- reuse=0 {\"default\":{\"cleanup\":[\"/etc/clean\"],\"command\":[\"/etc/auth\",\"-x\"],"
                        "\"protocol\":\"certbot\",\"type\":\"exec\"}}",
                        0 },
                { "[renewalparams]\nauthenticator = manual\nmanual_auth_hook = /etc/auth; id\n", "ca=- reuse=0 {}", 2 },
                { "[renewalparams]\nauthenticator = dns-route53\npreferred_chain = ISRG Root X1\n[[webroot_map]]\n"
                  "b.example = /srv/b\n",
                        "ca=- reuse=0 {\"default\":{\"for\":\"dns\",\"type\":\"manual\"}}", 2 },
                { "authenticator = webroot\nserver = https://not.in.a.section/\n[other]\nserver = x\n",
                        "ca=- reuse=0 {}", 1 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { .closed = true };
                import_certbot_conf(&im, "/le", "/le/renewal/www.conf", row[i].text, strlen(row[i].text));
                CLEANUP(free_p) char *found = cert_of(&im);
                CLEANUP(free_p)
                char *want = text_format("www /le/live/www/fullchain.pem /le/live/www/privkey.pem %s", row[i].want);
                assert_string_equal(found, want);
                assert_int_equal(im.left.count, row[i].left);
                import_done(&im);
        }
}

static void acme_sh_is_read_without_a_shell(void **state)
{
        static const struct {
                const char *file, *text, *want;
                size_t left;
        } row[] = {
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot='/srv/w'\nLe_API='https://ca.example/d'\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=https://ca.example/d reuse=0 "
                        "{\"default\":{\"directory\":\"/srv/w\",\"type\":\"webroot\"}}",
                        0 },
                { "/a/www_ecc/www.conf", "Le_Domain=\"www\"\nLe_Webroot='no'\nLe_ReloadCmd='__ACME_BASE64__x'\n",
                        "www-ecc /a/www_ecc/fullchain.cer /a/www_ecc/www.key ca=- reuse=0 "
                        "{\"default\":{\"type\":\"responder\"}}",
                        1 },
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot='dns_tencent'\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=- reuse=0 "
                        "{\"default\":{\"secret_id\":{\"credential\":\"tencent-id\"},"
                        "\"secret_key\":{\"credential\":\"tencent-key\"},\"type\":\"dnspod\"}}",
                        0 },
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot='dns_cf'\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=- reuse=0 "
                        "{\"default\":{\"for\":\"dns\",\"type\":\"manual\"}}",
                        1 },
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot='/srv/w,/srv/w,/srv/w'\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=- reuse=0 "
                        "{\"default\":{\"directory\":\"/srv/w\",\"type\":\"webroot\"}}",
                        0 },
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot='/srv/w,/srv/w2'\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=- reuse=0 "
                        "{\"default\":{\"directory\":\"/srv/w\",\"type\":\"webroot\"}}",
                        1 },
                { "/a/www/www.conf", "Le_Domain='www'\nLe_Webroot=$(touch /tmp/x)\nLe_API=`id`\n",
                        "www /a/www/fullchain.cer /a/www/www.key ca=- reuse=0 {}", 2 },
                { "/a/x/x.conf", "OTHER='y'\n", "", 0 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { .closed = true };
                import_acme_sh_conf(&im, "/a", row[i].file, row[i].text, strlen(row[i].text));
                CLEANUP(free_p) char *found = cert_of(&im);
                assert_string_equal(found, row[i].want);
                assert_int_equal(im.left.count, row[i].left);
                import_done(&im);
        }
}

static void acme_sh_has_dynamic_updates_too(void **state)
{
        struct import im = { .closed = true };
        static const char text[] = "Le_Domain='www'\nLe_Webroot='dns_nsupdate'\n";
        (void)state;
        import_acme_sh_conf(&im, "/a", "/a/www/www.conf", text, strlen(text));
        assert_int_equal(im.left.count, 1);
        assert_non_null(strstr(im.left.item[0], "dns_nsupdate is publisher rfc2136 in dcvd"));
        import_done(&im);
}

static void lego_says_the_ca_by_its_host(void **state)
{
        static const struct {
                const char *url, *want;
        } row[] = {
                { "https://acme-v02.api.letsencrypt.org/acme/cert/1",
                        "https://acme-v02.api.letsencrypt.org/directory" },
                { "https://127.0.0.1:14000/certZ/1", "https://127.0.0.1:14000/directory" },
                { "http://plain.example/1", "-" },
                { "https://user@evil.example/", "-" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { .closed = true };
                CLEANUP(free_p) char *text = text_format("{\"domain\": \"www\", \"certUrl\": \"%s\"}", row[i].url);
                import_lego_json(&im, "/l", "/l/certificates/www.json", text, strlen(text));
                assert_int_equal(im.cert_count, 1);
                assert_string_equal(im.cert[0].directory ? im.cert[0].directory : "-", row[i].want);
                assert_string_equal(im.cert[0].cert, "/l/certificates/www.crt");
                import_done(&im);
        }
}

static void a_bundle_of_lego_is_replaced_too(void **state)
{
        struct import im = { .closed = true };
        static const char text[] = "{\"domain\": \"www\", \"certUrl\": \"https://ca.example/1\"}";
        size_t i = 0;
        (void)state;
        import_lego_json(&im, "/l", "/l/certificates/www.json", text, strlen(text));
        while (i < im.cert[0].file_count && im.cert[0].file[i].form != IMPORT_COMBINED)
                i++;
        assert_true(i < im.cert[0].file_count);
        assert_string_equal(im.cert[0].file[i].path, "/l/certificates/www.pem");
        import_done(&im);
}

/* What stands in certs/NAME/config goes before the common settings, the rest of these holds. */
static void dehydrated_settings_of_one_certificate(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        static const char text[] = "HOOK=/etc/hook\nWELLKNOWN=/srv/.well-known/acme-challenge\nPRIVATE_KEY_RENEW=no\n";
        assert_int_equal(mkdir(scratch_path(s, "certs"), 0700), 0);
        assert_int_equal(mkdir(scratch_path(s, "certs/files"), 0700), 0);
        assert_int_equal(mkdir(scratch_path(s, "certs/wild"), 0700), 0);
        scratch_file(s, "certs/files/fullchain.pem", 0600, "x");
        scratch_file(s, "certs/files/config", 0600, "PRIVATE_KEY_RENEW=yes\n");
        scratch_file(s, "certs/wild/fullchain.pem", 0600, "x");
        scratch_file(s, "certs/wild/config", 0600, "CHALLENGETYPE=dns-01\n");
        import_dehydrated_config(&im, scratch_path(s, "config"), text, strlen(text));
        assert_int_equal(im.cert_count, 2);
        for (size_t i = 0; i < im.cert_count; i++) {
                CLEANUP(free_p) char *publishers = json_dumps(im.cert[i].publishers, JSON_SORT_KEYS | JSON_COMPACT);
                assert_string_equal(publishers,
                        i == 0 ? "{\"default\":{\"directory\":\"/srv\",\"type\":\"webroot\"}}"
                               : "{\"default\":{\"command\":[\"/etc/hook\"],\"protocol\":\"dehydrated\",\"type\":"
                                 "\"exec\"}}");
                assert_int_equal(im.cert[i].reuse_key, i == 1);
        }
        import_done(&im);
}

static void a_shell_variable_may_hold_another_one(void **state)
{
        struct import im = { .closed = true };
        struct import_shell s = { 0 };
        static const char text[] =
                "A=/srv\nexport B=\"${A}/x\" # said\nC='$A'\nD=$A$Z\nE=\"a b\"\nF=a b\nG=(1 2)\nA=late\n";
        (void)state;
        import_shell_read(&im, &s, "f", text, strlen(text));
        assert_string_equal(import_shell_get(&s, "B"), "/srv/x");
        assert_string_equal(import_shell_get(&s, "C"), "$A");
        assert_string_equal(import_shell_get(&s, "D"), "/srv");
        assert_string_equal(import_shell_get(&s, "E"), "a b");
        assert_null(import_shell_get(&s, "F")); /* a command with a variable of its own */
        assert_null(import_shell_get(&s, "G"));
        assert_string_equal(import_shell_get(&s, "A"), "late");
        assert_int_equal(im.left.count, 2);
        import_shell_done(&s);
        import_done(&im);
}

static void what_is_told_stays_on_one_line(void **state)
{
        struct import im = { .closed = true };
        (void)state;
        import_left(&im, "%s", "a\ncas: {evil: {}}\033[2J");
        assert_string_equal(im.left.item[0], "a\\x0acas: {evil: {}}\\x1b[2J");
        import_done(&im);
}

static void paths_lose_their_dots_and_odd_ones_are_refused(void **state)
{
        static const struct {
                const char *base, *written, *want;
        } row[] = {
                { "/etc/nginx", "tls/a.pem", "/etc/nginx/tls/a.pem" },
                { "/etc/nginx", "../ssl/./a.pem", "/etc/ssl/a.pem" },
                { "/x", "/../../a//b/", "/a/b" },
                { "/x", "/", "/" },
                { "relative", "a", NULL },
                { "/x", "", NULL },
                { "/x", "a\nb", NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct import im = { .closed = true };
                CLEANUP(free_p) char *path = import_path(&im, row[i].base, row[i].written);
                if (row[i].want)
                        assert_string_equal(path, row[i].want);
                else
                        assert_null(path);
                import_done(&im);
        }
}

static void a_file_that_others_can_write_is_not_believed(void **state)
{
        struct import im = { 0 };
        struct err e;
        char *text = NULL;
        size_t len = 0;
        scratch_file(*state, "mine", 0600, "x");
        scratch_file(*state, "open", 0666, "x");
        assert_int_equal(symlink("open", scratch_path(*state, "link")), 0);
        assert_int_equal(mkfifo(scratch_path(*state, "fifo"), 0600), 0);
        assert_true(import_read(&im, scratch_path(*state, "mine"), &text, &len, &e));
        free(text);
        assert_false(import_read(&im, scratch_path(*state, "open"), &text, &len, &e));
        assert_string_equal(e.code, "import.owner");
        assert_false(import_read(&im, scratch_path(*state, "link"), &text, &len, &e));
        assert_string_equal(e.code, "import.owner");
        assert_false(import_read(&im, scratch_path(*state, "fifo"), &text, &len, &e)); /* and does not hang */
        assert_false(import_read(&im, scratch_path(*state, "absent"), &text, &len, &e));
        assert_string_equal(e.code, "file.absent");
        import_done(&im);
}

static void an_include_that_includes_itself_ends(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        CLEANUP(free_p)
        char *text = text_format("include %s/*.conf; server { ssl_certificate /a; ssl_certificate_key /k; }", s->path);
        scratch_file(s, "n.conf", 0600, text);
        import_nginx_text(&im, scratch_path(s, "n.conf"), text, strlen(text));
        assert_int_equal(im.use_count, 17);
        assert_int_equal(im.left.count, 1);
        assert_non_null(strstr(im.left.item[0], "too deeply"));
        import_done(&im);
}

static void apache_includes_a_directory(void **state)
{
        struct import im = { 0 };
        struct scratch_dir *s = *state;
        static const char text[] = "Include sites\nIncludeOptional absent/\n";
        assert_int_equal(mkdir(scratch_path(s, "sites"), 0700), 0);
        assert_int_equal(mkdir(scratch_path(s, "sites/more"), 0700), 0);
        scratch_file(s, "sites/a", 0600, "SSLCertificateFile /a.pem\n");
        scratch_file(s, "sites/more/b", 0600, "SSLCertificateFile /b.pem\n");
        assert_int_equal(symlink("..", scratch_path(s, "sites/more/up")), 0); /* and round again */
        import_apache_text(&im, scratch_path(s, "apache2.conf"), text, strlen(text));
        assert_true(im.use_count >= 2);
        assert_string_equal(im.use[0].cert, "/a.pem");
        assert_string_equal(im.use[1].cert, "/b.pem");
        assert_true(im.left.count > 0);
        for (size_t i = 0; i < im.left.count; i++)
                assert_non_null(strstr(im.left.item[i], "too deeply"));
        import_done(&im);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nginx_says_what_each_server_uses),
                cmocka_unit_test(nginx_blocks_inside_each_other_end_somewhere),
                cmocka_unit_test(apache_says_what_each_host_uses),
                cmocka_unit_test(haproxy_says_its_bundles),
                cmocka_unit_test(certbot_says_ca_and_validation),
                cmocka_unit_test(acme_sh_is_read_without_a_shell),
                cmocka_unit_test(acme_sh_has_dynamic_updates_too),
                cmocka_unit_test(lego_says_the_ca_by_its_host),
                cmocka_unit_test(a_bundle_of_lego_is_replaced_too),
                IN_DIR(dehydrated_settings_of_one_certificate),
                cmocka_unit_test(a_shell_variable_may_hold_another_one),
                cmocka_unit_test(what_is_told_stays_on_one_line),
                cmocka_unit_test(paths_lose_their_dots_and_odd_ones_are_refused),
                IN_DIR(a_file_that_others_can_write_is_not_believed),
                IN_DIR(an_include_that_includes_itself_ends),
                IN_DIR(apache_includes_a_directory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
