"""Time zones by their Windows names."""

from __future__ import annotations

from zoneinfo import ZoneInfo

# The service's list still contains these two, which Windows and so Unicode's table have dropped.
_OBSOLETE = {"Kamchatka Standard Time": "Asia/Kamchatka", "Mid-Atlantic Standard Time": "Etc/GMT+2"}


def windows_zone(name: str) -> ZoneInfo:
    """The zone with a Windows name, for example ``Korea Standard Time``; other names are unknown.

    Raises:
        ValueError: The name is unknown.
    """
    if name == "UTC":
        return ZoneInfo("UTC")
    # Unicode maps Windows names to zones, and changes the map; tzlocal ships it.
    from tzlocal.windows_tz import win_tz  # noqa: PLC0415 (only schedules with a zone need it)

    found = win_tz.get(name) or _OBSOLETE.get(name)
    if found is None:
        raise ValueError(f"{name!r} is not the name of a time zone, such as 'Korea Standard Time'")
    return ZoneInfo(found)
