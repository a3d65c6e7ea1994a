#!/usr/bin/env python3
"""A web server that can be broken, to see what a mesh does about it.

    server.py PORT [FILE]

Answers "/" on 127.0.0.1 after two milliseconds; with 500 while FILE exists. /health says the same and is not counted;
/count tells how many requests there were.
"""

import http.server
import os
import sys
import threading
import time

PORT, BREAKER = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
lock, requests = threading.Lock(), 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global requests
        broken = BREAKER != "" and os.path.exists(BREAKER)
        if self.path == "/count":
            self.answer(200, f"{requests}\n")
            return
        if self.path != "/health":
            with lock:
                requests += 1
            time.sleep(0.002)
        self.answer(500 if broken else 200, "broken\n" if broken else "well\n")

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
