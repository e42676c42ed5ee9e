#include "agent/ca/tencent/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ZONE_S (8 * 3600)

static bool number(const char **p, unsigned digits_max, int *ret)
{
        unsigned digits = 0;
        int value = 0;

        for (; digits < digits_max && **p >= '0' && **p <= '9'; digits++, ++*p)
                value = value * 10 + (**p - '0');
        *ret = value;
        return digits > 0;
}

static bool parts_read(const char *p, int part[6])
{
        static const char after[6] = { '-', '-', ' ', ':', ':', '\0' };

        while (*p == ' ')
                p++;
        for (int i = 0; i < 6; i++) {
                if (!number(&p, i == 0 ? 4 : 2, &part[i]))
                        return false;
                if (i == 2 && !*p)
                        return true; /* a date alone */
                if (i < 5 && *p != after[i] && !(i == 2 && *p == 'T'))
                        return false;
                if (i < 5)
                        p++;
        }
        while (*p == ' ')
                p++;
        return *p == '\0';
}

static int month_days(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (month == 2 && leap);
}

int64_t tc_time_read(const char *text)
{
        int part[6] = { 0 };

        if (!text || strlen(text) > 40 || !parts_read(text, part))
                return 0;
        if (part[0] < 1970 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > month_days(part[0], part[1]) ||
                part[3] > 23 || part[4] > 59 || part[5] > 60)
                return 0;
        struct tm tm = { .tm_year = part[0] - 1900,
                .tm_mon = part[1] - 1,
                .tm_mday = part[2],
                .tm_hour = part[3],
                .tm_min = part[4],
                .tm_sec = part[5] };
        int64_t at_s = (int64_t)timegm(&tm) - ZONE_S;
        return at_s > 0 ? at_s : 0;
}

void tc_time_write(int64_t unix_s, char ret[20])
{
        time_t t = (time_t)(unix_s + ZONE_S);
        struct tm tm;

        if (unix_s < 0 || unix_s > 253402300799 - ZONE_S || !gmtime_r(&t, &tm) ||
                strftime(ret, 20, "%Y-%m-%d %H:%M:%S", &tm) != 19)
                snprintf(ret, 20, "1970-01-01 08:00:00");
}
