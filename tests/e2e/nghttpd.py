"""nghttpd, an origin that speaks HTTP/2 only, serving files."""
import socket
import subprocess

from process import free_port
from programs import needs
from wire import until


class Nghttpd:
    """files: {name: bytes}; "index.html" answers for /."""

    def __init__(self, folder, files, arguments=()):
        program = needs("nghttpd")
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [program, "--no-tls", "-d", folder, "-a", "127.0.0.1", *arguments, str(self.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens, "nghttpd")

    def _listens(self):
        assert self.process.poll() is None, "nghttpd ended"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.kill()
        self.process.wait()
