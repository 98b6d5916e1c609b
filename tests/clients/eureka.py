"""Registers a small server with py_eureka_client, finds ORDER-SERVICE, and cancels when its input says so.

Arguments: the registry's address with the key as the password, and the application's name. It prints "ready PORT" when it is
registered, its server answers every request with "python PORT", and it ends after a line of input.
"""

import asyncio
import http.server
import sys
import threading

from py_eureka_client import eureka_client


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"python {self.server.server_port}".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def main(registry, app):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = await eureka_client.init_async(
        eureka_server=registry,
        app_name=app,
        instance_host="127.0.0.1",
        instance_ip="127.0.0.1",
        instance_port=server.server_port,
        renewal_interval_in_secs=1,
        duration_in_secs=3,
    )
    health = await client.do_service("ORDER-SERVICE", "/actuator/health/liveness", return_type="json")
    assert health["status"] == "UP", health
    print("ready", server.server_port, flush=True)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.readline)
    await client.stop()
    print("stopped", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
