"""Writes real pickles of odd log records, and what a reader must make of them, as lines of JSON.

Every record is pickled in each protocol, both as SocketHandler does it and as people do who
pickle the record's dictionary themselves.
"""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import json
import logging
import logging.handlers
import os
import pathlib
import pickle
import re
import socket
import struct
import subprocess
import sys
import uuid
from fractions import Fraction

ANY = object()
PROTOCOLS = range(min(pickle.HIGHEST_PROTOCOL, 5) + 1)


class Plain:
    def __init__(self):
        self.a = 1
        self.b = "two"


class Slots:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1


class Reduced:
    def __reduce__(self):
        return (Reduced, (1, "a"))


class Color(enum.Enum):
    RED = 1


class Words(list):
    pass


Point = collections.namedtuple("Point", "x y")


def repaired(text):
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def shown(text):
    return {"shown": text}


def expected_value(value):
    """What a field of a plain type must become."""
    if value is None:
        return shown("None")
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        if 0 <= value < 1 << 64:
            return {"u64": str(value)}
        if -(1 << 63) <= value < 0:
            return {"i64": str(value)}
        return shown(str(value))
    if isinstance(value, float):
        return {"f64": struct.pack(">d", value).hex()}
    if isinstance(value, str):
        return {"str": repaired(value)}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    return shown(repaired(repr(value)))


itself = [1]
itself.append(itself)
itself_in_dict = {"a": 1}
itself_in_dict["itself"] = itself_in_dict
shared = ["shared", 1.5]
utc = datetime.timezone.utc
words = Words(["x"])
words.note = 1

# Names, values, and the text that a value must be shown as where `repr` is not it.
EXTRA = [
    ("unicode", "grün \U0001f600 日本"),
    ("surrogates", "a\ud800b\udfffc"),
    ("nul", "a\0b\n\r\t\\ 'quoted' \x1a"),
    ("empty", ""),
    ("zero", 0),
    ("small", 255),
    ("medium", 65535),
    ("int32", -(1 << 31)),
    ("int64", 1 << 62),
    ("least", -(1 << 63)),
    ("u64", (1 << 64) - 1),
    ("huge", 1 << 64),
    ("huge_negative", -(1 << 63) - 1),
    ("googol", 10**100),
    ("negative_googol", -(10**100)),
    ("power", -(1 << 1000)),
    ("minus", -1),
    ("true", True),
    ("false", False),
    ("none", None),
    ("nan", float("nan")),
    ("inf", float("inf")),
    ("minus_inf", float("-inf")),
    ("minus_zero", -0.0),
    ("pi", 3.141592653589793),
    ("tiny", 5e-324),
    ("large", 1.7976931348623157e308),
    ("floats", [1e16, 1e15, 1e-4, 1e-5, 1.5e300, -0.0, 100.0, float("nan"), float("-inf")]),
    ("nested", {"a": [1, (2, {"b": [None, True, "x'y", 'a"b', "\x00é\u200b"]})]}),
    ("shared", [shared, shared, {"again": shared}]),
    ("itself", itself),
    ("itself_in_dict", itself_in_dict),
    ("bytes", b"ab\xff\0'"),
    ("no_bytes", b""),
    ("long_bytes", bytes(range(256)) * 2),
    ("bytearray", bytearray(b"ab\xff\0")),
    ("no_bytearray", bytearray()),
    ("bytes_in_list", [b"ab\xff", b"it's", bytearray(b"x"), bytearray()]),
    ("set", {1}),
    ("no_set", set()),
    ("more_set", set(range(20))),
    ("frozenset", frozenset([1, 2])),
    ("no_frozenset", frozenset()),
    ("tuple0", ()),
    ("tuple1", (1,)),
    ("tuple2", (1, 2)),
    ("tuple3", (1, 2, 3)),
    ("tuple4", (1, 2, 3, 4)),
    ("tuple5", (1, (), (2,), [], {})),
    ("complex", 1 + 2j),
    ("complexes", [-1.5j, complex(0.0, 1.0), complex(1e20, -0.5)]),
    ("datetime", datetime.datetime(2020, 1, 2, 3, 4, 5, 6, utc), "2020-01-02T03:04:05.000006+00:00"),
    ("naive", datetime.datetime(1999, 12, 31, 23, 59), "1999-12-31T23:59:00"),
    ("fold", datetime.datetime(2020, 10, 25, 2, 30, fold=1), "2020-10-25T02:30:00"),
    (
        "offset",
        datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone(-datetime.timedelta(hours=5, minutes=30))),
        "2020-01-02T00:00:00-05:30",
    ),
    ("date", datetime.date(2020, 1, 2), "2020-01-02"),
    ("time", datetime.time(1, 2, 3, 400000), "01:02:03.400000"),
    ("timedelta", datetime.timedelta(days=1, hours=2, seconds=3.5), "P1DT2H3.5S"),
    ("negative_timedelta", datetime.timedelta(seconds=-5), "-PT5S"),
    ("no_timedelta", datetime.timedelta(), "PT0S"),
    ("decimal", decimal.Decimal("1.50"), "1.50"),
    ("uuid", uuid.UUID("ffffffff-0000-4000-8000-000000000001"), "ffffffff-0000-4000-8000-000000000001"),
    ("small_uuid", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ("path", pathlib.PurePosixPath("/usr/lib/x.so"), "/usr/lib/x.so"),
    ("relative", pathlib.PurePosixPath("a/b"), "a/b"),
    ("here", pathlib.Path("/tmp"), "/tmp"),
    ("windows", pathlib.PureWindowsPath("C:\\a\\b"), "C:\\a\\b"),
    ("dates", [datetime.date(2020, 1, 2), decimal.Decimal(7)], "[2020-01-02, 7]"),
    ("enum", Color.RED, ("__main__.Color(1)", "__main__.Color.RED")),
    ("namedtuple", Point(1, "y"), "__main__.Point(1, 'y')"),
    ("plain", Plain(), "__main__.Plain(a=1, b='two')"),
    ("reduced", Reduced(), "__main__.Reduced(1, 'a')"),
    ("words", words, ANY),
    ("exception", ValueError("x", 1), "ValueError('x', 1)"),
    ("class", ValueError, "ValueError"),
    ("function", len, "len"),
    ("fraction", fractions.Fraction(1, 3), ANY),
    ("range", range(3), "range(0, 3, 1)"),
    ("ordered", collections.OrderedDict(a=1), "OrderedDict({'a': 1})"),
    ("defaultdict", collections.defaultdict(list, {1: [2]}), "defaultdict(list, {1: [2]})"),
    ("deque", collections.deque([1, 2]), "deque([1, 2])"),
    ("bounded_deque", collections.deque([1], 3), "deque([1], maxlen=3)"),
    ("counter", collections.Counter("a"), "collections.Counter({'a': 1})"),
    # From modules whose functions are dangerous, but honest.
    ("failed", subprocess.CalledProcessError(1, ["ls"]), ANY),
    ("stat", os.stat("/"), ANY),
    ("family", socket.AF_INET, ANY),
    ("unknown_host", socket.gaierror(-2, "no name"), "socket.gaierror(-2, 'no name')"),
    ("partial", functools.partial(int, base=2), ANY),
]

try:
    import zoneinfo

    berlin = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    EXTRA.append(("zone", berlin, "2020-01-02T03:04:05[Europe/Berlin]"))
except Exception:
    pass

MESSAGES = [
    ("plain", ()),
    ("", ()),
    ("100%", ()),
    ("%s and %r", ("a'b", "a'b")),
    ("%d %i %u %5d|%-5d|%05d|%+d|% d|%.3d", (1, -2, 3, 4, 5, -6, 7, 8, 9)),
    ("%d %d %d", (1.9, -0.5, True)),
    ("%d", (10**30,)),
    ("%x %X %o %#x %#o %08x %x", (255, 255, 8, 255, 8, 255, -255)),
    ("%f %.2f %8.3f|%-8.1f|%08.2f %+f %.0f", (1.5, 2.345, 3.14159, 2.0, -1.5, 1.0, 2.5)),
    ("%e %.2e %E %e", (12345.678, 0.00012, 1e100, 0.0)),
    ("%g %g %g %g %.3g %G", (1.0, 1e-5, 123456789.0, 0.0001, 1234.5, 1e-10)),
    ("%f %g %e %F %f", (float("nan"), float("inf"), float("-inf"), float("nan"), 3)),
    ("%c%c %%", (65, "é")),
    ("%10s|%-10s|%.2s|%5.1s|", ("a", "b", "abc", "xyz")),
    ("%*d|%-*d|%.*f", (5, 1, 5, 2, 2, 1.23456)),
    ("%s %s %s", ([1, "a"], {"k": None}, (1.0,))),
    ("%a %s", ("é\U0001f600", b"by\xff")),
    ("%(a)s is %(b)05.1f", ({"a": "x", "b": 2.25},)),
    ("%ld %hd", (1, 2)),
]

# Python fails with these, so that the message stays.
MISFITS = [("%d", ("a",)), ("%s %s", ("a",)), ("a", ("b",)), ("%y", (1,)), ("%", (1,)), ("%(a)s", (1,))]

LEFT_OUT = {
    *("name", "msg", "args", "levelno", "pathname", "filename", "module", "exc_info", "lineno"),
    *("funcName", "created", "msecs", "relativeCreated", "thread", "process"),
}
RENAMED = {"processName": "process_name", "threadName": "thread_name", "taskName": "task_name"}
OPTIONAL = {"exc_text", "stack_info", "taskName"}


def expectation(record, message, level, special):
    fields = []
    for key, value in record.items():
        if key in LEFT_OUT and key not in special:
            continue
        if key == "message" and value == message:
            continue
        if key in OPTIONAL and value is None:
            continue
        if key == "levelname" and value in ("DEBUG", "INFO", "WARNING", "ERROR"):
            continue
        expected = special.get(key) or expected_value(value)
        fields.append([RENAMED.get(key, key), expected])
    return {
        "level": level,
        "target": record["name"],
        "message": repaired(message),
        "time": str(round(Fraction(record["created"]) * 10**9)),
        "file": record["pathname"],
        "line": record["lineno"],
        "module": record["funcName"],
        "pid": record["process"],
        "fields": fields,
    }


class Protocol:
    """Stands for the module `pickle` within `logging.handlers`."""

    def __init__(self, protocol):
        self.protocol = protocol

    def dumps(self, value, _):
        return pickle.dumps(value, self.protocol)


def write(case, protocol, body, expected):
    line = {"case": case, "protocol": protocol, "body": body.hex(), "expected": expected}
    sys.stdout.write(json.dumps(line) + "\n")


def record_of(template="message", args=(), number=logging.INFO, **more):
    logger = logging.getLogger("app.worker")
    extra = more.pop("extra", None)
    exc_info = more.pop("exc_info", None)
    stack = more.pop("sinfo", None)
    return logger.makeRecord(
        logger.name, number, "/srv/app.py", 42, template, args, exc_info, "handle", extra, stack
    )


def both(case, level="Info", message=None, special=None, raw=None, protocols=PROTOCOLS, **how):
    """Pickles a record as the handler does, and its dictionary where `raw` is not False."""
    special = special or {}
    for protocol in protocols:
        handler = logging.handlers.SocketHandler("localhost", 1)
        logging.handlers.pickle = Protocol(protocol)
        record = record_of(**how)
        text = record.getMessage() if message is None else message
        if raw is not True:
            body = handler.makePickle(record)[4:]
            write(case, protocol, body, expectation(record.__dict__, text, level, special))
        if raw is not False:
            record = record_of(**how)
            arguments = {"args": expected_value(record.args)} if record.args else {}
            body = pickle.dumps(record.__dict__, protocol)
            expected = expectation(record.__dict__, text, level, dict(special, **arguments))
            write(case + ", raw", protocol, body, expected)


for name, value, *text in EXTRA:
    special = {}
    if text:
        texts = text[0] if isinstance(text[0], tuple) else (text[0],)
        special["extra"] = {"any": True} if text[0] is ANY else {"one_of": list(texts)}
    both(name, extra={"extra": value}, special=special)
for template, args in MESSAGES:
    both("message " + template, template=template, args=args)
for template, args in MISFITS:
    both("misfit " + template, template=template, args=args, message=template, raw=True)
both("long message", template="é" * 500_000, protocols=(0, 1, 4), raw=False)
both("odd message", template="a\ud800\0\n")
both("message that is no string", template=["a", 1], raw=True, message="['a', 1]")

for protocol in PROTOCOLS:
    # The pickler that is written in Python, which other implementations use.
    record = record_of(extra={"extra": [shared, shared, {"a": (1, (2,))}, 10**30]})
    body = pickle._dumps(record.__dict__, protocol)
    write("Python's own pickler", protocol, body, expectation(record.__dict__, "message", "Info", {}))

logging.addLevelName(25, "NOTICE")
for number, level in [(50, "Error"), (40, "Error"), (30, "Warn"), (25, "Info"), (20, "Info")]:
    both(f"level {number}", number=number, level=level)
for number, level in [(10, "Debug"), (5, "Trace"), (0, "Trace"), (-3, "Trace"), (39, "Warn")]:
    both(f"level {number}", number=number, level=level)

try:
    1 / 0
except ZeroDivisionError:
    both("traceback", exc_info=sys.exc_info(), raw=False)
triple = (ValueError, ValueError("x"), None)
special = {"exc_info": shown("(ValueError, ValueError('x'), None)")}
both("exception without a traceback", exc_info=triple, special=special, raw=True)
both("stack", sinfo="Stack (most recent call last):\n  File x")
many = {f"key {index}": f"value {index}" for index in range(1000)}
both("a thousand keys", extra=many)
