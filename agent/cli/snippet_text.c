/* Configuration of four web servers. Each is complete where a certificate is named, so that the server's own test takes
 * it; what belongs into blocks that are there already stands under a comment that says where. */
#include <string.h>

#include "agent/cli/snippet.h"

static const char *const folders[] = { "/.well-known/acme-challenge/", "/.well-known/pki-validation/" };
#define FOLDERS 2

static void names_add(const struct snippet *s, struct buf *b, size_t from, const char *before)
{
        for (size_t i = from; i < s->names->count; i++)
                buf_addf(b, "%s%s", before, s->names->item[i]);
}

/* ---- nginx ---- */

static void nginx_tokens(const struct snippet *s, struct buf *b, const char *indent)
{
        for (size_t i = 0; i < FOLDERS && (s->listener || s->webroot); i++) {
                if (s->webroot)
                        buf_addf(b, "%slocation ^~ %s { root %s; default_type text/plain; }\n", indent, folders[i],
                                s->webroot);
                else
                        buf_addf(b, "%slocation ^~ %s { proxy_pass http://%s%s; proxy_set_header Host $host; }\n",
                                indent, folders[i], s->listener[0] == '/' ? "unix:" : "", s->listener);
        }
}

void snippet_nginx(const struct snippet *s, struct buf *b)
{
        if (!s->names) {
                if (s->listener || s->webroot)
                        buf_addf(b, "# in every server block of port 80\n");
                return nginx_tokens(s, b, "");
        }
        if (s->listener || s->webroot) {
                buf_addf(b, "server {\n    listen 80;\n    server_name");
                names_add(s, b, 0, " ");
                buf_addf(b, ";\n");
                nginx_tokens(s, b, "    ");
                buf_addf(b, "    location / { return 301 https://$host$request_uri; }\n}\n");
        }
        buf_addf(b, "server {\n    listen 443 ssl;\n    server_name");
        names_add(s, b, 0, " ");
        buf_addf(b, ";\n    ssl_certificate %s/%s;\n    ssl_certificate_key %s/%s;\n}\n", s->directory, s->fullchain,
                s->directory, s->key);
}

/* ---- apache ---- */

static void apache_tokens(const struct snippet *s, struct buf *b, const char *indent)
{
        for (size_t i = 0; i < FOLDERS && (s->listener || s->webroot); i++) {
                const char *f = folders[i];
                if (s->webroot)
                        buf_addf(b, "%sAlias \"%s\" \"%s%s\"\n", indent, f, s->webroot, f);
                else if (s->listener[0] == '/')
                        buf_addf(b, "%sProxyPass \"%s\" \"unix:%s|http://localhost%s\"\n", indent, f, s->listener, f);
                else
                        buf_addf(b, "%sProxyPass \"%s\" \"http://%s%s\"\n", indent, f, s->listener, f);
        }
        if (s->webroot)
                buf_addf(b, "%s<Directory \"%s/.well-known\">\n%s    Require all granted\n%s</Directory>\n", indent,
                        s->webroot, indent, indent);
        else if (s->listener)
                buf_addf(b, "%sProxyPreserveHost On\n", indent);
}

/* ServerName takes no wildcard. */
static void apache_names(const struct snippet *s, struct buf *b)
{
        bool wild = s->names->item[0][0] == '*';
        buf_addf(b, "    ServerName %s\n", s->names->item[0] + (wild ? 2 : 0));
        if (s->names->count > 1 || wild) {
                buf_addf(b, "    ServerAlias");
                names_add(s, b, wild ? 0 : 1, " ");
                buf_addf(b, "\n");
        }
}

void snippet_apache(const struct snippet *s, struct buf *b)
{
        if (s->listener)
                buf_addf(b, "# a2enmod proxy_http\n");
        if (!s->names) {
                if (s->listener || s->webroot)
                        buf_addf(b, "# for every virtual host of port 80\n");
                return apache_tokens(s, b, "");
        }
        if (s->listener || s->webroot) {
                buf_addf(b, "<VirtualHost *:80>\n");
                apache_names(s, b);
                apache_tokens(s, b, "    ");
                buf_addf(b, "</VirtualHost>\n");
        }
        buf_addf(b, "# a2enmod ssl\n<VirtualHost *:443>\n");
        apache_names(s, b);
        buf_addf(b, "    SSLEngine on\n    SSLCertificateFile %s/%s\n    SSLCertificateKeyFile %s/%s\n</VirtualHost>\n",
                s->directory, s->fullchain, s->directory, s->key);
}

/* ---- haproxy ---- */

static void haproxy_tls(const struct snippet *s, struct buf *b)
{
        if (!s->combined)
                buf_addf(b,
                        "# haproxy reads certificate and key from one file: give this directory files: {combined.pem: "
                        "combined}\n");
        buf_addf(b,
                "frontend https\n    mode http\n    timeout client 30s\n    bind :443 ssl crt %s/%s\n    # "
                "default_backend ...\n",
                s->directory, s->combined ? s->combined : "combined.pem");
}

void snippet_haproxy(const struct snippet *s, struct buf *b)
{
        if (s->webroot)
                buf_addf(b,
                        "# haproxy serves no files: publisher {type: responder} with tokens.listen lets dcvd answer\n");
        if (s->listener) {
                buf_addf(b,
                        "frontend http\n    mode http\n    timeout client 30s\n    bind :80\n"
                        "    acl dcvd_token path_beg %s %s\n"
                        "    http-request redirect scheme https unless dcvd_token\n"
                        "    use_backend dcvd if dcvd_token\n",
                        folders[0], folders[1]);
                buf_addf(b,
                        "backend dcvd\n    mode http\n    timeout connect 5s\n    timeout server 30s\n    server dcvd "
                        "%s%s\n",
                        s->listener[0] == '/' ? "unix@" : "", s->listener);
        }
        if (s->names)
                haproxy_tls(s, b);
}

/* ---- caddy ---- */

static void caddy_tokens(const struct snippet *s, struct buf *b, const char *indent)
{
        for (size_t i = 0; i < FOLDERS && (s->listener || s->webroot); i++) {
                buf_addf(b, "%shandle %s* {\n", indent, folders[i]);
                if (s->webroot)
                        buf_addf(b, "%s\troot * %s\n%s\tfile_server\n", indent, s->webroot, indent);
                else
                        buf_addf(b, "%s\treverse_proxy %s%s\n", indent, s->listener[0] == '/' ? "unix/" : "",
                                s->listener);
                buf_addf(b, "%s}\n", indent);
        }
}

static void caddy_sites(const struct snippet *s, struct buf *b, const char *scheme)
{
        for (size_t i = 0; i < s->names->count; i++)
                buf_addf(b, "%s%s%s", i ? ", " : "", scheme, s->names->item[i]);
        buf_addf(b, " {\n");
}

void snippet_caddy(const struct snippet *s, struct buf *b)
{
        if (!s->names) {
                if (s->listener || s->webroot)
                        buf_addf(b, "# in every site whose address begins with http://\n");
                return caddy_tokens(s, b, "");
        }
        if (s->listener || s->webroot) {
                caddy_sites(s, b, "http://");
                caddy_tokens(s, b, "\t");
                buf_addf(b, "\thandle {\n\t\tredir https://{host}{uri}\n\t}\n}\n");
        }
        caddy_sites(s, b, "https://");
        buf_addf(b, "\ttls %s/%s %s/%s\n}\n", s->directory, s->fullchain, s->directory, s->key);
}
