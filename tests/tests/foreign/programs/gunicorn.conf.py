"""gunicorn that logs with a handler of Python's: `HANDLER` is `socket` or `syslog`."""

import os

bind = "unix:" + os.environ["BIND"]
workers = 4
accesslog = "-"
access_log_format = "%({x-line}i)s"
run_dir = os.environ["LOG_DIR"]
handler = {
    "socket": {
        "class": "logging.handlers.SocketHandler",
        "host": run_dir + "/socket",
        "port": None,
    },
    "syslog": {"class": "logging.handlers.SysLogHandler", "address": run_dir + "/dgram"},
}[os.environ["HANDLER"]]
own = {"level": "INFO", "handlers": ["fleetlog"], "propagate": False}
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"fleetlog": handler},
    "root": {"level": "INFO", "handlers": ["fleetlog"]},
    "loggers": {
        "gunicorn.error": {**own, "qualname": "gunicorn.error"},
        "gunicorn.access": {**own, "qualname": "gunicorn.access"},
    },
}
