"""One sidecar between a client and an origin, each of which speaks HTTP/1.1 or HTTP/2.

The fixture `pair` runs a test four times, h1-h1, h1-h2, h2-h1 and h2-h2: the client's protocol, then
the origin's. What it makes looks alike in all of them; see peers.py.
"""
import pytest

import peers_h1
import peers_h2
from process import sanitized

ALL = ["h1-h1", "h1-h2", "h2-h1", "h2-h2"]


class Pair:
    def __init__(self, name, sidespan, closing, port):
        self.name, self.port = name, port
        self.client_protocol, self.upstream_protocol = name.split("-")
        self._sidespan, self._closing = sidespan, closing
        self.sidecar = None

    @property
    def same(self):
        """Both sides speak the same."""
        return self.client_protocol == self.upstream_protocol

    @property
    def client_version(self):
        return {"h1": "1.1", "h2": "2"}[self.client_protocol]

    @property
    def upstream_version(self):
        return {"h1": "1.1", "h2": "2"}[self.upstream_protocol]

    def spelled(self, name):
        """A field's name as it arrives: HTTP/2 knows lower case alone."""
        return name if self.name == "h1-h1" else name.lower()

    # -- what stands on both sides

    def client(self, port=None, **arguments):
        make = peers_h1.H1Client if self.client_protocol == "h1" else peers_h2.H2Client
        return self._closing(make(port or self.port, **arguments))

    def origin(self, handler=None, **arguments):
        """Answers by itself."""
        make = peers_h1.H1Origin if self.upstream_protocol == "h1" else peers_h2.H2Origin
        return self._closing(make(handler, **arguments))

    def raw_origin(self, **arguments):
        """Is driven by the test."""
        make = peers_h1.H1RawOrigin if self.upstream_protocol == "h1" else peers_h2.H2RawOrigin
        return self._closing(make(**arguments))

    # -- the sidecar

    def cluster(self, upstream, name="app", extra=""):
        """As the file says it; upstream: an origin, an address, or several of them."""
        several = upstream if isinstance(upstream, (list, tuple)) else [upstream]
        endpoints = " ".join(f"endpoint {getattr(u, 'address', u)};" for u in several)
        return f"cluster {name} {{ {endpoints} protocol {self.upstream_protocol}; {extra} }}\n"

    def inbound(self, upstream, extra="", rest="", cluster="", **arguments):
        """Before one origin; extra goes into `route /`, cluster into its cluster."""
        return self.start(f"""
            inbound {{ listen 127.0.0.1:{self.port}; route / {{ to app; {extra} }} }}
            {self.cluster(upstream, extra=cluster)} {rest}
            """, **arguments)

    def outbound(self, routes, rest="", **arguments):
        """For calls of a service; the clusters are the test's to say."""
        return self.start(f"outbound {{ listen 127.0.0.1:{self.port}; {routes} }}\n{rest}",
                          **arguments)

    def start(self, config, **arguments):
        self.sidecar = self._sidespan(config, **arguments)
        self.sidecar.port = self.port
        return self.sidecar

    # -- a request by hand

    def asked(self, upstream, *arguments, client=None, **named):
        """(call, served): one request, from a new client to the origin."""
        call = (client or self.client()).open(*arguments, **named)
        return call, upstream.take()


# Tests of one protocol's own, over the pairs that have it on that side.
H2_CLIENT = pytest.mark.parametrize("pair", ["h2-h1", "h2-h2"], indirect=True)
H2_UPSTREAM = pytest.mark.parametrize("pair", ["h1-h2", "h2-h2"], indirect=True)
H2_BOTH = pytest.mark.parametrize("pair", ["h2-h2"], indirect=True)

MIB = 1 << 20


def bounded(sidecar, before, growth=4 * MIB):
    """It holds little more memory than before: windows and buffers, never bodies."""
    if not sanitized():
        grown = sidecar.rss() - before
        assert grown < growth, f"{grown / MIB:.1f} MiB more than before"
