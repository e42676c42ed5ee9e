#include "agent/ca/acme/link.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/net/http.h"

#define LINKS_MAX 20
#define PARAMETERS_MAX 20

/* The end of one parameter: the next ';' or ',' outside quotes. */
static const char *parameter_end(const char *at)
{
        bool quoted = false;
        for (; *at && (quoted || (*at != ';' && *at != ',')); at++) {
                if (quoted && *at == '\\' && at[1])
                        at++;
                else if (*at == '"')
                        quoted = !quoted;
        }
        return at;
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t';
}

/* rel=alternate, rel="alternate", rel="up alternate"; blanks around are allowed. */
static bool is_relation(const char *at, const char *end, const char *relation)
{
        size_t n = strlen(relation);
        while (at < end && is_space(*at))
                at++;
        if (end - at < 4 || strncasecmp(at, "rel", 3) != 0)
                return false;
        at += 3;
        while (at < end && is_space(*at))
                at++;
        if (at == end || *at++ != '=')
                return false;
        while (at < end) {
                while (at < end && (is_space(*at) || *at == '"'))
                        at++;
                const char *word = at;
                while (at < end && !is_space(*at) && *at != '"')
                        at++;
                if ((size_t)(at - word) == n && strncasecmp(word, relation, n) == 0)
                        return true;
        }
        return false;
}

bool acme_link_read(const char *value, const char *relation, struct texts *ret)
{
        const char *at = value;
        while (*at && ret->count < LINKS_MAX) {
                const char *open = strchr(at, '<'), *close = open ? strchr(open, '>') : NULL;
                if (!close)
                        return true;
                bool wanted = false;
                at = close + 1;
                for (unsigned i = 0; i < PARAMETERS_MAX && (*at == ';' || is_space(*at)); i++) {
                        const char *end = parameter_end(at + 1);
                        wanted = wanted || (*at == ';' && is_relation(at + 1, end, relation));
                        at = end;
                }
                if (wanted) {
                        CLEANUP(free_p) char *url = text_dup_n(open + 1, (size_t)(close - open - 1));
                        if (!url || !texts_add(ret, url))
                                return false;
                }
                at = parameter_end(at);
        }
        return true;
}

bool acme_links(const struct http_answer *a, const char *relation, struct texts *ret)
{
        for (size_t i = 0; i < a->header_count; i++)
                if (strcmp(a->headers[i].name, "link") == 0 && !acme_link_read(a->headers[i].value, relation, ret))
                        return false;
        return true;
}
