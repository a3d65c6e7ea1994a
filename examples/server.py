#!/usr/bin/env python3
"""A web server that can be broken, to see what a mesh does about it.

    server.py DIRECTORY PORT

Answers "/" on 127.0.0.1 after two milliseconds, with 500 while DIRECTORY has a file PORT.broken; and "/health" with 503 while
it has a file PORT.ill. "/count" tells how many requests for "/" there were.
"""

import http.server
import os
import sys
import threading
import time

DIRECTORY, PORT = sys.argv[1], int(sys.argv[2])
lock, requests = threading.Lock(), 0


def is_there(what):
    return os.path.exists(os.path.join(DIRECTORY, f"{PORT}.{what}"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global requests
        if self.path == "/count":
            self.answer(200, f"{requests}\n")
        elif self.path == "/health":
            self.answer(*((503, "ill\n") if is_there("ill") else (200, "well\n")))
        else:
            with lock:
                requests += 1
            time.sleep(0.002)
            self.answer(*((500, "broken\n") if is_there("broken") else (200, "here you are\n")))

    def answer(self, code, text):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


Server(("127.0.0.1", PORT), Handler).serve_forever()
