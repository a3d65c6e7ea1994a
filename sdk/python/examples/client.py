"""Spreads HTTP requests over the instances of a service and reports what came of them.

    python3 client.py NAME REQUESTS
"""

import sys
from collections import Counter
from http.client import HTTPConnection

from commy import CommyMesh, OpenFlag


def get(endpoint: str, port: int) -> None:
    connection = HTTPConnection(endpoint, port, timeout=2)
    try:
        connection.request("GET", "/")
        if connection.getresponse().status != 200:
            raise ConnectionError("not answered with 200")
    finally:
        connection.close()


name, requests = sys.argv[1], int(sys.argv[2])
with CommyMesh.attach(flags=OpenFlag.MUST_EXIST) as mesh:
    answered: Counter[int] = Counter()
    for _ in range(requests):
        target = mesh.select_service(name)
        with mesh.request(target):  # counted, timed, and a failure where it raises
            get(target.endpoint, target.port)
            answered[target.port] += 1
    for port, number in sorted(answered.items()):
        print(f"port {port}: {number} answered")
    print(f"99 % within {mesh.get_latency(name, 0.99) / 1e6:.1f} ms")
