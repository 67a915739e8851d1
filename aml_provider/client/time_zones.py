"""Names of time zones: those that the service knows, and how an IANA name leads to one of them."""

from __future__ import annotations

import difflib

from aml_provider.client.errors import InvalidArgument

#: The names of Windows that the service's own enumeration has. Nothing else may ever be sent: one schedule with another
#: name, and Microsoft's SDK can list none of the workspace's schedules any more (``workspace-rest`` 9.4).
KNOWN_ZONES = frozenset(
    {
        "AUS Central Standard Time",
        "AUS Eastern Standard Time",
        "Afghanistan Standard Time",
        "Alaskan Standard Time",
        "Aleutian Standard Time",
        "Altai Standard Time",
        "Arab Standard Time",
        "Arabian Standard Time",
        "Arabic Standard Time",
        "Argentina Standard Time",
        "Astrakhan Standard Time",
        "Atlantic Standard Time",
        "Aus Central W. Standard Time",
        "Azerbaijan Standard Time",
        "Azores Standard Time",
        "Bahia Standard Time",
        "Bangladesh Standard Time",
        "Belarus Standard Time",
        "Bougainville Standard Time",
        "Canada Central Standard Time",
        "Cape Verde Standard Time",
        "Caucasus Standard Time",
        "Cen. Australia Standard Time",
        "Central America Standard Time",
        "Central Asia Standard Time",
        "Central Brazilian Standard Time",
        "Central Europe Standard Time",
        "Central European Standard Time",
        "Central Pacific Standard Time",
        "Central Standard Time",
        "Central Standard Time (Mexico)",
        "Chatham Islands Standard Time",
        "China Standard Time",
        "Cuba Standard Time",
        "Dateline Standard Time",
        "E. Africa Standard Time",
        "E. Australia Standard Time",
        "E. Europe Standard Time",
        "E. South America Standard Time",
        "Easter Island Standard Time",
        "Eastern Standard Time",
        "Eastern Standard Time (Mexico)",
        "Egypt Standard Time",
        "Ekaterinburg Standard Time",
        "FLE Standard Time",
        "Fiji Standard Time",
        "GMT Standard Time",
        "GTB Standard Time",
        "Georgian Standard Time",
        "Greenland Standard Time",
        "Greenwich Standard Time",
        "Haiti Standard Time",
        "Hawaiian Standard Time",
        "India Standard Time",
        "Iran Standard Time",
        "Israel Standard Time",
        "Jordan Standard Time",
        "Kaliningrad Standard Time",
        "Kamchatka Standard Time",
        "Korea Standard Time",
        "Libya Standard Time",
        "Line Islands Standard Time",
        "Lord Howe Standard Time",
        "Magadan Standard Time",
        "Marquesas Standard Time",
        "Mauritius Standard Time",
        "Mid-Atlantic Standard Time",
        "Middle East Standard Time",
        "Montevideo Standard Time",
        "Morocco Standard Time",
        "Mountain Standard Time",
        "Mountain Standard Time (Mexico)",
        "Myanmar Standard Time",
        "N. Central Asia Standard Time",
        "Namibia Standard Time",
        "Nepal Standard Time",
        "New Zealand Standard Time",
        "Newfoundland Standard Time",
        "Norfolk Standard Time",
        "North Asia East Standard Time",
        "North Asia Standard Time",
        "North Korea Standard Time",
        "Pacific SA Standard Time",
        "Pacific Standard Time",
        "Pacific Standard Time (Mexico)",
        "Pakistan Standard Time",
        "Paraguay Standard Time",
        "Romance Standard Time",
        "Russia Time Zone 10",
        "Russia Time Zone 11",
        "Russia Time Zone 3",
        "Russian Standard Time",
        "SA Eastern Standard Time",
        "SA Pacific Standard Time",
        "SA Western Standard Time",
        "SE Asia Standard Time",
        "Saint Pierre Standard Time",
        "Sakhalin Standard Time",
        "Samoa Standard Time",
        "Singapore Standard Time",
        "South Africa Standard Time",
        "Sri Lanka Standard Time",
        "Syria Standard Time",
        "Taipei Standard Time",
        "Tasmania Standard Time",
        "Tocantins Standard Time",
        "Tokyo Standard Time",
        "Tomsk Standard Time",
        "Tonga Standard Time",
        "Transbaikal Standard Time",
        "Turkey Standard Time",
        "Turks And Caicos Standard Time",
        "US Eastern Standard Time",
        "US Mountain Standard Time",
        "UTC",
        "UTC+12",
        "UTC-02",
        "UTC-08",
        "UTC-09",
        "UTC-11",
        "Ulaanbaatar Standard Time",
        "Venezuela Standard Time",
        "Vladivostok Standard Time",
        "W. Australia Standard Time",
        "W. Central Africa Standard Time",
        "W. Europe Standard Time",
        "W. Mongolia Standard Time",
        "West Asia Standard Time",
        "West Bank Standard Time",
        "West Pacific Standard Time",
        "Yakutsk Standard Time",
    }
)


def windows_zone(argument: str, name: object) -> str:
    """The service's name of a time zone.

    Args:
        argument: The argument's name, for the error.
        name: An IANA name such as ``Asia/Seoul``, or already one of Windows such as ``Korea Standard Time``.

    Raises:
        InvalidArgument: There is no such zone, or the service does not know it.
    """
    if isinstance(name, str) and name in KNOWN_ZONES:
        return name
    if not isinstance(name, str):
        raise InvalidArgument(argument, f"is {name!r}; use a name such as 'Asia/Seoul' or 'Korea Standard Time'")
    # What Windows calls each IANA zone is Unicode's to say, and changes: tzlocal brings its table.
    from tzlocal.windows_tz import tz_win, win_tz  # noqa: PLC0415 - only schedules with an IANA name need it

    windows = tz_win.get(name)
    if windows in KNOWN_ZONES:
        return windows
    if windows is not None or name in win_tz:
        raise InvalidArgument(
            argument,
            f"is {name!r}, for Windows {windows or name!r}; the service's list of zones is older and has no such zone. "
            "Choose one of its zones whose clock is right for your dates, or let Airflow's own schedule start the runs",
        )
    similar = difflib.get_close_matches(name, [*KNOWN_ZONES, *tz_win], n=3)
    hint = f"did you mean {', '.join(map(repr, similar))}?" if similar else "use a name such as 'Asia/Seoul'"
    raise InvalidArgument(argument, f"is {name!r}, which is no time zone's name; {hint}")
