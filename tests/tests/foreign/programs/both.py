"""One process that logs over streams, one after another, and datagrams:
`both.py <run directory> <folder>`. It connects anew for as long as the test goes on."""

import logging
import logging.handlers
import os
import sys
import time

from numbered import is_over, message

run_dir, folder = sys.argv[1:]
logger = logging.getLogger("both")
logger.setLevel(logging.DEBUG)
logging.raiseExceptions = False
datagrams = logging.handlers.SysLogHandler(os.path.join(run_dir, "dgram"))
n = 0
while not is_over(folder):
    streams = [
        logging.handlers.SocketHandler(os.path.join(run_dir, "socket"), None) for _ in range(3)
    ]
    for _ in range(100):
        for handler in [datagrams, *streams]:
            record = logger.makeRecord("both", 20, __file__, 1, message("both", n), None, None)
            handler.handle(record)
            n += 1
        time.sleep(0.0002)
    for stream in streams:
        stream.close()
