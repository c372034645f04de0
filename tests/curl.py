"""A stand-in for curl, for machines without one: as much of it as the demo's tour uses, and an error for anything else.

Run as a program it takes curl's arguments: `-s`, `-i`, `-X METHOD`, `-H FIELD`, `-d DATA` and one http URL.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from urllib.parse import urlsplit


def main() -> None:
    parser = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="fields", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("url")
    asked = parser.parse_args()
    url = urlsplit(asked.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    headers = {"Accept": "*/*", "User-Agent": "curl/stand-in"}
    if asked.data is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    for field in asked.fields:
        name, _, value = field.partition(":")
        headers[name.title()] = value.strip()
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    connection.request(asked.method or ("POST" if asked.data is not None else "GET"), target, asked.data, headers)
    response = connection.getresponse()
    body = response.read()
    if asked.i:
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in response.getheaders())]
        sys.stdout.write("\r\n".join([*lines, "", ""]))
    sys.stdout.flush()
    sys.stdout.buffer.write(body)


if __name__ == "__main__":
    main()
