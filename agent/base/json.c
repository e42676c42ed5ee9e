#include "agent/base/json.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

/* jansson has a fixed depth limit of 2048: count brackets outside strings before it recurses. */
static bool depth_fits(const char *data, size_t len, unsigned max_depth)
{
        unsigned depth = 0;
        bool in_string = false;
        for (size_t i = 0; i < len; i++) {
                char c = data[i];
                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                } else if (c == '"') {
                        in_string = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > max_depth)
                                return false;
                } else if ((c == '}' || c == ']') && depth > 0) {
                        depth--;
                }
        }
        return true;
}

bool json_read(const char *data, size_t len, unsigned max_depth, json_t **ret, struct err *e)
{
        json_error_t error;
        if (!depth_fits(data, len, max_depth))
                return err_set(e, ERR_PROTOCOL, "json.depth", "JSON is nested deeper than %u levels", max_depth);
        json_t *value = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (!value && json_error_code(&error) == json_error_out_of_memory)
                return err_memory(e);
        if (!value)
                return err_set(e, ERR_PROTOCOL, "json.syntax", "not valid JSON at line %d, column %d", error.line,
                        error.column);
        *ret = value;
        return true;
}

char *json_text(const json_t *value)
{
        return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

void json_decref_p(json_t **value)
{
        json_decref(*value);
}

const char *json_str(const json_t *object, const char *key)
{
        const json_t *v = json_object_get(object, key);
        /* A NUL inside would make the text mean something else to C than to its sender. */
        return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v) ? json_string_value(v) : NULL;
}

int64_t json_i64(const json_t *object, const char *key, int64_t otherwise)
{
        const json_t *v = json_object_get(object, key);
        return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

bool json_bool(const json_t *object, const char *key, bool otherwise)
{
        const json_t *v = json_object_get(object, key);
        return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

json_t *json_texts(const struct texts *t)
{
        json_t *list = json_array();
        for (size_t i = 0; list && i < t->count; i++)
                (void)json_array_append_new(list, json_string(t->item[i])); /* what is no UTF-8 is left out */
        return list;
}

bool json_put_text(json_t *object, const char *key, const char *text)
{
        json_t *v = text ? json_string(text) : json_null();
        if (text && !v) /* not UTF-8: never silently dropped */
                v = json_string("(not UTF-8)");
        return json_object_set_new(object, key, v) == 0;
}

bool json_put_i64(json_t *object, const char *key, int64_t value)
{
        return json_object_set_new(object, key, json_integer(value)) == 0;
}

bool json_put_bool(json_t *object, const char *key, bool value)
{
        return json_object_set_new(object, key, json_boolean(value)) == 0;
}
