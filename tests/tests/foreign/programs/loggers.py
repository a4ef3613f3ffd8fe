"""Libraries that log JSON, over a plain socket: `loggers.py <library> <socket> <records>`."""

import logging
import socket
import sys

from numbered import message

library, path, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
stream = connection.makefile("w")


def loguru():
    from loguru import logger

    logger.remove()
    logger.add(stream.write, serialize=True, level="TRACE")
    try:
        raise ConnectionError("no route")
    except ConnectionError:
        logger.exception("it failed")
    return logger.info, lambda: logger.bind(rows=17, request="r-1").warning("with fields")


def structlog():
    import structlog

    processors = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(processors, logger_factory=structlog.PrintLoggerFactory(stream))
    logger = structlog.get_logger().bind(logger="shop")
    try:
        raise ConnectionError("no route")
    except ConnectionError:
        logger.exception("it failed")
    return logger.info, lambda: logger.warning("with fields", rows=17, request="r-1")


def json_logger():
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{"))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        raise ConnectionError("no route")
    except ConnectionError:
        logger.exception("it failed")
    return logger.info, lambda: logger.warning("with fields", extra={"rows": 17, "request": "r-1"})


libraries = {"loguru": loguru, "structlog": structlog, "pythonjsonlogger": json_logger}
log, log_fields = libraries[library]()
for n in range(records):
    log(message(library, n))
log_fields()
stream.flush()
connection.close()
