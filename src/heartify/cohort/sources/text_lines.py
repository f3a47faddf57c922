"""Bytes to lines of text, in an encoding that the file declares or the steward names; never guessed.

UTF-8 unless a byte order mark says UTF-16. A file in windows-1252 read as something else would turn names of levels
into others silently, so whatever is not UTF-8 is refused with the option that reads it. One line is bounded.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator

from heartify.cohort.sources.byte_source import DAMAGE, OpenBytes
from heartify.errors import UsageError

BLOCK_BYTES = 1024 * 1024
MAX_LINE = 16 * 1024 * 1024
"""Characters of a line, at most."""

_ENCODINGS = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "cp437", "cp850", "cp852", "mac-roman", "koi8-r",
    *(f"cp125{number}" for number in range(9)),
    *(f"iso8859-{number}" for number in (*range(1, 12), 13, 14, 15, 16)),
)  # fmt: skip
_ALLOWED = {codecs.lookup(name).name for name in _ENCODINGS}
_NUL = "NUL byte"
_NUL_HINT = "damaged, binary, or UTF-16 without a byte order mark: say --encoding utf-16-le, or save it as UTF-8"
_SAVE_HINT = "say --encoding windows-1252 (or what it is written in), or save the file as UTF-8"


class UnreadableTextError(Exception):
    """The text ends here for us: line, what was expected, hint. Holds nothing of the text."""

    def __init__(self, line: int, expected: str, hint: str) -> None:
        super().__init__(expected)
        self.line, self.expected, self.hint = line, expected, hint


def check_encoding(encoding: str | None) -> str | None:
    """Return the codec's name of an encoding that the steward gave, None when none was given.

    Raises UsageError for one that is unknown or no encoding of texts.
    """
    if encoding is None:
        return None
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = ""
    if name == "utf-8-sig":
        return "utf-8"
    if name not in _ALLOWED:
        raise UsageError(
            f"unknown encoding '{encoding[:32]}'",
            hint="utf-8, utf-16, windows-1252, iso-8859-1, iso-8859-15 ...",
        )
    return name


def iterate_lines(source: OpenBytes, encoding: str | None) -> Iterator[str]:
    """Yield the lines with their line ends; a line ends with LF, CRLF or CR.

    Raises UnreadableTextError for bytes that are not text of this encoding, NUL, endless lines and damaged compression.
    """
    block = _read_block(source, 1)
    codec, mark_bytes = _choose_codec(block, encoding)
    decoder = codecs.getincrementaldecoder(codec)()
    line, rest, data = 1, "", block[mark_bytes:]
    while True:
        text, expected = _decode(decoder, data, codec)
        text = rest + text
        cut = len(text) if not block else text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1
        # Not str.splitlines, which ends a line at twelve characters more.
        yield from io.StringIO(text[:cut], newline="")
        line += count_lines(text[:cut])
        rest = text[cut:]
        if expected is not None:
            raise UnreadableTextError(line, expected, _NUL_HINT if expected == _NUL else _SAVE_HINT)
        if len(rest) > MAX_LINE:
            raise UnreadableTextError(line, f"a line of more than {MAX_LINE} characters", "is this a text file?")
        if not block:
            return
        data = block = _read_block(source, line)


def count_lines(text: str) -> int:
    """Return the number of line ends."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _read_block(source: OpenBytes, line: int) -> bytes:
    """Return the next block, at least four bytes unless the file ends, so that a byte order mark is seen whole."""
    data, damaged = b"", False
    try:
        while len(data) < 4 and (more := source.read(BLOCK_BYTES)):
            data += more
    except DAMAGE:
        damaged = True
    if damaged:  # raised out here, so that no exception with bytes of the file in it hangs on ours
        raise UnreadableTextError(line, "the file ends too early or is damaged", "copy it again, and check its size")
    return data


def _choose_codec(first: bytes, encoding: str | None) -> tuple[str, int]:
    """Return the codec and the length of the byte order mark."""
    marks = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
    for mark, codec in marks:
        if first.startswith(mark):
            if encoding is None or codec.startswith(encoding):
                return codec, len(mark)
            raise UnreadableTextError(
                1, f"its byte order mark says {codec}, the option says {encoding}", "leave the encoding out"
            )
    if encoding == "utf-16":
        raise UnreadableTextError(1, "UTF-16 without a byte order mark", "say utf-16-le or utf-16-be")
    return encoding or "utf-8", 0


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, codec: str) -> tuple[str, str | None]:
    """Return the text up to the first byte that is none, and what was expected there, None when all is text."""
    expected = None
    try:
        text = decoder.decode(data, final=not data)
    except UnicodeDecodeError as exc:
        # Nothing is raised in here: the codec's exception carries bytes of the file.
        text = bytes(exc.object[: exc.start]).decode(codec, "replace")
        expected = "not UTF-8" if codec == "utf-8" else f"not {codec}"
    if "\0" in text:
        return text[: text.index("\0")], _NUL
    return text, expected
