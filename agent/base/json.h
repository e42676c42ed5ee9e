/* JSON from outside, read with limits, and small builders over jansson. */
#ifndef DCVD_BASE_JSON_H
#define DCVD_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct texts;

/* Parses one whole document: valid UTF-8, repeated names refused, at most max_depth levels, nothing after it.
 * ERR_PROTOCOL names the position, never the content. The result is the caller's (json_decref). */
bool json_read(const char *data, size_t len, unsigned max_depth, json_t **ret, struct err *e);
/* Compact, sorted keys, the caller frees; NULL on failure. */
char *json_text(const json_t *value);
void json_decref_p(json_t **value); /* for CLEANUP */

const char *json_str(const json_t *object, const char *key); /* borrowed; NULL if absent, null or not a string */
int64_t json_i64(const json_t *object, const char *key, int64_t otherwise);
bool json_bool(const json_t *object, const char *key, bool otherwise);
json_t *json_texts(const struct texts *t); /* a list; new reference */
/* Set a member; text NULL sets null. False: memory. */
bool json_put_text(json_t *object, const char *key, const char *text);
bool json_put_i64(json_t *object, const char *key, int64_t value);
bool json_put_bool(json_t *object, const char *key, bool value);

#endif
