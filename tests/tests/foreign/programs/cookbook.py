"""Python's logging cookbook, "Logging to a single file from multiple processes", with another
handler: `cookbook.py <socket> <processes> <records>`."""

import logging
import logging.handlers
import multiprocessing
import random
import sys

from numbered import fail, message

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
LOGGERS = ["a.b.c", "d.e.f"]


def worker_configurer(path):
    handler = logging.handlers.SocketHandler(path, None)
    handler.handleError = fail
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)


def worker_process(path, source, records):
    worker_configurer(path)
    for n in range(records):
        logger = logging.getLogger(random.choice(LOGGERS))
        level = random.choice(LEVELS)
        logger.log(level, "%s", message(source, n), extra={"logged_at": level})


def main():
    path, processes, records = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    workers = []
    for number in range(processes):
        worker = multiprocessing.Process(target=worker_process, args=(path, number, records))
        workers.append(worker)
        worker.start()
    worker_process(path, "parent", records)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


if __name__ == "__main__":
    main()
