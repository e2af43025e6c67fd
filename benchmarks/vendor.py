"""A vendor on loopback that counts the users of a body and says so.

`python -m benchmarks.vendor [SECONDS]` prints its port; it waits so long before each answer.
"""

from __future__ import annotations

import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Vendor(BaseHTTPRequestHandler):
    """Answers every POST, at once unless it waits."""

    wait = 0.0
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        count = self.rfile.read(int(self.headers["content-length"])).count(b'"email"')
        time.sleep(self.wait)
        body = b'{"data":{"success_count":%d,"total_count":%d}}' % (count, count)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    Vendor.wait = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    print(server.server_port, flush=True)
    server.serve_forever()
