/* The normal forms of what names a key or a certificate (specs/alerts.md section 5). All return false, and leave ret
 * alone, for what is not one. */
#ifndef DCVD_ALERTS_FORMS_H
#define DCVD_ALERTS_FORMS_H

#include <stdbool.h>

#define FORM_SERIAL 65 /* bytes for a serial number with its NUL */
#define FORM_DOMAIN 256

/* 64 lower-case digits from hex or base64 (either alphabet, padded or not), with or without colons, blanks, and a
 * "sha256:", "sha256//" or "sha256=" before it. */
bool form_sha256(const char *text, char ret[65]);
bool form_sha1(const char *text, char ret[41]); /* 40 digits, hex only */
/* Hex without colons, blanks, 0x and leading zeros; "00" stays "0". At most 32 octets. */
bool form_serial(const char *text, char ret[FORM_SERIAL]);
bool form_serial_decimal(const char *text, char ret[FORM_SERIAL]);
/* Lower case, A-labels, no final dot; "*." may lead. */
bool form_domain(const char *text, char ret[FORM_DOMAIN]);

#endif
