"""An HTTP server that offers itself in the mesh for as long as it lives.

    python3 server.py NAME ID [PORT]        PORT: 0, any free one, without
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from commy import CommyMesh


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{id} says hello\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


name, id, port = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
server = ThreadingHTTPServer(("127.0.0.1", port), Hello)
with CommyMesh(id, server.server_port) as mesh:
    mesh.register_service(name, id, "127.0.0.1", server.server_port, metadata='{"language": "Python"}')
    print(f"{id} listens on port {server.server_port}", flush=True)
    server.serve_forever()
