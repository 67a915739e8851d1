"""The clocks that Windows' names of time zones stand for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

# The service's list still has these two, which Windows and with it Unicode's table have given up.
_OBSOLETE = {"Kamchatka Standard Time": "Asia/Kamchatka", "Mid-Atlantic Standard Time": "Etc/GMT+2"}


def windows_zone(name: str) -> ZoneInfo:
    """The zone of that name, for example ``Korea Standard Time``; names of other kinds are unknown.

    Raises:
        ValueError: There is no such name.
    """
    if name == "UTC":
        return ZoneInfo("UTC")
    # What zone Windows means is Unicode's to say, and changes: tzlocal brings its table.
    from tzlocal.windows_tz import win_tz  # noqa: PLC0415 (only schedules with a zone need it)

    found = win_tz.get(name) or _OBSOLETE.get(name)
    if found is None:
        raise ValueError(f"{name!r} is not the name of a time zone, such as 'Korea Standard Time'")
    return ZoneInfo(found)
