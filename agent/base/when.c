/* Numbers, durations, dates: parsing what people and servers write, printing for people. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

bool parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
        char *end;
        if (!text || !(text[0] == '-' && min < 0 ? text[1] >= '0' && text[1] <= '9' : text[0] >= '0' && text[0] <= '9'))
                return false;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (errno || *end || value < min || value > max)
                return false;
        *ret = value;
        return true;
}

bool parse_duration_ms(const char *text, int64_t *ret_ms)
{
        static const struct {
                const char *unit;
                int64_t ms;
        } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
        size_t digits = text ? strspn(text, "0123456789") : 0;
        if (digits == 0 || digits > 12)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
                if (strcmp(text + digits, units[i].unit) == 0) {
                        int64_t value = strtoll(text, NULL, 10);
                        if (value > INT64_MAX / 4 / units[i].ms)
                                return false;
                        *ret_ms = value * units[i].ms;
                        return true;
                }
        return false;
}

void format_span(int64_t seconds, char *ret, size_t size)
{
        const char *sign = seconds < 0 ? "-" : "";
        uint64_t s = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
        unsigned long long d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;
        if (d && h)
                snprintf(ret, size, "%s%llu d %llu h", sign, d, h);
        else if (d)
                snprintf(ret, size, "%s%llu d", sign, d);
        else if (h && m)
                snprintf(ret, size, "%s%llu h %llu m", sign, h, m);
        else if (h)
                snprintf(ret, size, "%s%llu h", sign, h);
        else if (m && s % 60)
                snprintf(ret, size, "%s%llu m %llu s", sign, m, (unsigned long long)(s % 60));
        else if (m)
                snprintf(ret, size, "%s%llu m", sign, m);
        else
                snprintf(ret, size, "%s%llu s", sign, (unsigned long long)s);
}

static bool utc(int64_t unix_s, struct tm *ret)
{
        time_t t = (time_t)unix_s;
        return gmtime_r(&t, ret) && ret->tm_year >= -1900 && ret->tm_year <= 9999 - 1900;
}

void format_time(int64_t unix_s, char *ret, size_t size)
{
        struct tm tm;
        char text[32] = "-";
        if (utc(unix_s, &tm))
                snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        snprintf(ret, size, "%s", strlen(text) < size ? text : "-");
}

void format_date(int64_t unix_s, char *ret, size_t size)
{
        struct tm tm;
        char text[32] = "-"; /* strftime's %Y would write year 5 with one digit */
        if (utc(unix_s, &tm))
                snprintf(text, sizeof text, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        snprintf(ret, size, "%s", strlen(text) < size ? text : "-");
}

/* Exactly n digits at *at; moves on. */
static bool digits(const char **at, int n, int *ret)
{
        int value = 0;
        for (int i = 0; i < n; i++) {
                char c = (*at)[i];
                if (c < '0' || c > '9')
                        return false;
                value = 10 * value + (c - '0');
        }
        *at += n;
        *ret = value;
        return true;
}

static bool literal(const char **at, char c)
{
        if (**at != c)
                return false;
        (*at)++;
        return true;
}

static bool to_unix(const struct tm *tm, int64_t *ret)
{
        struct tm copy = *tm, back;
        copy.tm_isdst = 0;
        copy.tm_sec = 0; /* a leap second, 60, would roll the day over */
        time_t t = timegm(&copy);
        /* timegm mends 31 February: a date that does not come back the same was none. */
        if (!gmtime_r(&t, &back) || back.tm_mday != tm->tm_mday || back.tm_mon != tm->tm_mon || tm->tm_hour > 23 ||
                tm->tm_min > 59 || tm->tm_sec > 60)
                return false;
        *ret = t + tm->tm_sec;
        return true;
}

static bool parse_offset(const char **at, int64_t *ret_s)
{
        int hours, minutes, sign = **at == '-' ? -1 : 1;
        if (literal(at, 'Z') || literal(at, 'z')) {
                *ret_s = 0;
                return true;
        }
        if ((**at != '+' && **at != '-') || !(++*at, digits(at, 2, &hours)) || !literal(at, ':') ||
                !digits(at, 2, &minutes) || hours > 23 || minutes > 59)
                return false;
        *ret_s = sign * (hours * 3600 + minutes * 60);
        return true;
}

bool parse_time(const char *text, int64_t *ret_unix_s)
{
        struct tm tm = { 0 };
        const char *at = text;
        int64_t offset_s = 0, value;
        if (!text)
                return false;
        if (*text == '@')
                return parse_i64(text + 1, 0, INT64_C(253402300799), ret_unix_s);
        if (!digits(&at, 4, &tm.tm_year) || !literal(&at, '-') || !digits(&at, 2, &tm.tm_mon) || !literal(&at, '-') ||
                !digits(&at, 2, &tm.tm_mday))
                return false;
        tm.tm_year -= 1900;
        tm.tm_mon--;
        if (*at) {
                if ((*at != 'T' && *at != 't' && *at != ' ') || !(++at, digits(&at, 2, &tm.tm_hour)) ||
                        !literal(&at, ':') || !digits(&at, 2, &tm.tm_min) || !literal(&at, ':') ||
                        !digits(&at, 2, &tm.tm_sec))
                        return false;
                if (literal(&at, '.')) {
                        size_t fraction = strspn(at, "0123456789");
                        if (fraction == 0)
                                return false;
                        at += fraction;
                }
                if (!parse_offset(&at, &offset_s) || *at)
                        return false;
        }
        if (!to_unix(&tm, &value))
                return false;
        *ret_unix_s = value - offset_s;
        return true;
}

bool parse_http_date(const char *text, int64_t *ret_unix_s)
{
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        struct tm tm = { 0 };
        if (!text || strlen(text) != 29 || text[3] != ',' || text[4] != ' ' || strcmp(text + 25, " GMT") != 0)
                return false;
        const char *at = text + 5;
        if (!digits(&at, 2, &tm.tm_mday) || !literal(&at, ' '))
                return false;
        char month[4] = { at[0], at[1], at[2], 0 };
        const char *found = strstr(months, month);
        if (!found || (found - months) % 3)
                return false;
        tm.tm_mon = (int)(found - months) / 3;
        at += 3;
        if (!literal(&at, ' ') || !digits(&at, 4, &tm.tm_year) || !literal(&at, ' ') || !digits(&at, 2, &tm.tm_hour) ||
                !literal(&at, ':') || !digits(&at, 2, &tm.tm_min) || !literal(&at, ':') || !digits(&at, 2, &tm.tm_sec))
                return false;
        tm.tm_year -= 1900;
        return to_unix(&tm, ret_unix_s);
}

bool parse_retry_after(const char *text, int64_t now_s, int64_t *ret_s)
{
        int64_t value, most = 7 * 86400;
        if (!text)
                return false;
        size_t n = strspn(text, "0123456789");
        if (n > 0 && text[n] == '\0') {
                *ret_s = n > 9 ? most : MIN(strtoll(text, NULL, 10), most);
                return true;
        }
        if (!parse_http_date(text, &value))
                return false;
        *ret_s = MAX(0, MIN(value - now_s, most));
        return true;
}
