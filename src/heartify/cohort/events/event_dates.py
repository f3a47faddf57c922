"""When an event happened, as far as its text tells, with every doubt kept: nothing is rounded to a day it may not be.

A time with an offset names an instant, and the same instant has another date elsewhere; "2015-03" may be any day of
March. So an event carries the written day when there is one, and the earliest and latest day that it may have been.
A factor is compared with an outcome by its latest day against the outcome's earliest. For two instants that is always
on the safe side: whatever the offsets, the one that isn't earlier has the UTC date that isn't earlier.

Source: FHIR R4, section 2.24.0.1 (date, dateTime, instant).
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass, replace

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?P<fraction>\.[0-9]{1,12})?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class EventDate:
    """A day or a doubt. `day`: the written day, None when only a month or year is known.

    `first` and `last`: the days as written that it lies between, which windows are judged by. `earliest` and `latest`:
    the same with the date in UTC taken in. `moment`: the instant in UTC, which only orders events of one day.
    """

    day: dt.date | None
    first: dt.date
    last: dt.date
    earliest: dt.date
    latest: dt.date
    moment: dt.datetime | None = None

    def until(self, end: EventDate) -> EventDate:
        """Return the date of what began here and was known at the end of a period."""
        return EventDate(
            day=end.day,
            first=end.first,
            last=end.last,
            earliest=min(self.earliest, end.earliest),
            latest=max(self.latest, end.latest),
            moment=end.moment,
        )

    def recorded_at(self, recorded: EventDate) -> EventDate:
        """Return the same event, known no earlier than it was recorded."""
        return replace(self, last=max(self.last, recorded.last), latest=max(self.latest, recorded.latest))


def on_day(day: dt.date) -> EventDate:
    """Return the date of an event whose day is known and nothing more."""
    return EventDate(day, day, day, day, day)


def parse_fhir_date(text: str) -> EventDate | None:
    """Parse a FHIR date, dateTime or instant; None when it isn't one."""
    found = _DATE.fullmatch(text) if len(text) <= 48 else None
    if not found:
        return None
    try:
        year, month, day = int(found["year"]), found["month"], found["day"]
        if day is None:
            return _partial(year, None if month is None else int(month))
        date = dt.date(year, int(month), int(day))
        return on_day(date) if found["time"] is None else _instant(date, found["time"], found["zone"])
    except ValueError:
        return None


def middle(date: EventDate) -> dt.date:
    """Return the written day, or the middle of the month or year: 15th, 1 July. For birth dates only."""
    if date.day is not None:
        return date.day
    if (date.first.year, date.first.month) == (date.last.year, date.last.month):
        return date.first.replace(day=15)
    return dt.date(date.first.year, 7, 1)


def _partial(year: int, month: int | None) -> EventDate:
    first = dt.date(year, month or 1, 1)
    last_month = month or 12
    last = dt.date(year, last_month, calendar.monthrange(year, last_month)[1])
    return EventDate(None, first, last, first, last)


def _instant(date: dt.date, time: str, zone: str | None) -> EventDate:
    hour, minute, second = (int(part) for part in (time + ":00").split(":")[:3])
    moment = dt.datetime.combine(date, dt.time(hour, minute, min(second, 59)))  # FHIR allows a leap second
    if zone is not None and zone != "Z":
        offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        if offset > dt.timedelta(hours=14):
            raise ValueError
        try:
            moment = moment - offset if zone[0] == "+" else moment + offset
        except OverflowError:
            raise ValueError from None
    return EventDate(date, date, date, min(date, moment.date()), max(date, moment.date()), moment)
