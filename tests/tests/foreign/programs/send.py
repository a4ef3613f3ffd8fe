"""Logs numbered records and keeps account of those that were sent:
`send.py <how> <run directory> <source> <folder> <end> <records> <pause>`.

It ends after so many records, or when the test says so; with the end `failure` also when the first
record can't be sent. An account counts a record as sent if the client's own code says so.
"""

import json
import logging
import logging.handlers
import os
import socket
import sys
import time

from numbered import Account, is_over, message

how, run_dir, source, folder, end, records, pause = sys.argv[1:]
path = os.path.join(run_dir, "dgram" if how.endswith("dgram") else "socket")
failures = []


def python():
    handler = logging.handlers.SocketHandler(path, None)
    emit = through(handler)

    def send(text):
        # SocketHandler tells nobody of a failure but forgets its connection.
        return emit(text) and handler.sock is not None

    return send


def syslog(kind):
    return through(logging.handlers.SysLogHandler(path, socktype=kind))


def through(handler):
    handler.handleError = lambda record: failures.append(sys.exc_info()[1])
    logger = logging.getLogger("app." + how)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)

    def send(text):
        failures.clear()
        logger.info(text)
        return not failures

    return send


def encoded(text):
    return json.dumps({"level": "info", "msg": text}).encode() + b"\n"


def raw(kind):
    connection = None

    def send(text):
        nonlocal connection
        try:
            if connection is None:
                connection = socket.socket(socket.AF_UNIX, kind)
                connection.connect(path)
            connection.sendall(encoded(text))
            return True
        except OSError:
            connection = None
            return False

    return send


def briefly():
    return lambda text: raw(socket.SOCK_STREAM)(text)


send = {
    "python": python,
    "syslog-stream": lambda: syslog(socket.SOCK_STREAM),
    "syslog-dgram": lambda: syslog(socket.SOCK_DGRAM),
    "json": lambda: raw(socket.SOCK_STREAM),
    "json-dgram": lambda: raw(socket.SOCK_DGRAM),
    "brief": briefly,
}[how]()

unit = "x\ny" if how.startswith("syslog") else "x"
account = Account(folder, source)
for n in range(int(records)):
    begin = time.monotonic()
    is_sent = send(message(source, n, unit))
    account.longest = max(account.longest, time.monotonic() - begin)
    account.attempted += 1
    if is_sent:
        account.sent.append(n)
    elif end == "failure":
        break
    if n % 16 == 0 and is_over(folder):
        break
    if float(pause):
        time.sleep(float(pause))
account.close()
