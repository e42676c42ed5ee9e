"""Times: the service shows GMT+8 without saying so; scenarios name instants absolutely or relative to now."""

import calendar
import re
import time

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def gmt8(instant):
    return None if instant is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(instant + 8 * 3600))


def from_gmt8(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) - 8 * 3600


def openssl_time(instant):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(instant))


def instant(text, now):
    """A number, "+300d", "-2h", or "2026-12-05T00:00:00Z"."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return int(text)
    match = re.fullmatch(r"([+-]\d+)([smhd])", text)
    if match:
        return int(now) + int(match.group(1)) * UNITS[match.group(2)]
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
