"""What a plot is made of: shapes in the user units of a viewBox, a title, and a description for those who can't see.

The template writes shapes as inline SVG. Colour and dash live in the style sheet, so that light, dark and printed pages
all work. A drawing holds released numbers only: it adds none that its table doesn't have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """One SVG element: `tag` says which of the other fields it has; `style` is its class."""

    tag: str
    style: str
    points: tuple[Point, ...] = ()
    text: str = ""
    radius: float = 0.0

    @property
    def path(self) -> str:
        """Return the points as SVG writes them: `x,y x,y`."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


@dataclasses.dataclass(frozen=True, slots=True)
class Drawing:
    """One plot; `title` and `description` are read out in its place."""

    title: str
    description: str
    width: float
    height: float
    shapes: tuple[Shape, ...]


def line(style: str, start: Point, end: Point) -> Shape:
    """Return a straight line."""
    return Shape("line", style, (_near(start), _near(end)))


def polyline(style: str, points: Iterable[Point]) -> Shape:
    """Return a line through points."""
    return Shape("polyline", style, tuple(map(_near, points)))


def polygon(style: str, points: Iterable[Point]) -> Shape:
    """Return a filled area."""
    return Shape("polygon", style, tuple(map(_near, points)))


def band(style: str, lower: Sequence[Point], upper: Sequence[Point]) -> Shape:
    """Return the area between two lines of the same direction."""
    return polygon(style, (*lower, *reversed(upper)))


def box(style: str, corner: Point, opposite: Point) -> Shape:
    """Return a rectangle with horizontal sides."""
    (left, top), (right, bottom) = corner, opposite
    return polygon(style, ((left, top), (right, top), (right, bottom), (left, bottom)))


def diamond(style: str, left: float, right: float, centre: Point, *, half_height: float = 6.0) -> Shape:
    """Return a diamond from `left` to `right`, its tips at the height of the centre."""
    x, y = centre
    return polygon(style, ((left, y), (x, y - half_height), (right, y), (x, y + half_height)))


def dot(style: str, centre: Point, radius: float = 3.5) -> Shape:
    """Return a filled circle."""
    return Shape("circle", style, (_near(centre),), radius=radius)


def text(style: str, at: Point, words: str) -> Shape:
    """Return words whose baseline starts (or, by style, ends or is centred) at a point."""
    return Shape("text", style, (_near(at),), text=words)


def _near(point: Point) -> Point:
    """A tenth of a unit is finer than any screen; more digits would only make the page longer."""
    return round(point[0], 1), round(point[1], 1)
