"""A pool of forked processes that share the connection of their parent:
`pool.py <socket> <processes> <records> <bytes>`."""

import logging
import logging.handlers
import multiprocessing
import sys

from numbered import fail, message

path, processes, records, ballast = sys.argv[1], *map(int, sys.argv[2:])
handler = logging.handlers.SocketHandler(path, None)
handler.handleError = fail
logger = logging.getLogger("pool")
logger.addHandler(handler)
logger.setLevel(logging.DEBUG)


def work(source):
    for n in range(records):
        logger.info(message(source, n), extra={"ballast": "z" * ballast})
    return source


if __name__ == "__main__":
    logger.info("the connection is open")
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        assert sorted(pool.map(work, range(processes), 1)) == list(range(processes))
