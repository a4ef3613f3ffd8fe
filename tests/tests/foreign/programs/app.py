"""A web application that fails where it is told to."""


def app(environ, start_response):
    if environ["PATH_INFO"] == "/missing":
        raise LookupError("no such page")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
