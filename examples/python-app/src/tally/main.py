"""The command line: tally serve, tally count."""

import argparse
import json
import sys
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from tally.count import count_words


def application(environ, start_response):
    """Answers GET /?text=WORDS."""
    text = parse_qs(environ["QUERY_STRING"]).get("text", [""])[0]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(count_words(text)).encode()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="tally")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--port", type=int, default=8000)
    commands.add_parser("count")
    arguments = parser.parse_args()
    if arguments.command == "count":
        json.dump(count_words(sys.stdin.read()), sys.stdout)
        return
    with make_server("", arguments.port, application) as server:
        server.serve_forever()
