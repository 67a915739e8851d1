"""Names of time zones: those that the service knows, and how an IANA name is converted to one of them."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from datetime import tzinfo

_ZONES = """
    AUS Central Standard Time, AUS Eastern Standard Time, Afghanistan Standard Time, Alaskan Standard Time,
    Aleutian Standard Time, Altai Standard Time, Arab Standard Time, Arabian Standard Time, Arabic Standard Time,
    Argentina Standard Time, Astrakhan Standard Time, Atlantic Standard Time, Aus Central W. Standard Time,
    Azerbaijan Standard Time, Azores Standard Time, Bahia Standard Time, Bangladesh Standard Time,
    Belarus Standard Time, Bougainville Standard Time, Canada Central Standard Time, Cape Verde Standard Time,
    Caucasus Standard Time, Cen. Australia Standard Time, Central America Standard Time, Central Asia Standard Time,
    Central Brazilian Standard Time, Central Europe Standard Time, Central European Standard Time,
    Central Pacific Standard Time, Central Standard Time, Central Standard Time (Mexico),
    Chatham Islands Standard Time, China Standard Time, Cuba Standard Time, Dateline Standard Time,
    E. Africa Standard Time, E. Australia Standard Time, E. Europe Standard Time, E. South America Standard Time,
    Easter Island Standard Time, Eastern Standard Time, Eastern Standard Time (Mexico), Egypt Standard Time,
    Ekaterinburg Standard Time, FLE Standard Time, Fiji Standard Time, GMT Standard Time, GTB Standard Time,
    Georgian Standard Time, Greenland Standard Time, Greenwich Standard Time, Haiti Standard Time,
    Hawaiian Standard Time, India Standard Time, Iran Standard Time, Israel Standard Time, Jordan Standard Time,
    Kaliningrad Standard Time, Kamchatka Standard Time, Korea Standard Time, Libya Standard Time,
    Line Islands Standard Time, Lord Howe Standard Time, Magadan Standard Time, Marquesas Standard Time,
    Mauritius Standard Time, Mid-Atlantic Standard Time, Middle East Standard Time, Montevideo Standard Time,
    Morocco Standard Time, Mountain Standard Time, Mountain Standard Time (Mexico), Myanmar Standard Time,
    N. Central Asia Standard Time, Namibia Standard Time, Nepal Standard Time, New Zealand Standard Time,
    Newfoundland Standard Time, Norfolk Standard Time, North Asia East Standard Time, North Asia Standard Time,
    North Korea Standard Time, Pacific SA Standard Time, Pacific Standard Time, Pacific Standard Time (Mexico),
    Pakistan Standard Time, Paraguay Standard Time, Romance Standard Time, Russia Time Zone 10, Russia Time Zone 11,
    Russia Time Zone 3, Russian Standard Time, SA Eastern Standard Time, SA Pacific Standard Time,
    SA Western Standard Time, SE Asia Standard Time, Saint Pierre Standard Time, Sakhalin Standard Time,
    Samoa Standard Time, Singapore Standard Time, South Africa Standard Time, Sri Lanka Standard Time,
    Syria Standard Time, Taipei Standard Time, Tasmania Standard Time, Tocantins Standard Time, Tokyo Standard Time,
    Tomsk Standard Time, Tonga Standard Time, Transbaikal Standard Time, Turkey Standard Time,
    Turks And Caicos Standard Time, US Eastern Standard Time, US Mountain Standard Time, UTC, UTC+12, UTC-02,
    UTC-08, UTC-09, UTC-11, Ulaanbaatar Standard Time, Venezuela Standard Time, Vladivostok Standard Time,
    W. Australia Standard Time, W. Central Africa Standard Time, W. Europe Standard Time, W. Mongolia Standard Time,
    West Asia Standard Time, West Bank Standard Time, West Pacific Standard Time, Yakutsk Standard Time
"""
#: The Windows names in the service's own enumeration. Never send another name: with one such schedule, the SDK
#: of Microsoft can no longer list any schedule of the workspace (``workspace-rest`` 9.4).
KNOWN_ZONES = frozenset(zone.strip() for zone in _ZONES.split(","))

# Names that are missing in Unicode's table, and the name that it has for the same clock.
_SAME = {
    "CST6CDT": "America/Chicago",
    "EST5EDT": "America/New_York",
    "Europe/Uzhgorod": "Europe/Kiev",
    "Europe/Zaporozhye": "Europe/Kiev",
    "GMT": "Etc/GMT",
    "MST7MDT": "America/Denver",
    "PST8PDT": "America/Los_Angeles",
    "US/East-Indiana": "America/Indianapolis",
}
# Windows names in the service's list that Windows, and so Unicode's table, no longer has.
_OBSOLETE = {"Kamchatka Standard Time": "Asia/Kamchatka", "Mid-Atlantic Standard Time": "Etc/GMT+2"}
# Files next to the zones that are not zones.
_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})
# GMT+2 means a zone in the east, but the zone Etc/GMT+2 is in the west.
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2}):?(\d\d)?", re.IGNORECASE)
_ABBREVIATION = re.compile(r"[A-Za-z]{1,5}")
# Two clocks are the same if they agree for this many years.
_YEARS = 5


def windows_zone(argument: str, name: object) -> str:
    """Find the service's name of a time zone.

    Args:
        argument: The argument's name, for the error.
        name: An IANA name such as ``Asia/Seoul``, or a Windows name such as ``Korea Standard Time``.

    Raises:
        InvalidArgument: There is no such zone, or the service does not know it.
    """
    if isinstance(name, str) and name in KNOWN_ZONES:
        return name
    if not isinstance(name, str):
        raise InvalidArgument(argument, f"is {name!r}; use a name such as 'Asia/Seoul' or 'Korea Standard Time'")
    # Unicode maintains the Windows names of IANA zones, and they change: tzlocal has its table.
    from tzlocal.windows_tz import tz_win, win_tz  # noqa: PLC0415 - only schedules with an IANA name need it

    # The table also has the empty name, and for a few small places the clock of a neighbour.
    windows = tz_win.get(_SAME.get(name, name)) if name else None
    if windows in KNOWN_ZONES:
        ours, theirs = _tables(name)[-1:], _tables(win_tz[windows])[-1:]
        if all(_agree(zone, other, _days()) for zone in ours for other in theirs):
            return windows
    if (windows is not None and windows not in KNOWN_ZONES) or name in win_tz:
        on_windows = f" (on Windows {windows!r})" if windows else ""
        raise InvalidArgument(
            argument,
            f"is {name!r}{on_windows}. The service's list of time zones is older and does not contain this zone. "
            f"{_with_the_clock_of(*_tables(win_tz.get(name, name)))}",
        )
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None and int(offset[2]) < 24:
        east = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        clock = timezone(east if offset[1] == "+" else -east)
        raise InvalidArgument(
            argument,
            f"is {name!r}, which is an offset; use the name of a time zone. {_with_the_clock_of(clock)}",
        )
    names = available_timezones() - _NO_PLACES
    if name in names:
        raise InvalidArgument(
            argument,
            f"is {name!r}. The service's list of time zones does not contain this zone. "
            f"{_with_the_clock_of(*_tables(name))}",
        )
    hint = "use a name such as 'Asia/Seoul'"
    spellings = {known.casefold(): known for known in [*KNOWN_ZONES, *tz_win, *names] if known}
    similar = difflib.get_close_matches(name.strip().casefold(), spellings, n=1)
    # Abbreviations of three letters are similar but mean different clocks: PST and EST.
    same = bool(similar) and similar[0] == name.strip().casefold()
    if same or (similar and not offset and not _ABBREVIATION.fullmatch(name.strip())):
        hint = f"did you mean {spellings[similar[0]]!r}?"
    raise InvalidArgument(argument, f"is {name!r}, which is not the name of a time zone; {hint}")


def iana_zone(argument: str, name: object) -> str:
    """Find the IANA name of a time zone that a schedule of the service has.

    Args:
        argument: The argument's name, for the error.
        name: A Windows name such as ``Korea Standard Time``, or an IANA name.

    Raises:
        InvalidArgument: There is no such zone.
    """
    from tzlocal.windows_tz import win_tz  # noqa: PLC0415 - see windows_zone()

    found = str(name) if name == "UTC" else win_tz.get(str(name)) or _OBSOLETE.get(str(name))
    if found is None and name in available_timezones() - _NO_PLACES:
        found = str(name)
    if found is None:
        raise InvalidArgument(argument, f"is {name!r}, which is not the name of a time zone")
    return found


def _with_the_clock_of(*zones: tzinfo) -> str:
    """A hint that names the service's zones with the same local time in every hour of the next years.

    ``zones`` are the versions of one zone, one from each table of time zones on this machine.
    """
    from tzlocal.windows_tz import win_tz  # noqa: PLC0415 - see windows_zone()

    days = _days()
    same = [
        name
        for name in sorted(KNOWN_ZONES & win_tz.keys())
        # Tables of different years may disagree; only what both say is a hint.
        if all(_agree(zone, other, days) for zone in zones for other in _tables(win_tz[name]))
    ]
    if not same:
        return "None of the service's zones has the same clock; let Airflow's own schedule start the runs"
    return f"The same clock until {days[-1].year}: {', '.join(map(repr, same))}"


def _days() -> list[datetime]:
    """The days of the next years."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [begin + timedelta(days=day) for day in range(_YEARS * 366)]


def _tables(name: str) -> list[ZoneInfo]:
    """A zone from the system's table, then from the table of the package ``tzdata``, which is hardly ever older."""
    zones = []
    with suppress(ZoneInfoNotFoundError):
        zones.append(ZoneInfo(name))
    with suppress(OSError, ModuleNotFoundError), resources.files("tzdata.zoneinfo").joinpath(name).open("rb") as file:
        zones.append(ZoneInfo.from_file(file, name))
    return zones


def _agree(zone: tzinfo, other: tzinfo, days: list[datetime]) -> bool:
    """Whether two zones have the same time on these days, and in each hour of a day on which their offset changes."""
    before = None
    for day in days:
        offset = day.astimezone(zone).utcoffset()
        if offset != day.astimezone(other).utcoffset():
            return False
        if before is not None and offset != before:
            hours = [day - timedelta(hours=hour) for hour in range(24)]
            if any(hour.astimezone(zone).utcoffset() != hour.astimezone(other).utcoffset() for hour in hours):
                return False
        before = offset
    return True
