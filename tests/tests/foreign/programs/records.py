"""Records that are not easy to send: `records.py <socket>`."""

import logging
import logging.handlers
import sys
import threading

from numbered import fail

handler = logging.handlers.SocketHandler(sys.argv[1], None)
handler.handleError = fail
logger = logging.getLogger("app.db")
logger.addHandler(handler)
logger.setLevel(1)

try:
    raise ConnectionError("no route\nto the host")
except ConnectionError:
    logger.exception("the query %r failed", threading.Lock())
logger.warning("extra", extra={"request_id": "r-1", "rows": 17, "ratio": 0.5, "cached": False})
logger.info("long %s", "x" * 900_000)
logger.info("longer %s", "y" * 3_000_000, extra={"rows": 18})
logger.info("stack", stack_info=True)
logger.info("%(who)s has %(count)d", {"who": "a dictionary", "count": 3})
logger.info("ümläut ☃ %s", "\U0001f980")
logger.log(5, "a level of its own")
logger.critical("last")
