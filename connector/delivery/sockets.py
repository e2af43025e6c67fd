"""Sockets that keep to a deadline, and that another thread can cut.

A deadline is a moment by `time.monotonic`: the same one for every call of an attempt, so that a
vendor which keeps sending a little cannot hold an attempt for longer.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from queue import Empty, SimpleQueue

from connector.connection.urls import is_forbidden
from connector.errors import (
    CutError,
    ForbiddenAddressError,
    SendError,
    UnreachableError,
    UntrustedError,
)

# Seconds for each address of a host, so that one that is dead leaves time for the next.
_LONGEST_CONNECT = 10.0

_READ_BYTES = 65_536

_TIMED_OUT = "timed out"
_ANSWER_TIMED_OUT = "timed out waiting for an answer"
_UNKNOWN_HOST = "there is no host of this name; check the address"
_NO_LOOK_UP = "the host's name cannot be looked up; check the name and the network"
_NO_CONNECTION = "host unreachable or connection refused"
_NO_HANDSHAKE = "the TLS handshake failed; check the host's certificate, or set SSL_CERT_FILE"
# What the operating system says when the name servers know no such name.
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

_FORBIDDEN = "nothing is sent there: the host is at a link-local address"
_CUT = "the run was ended while a request was in flight; it may have arrived"


class Cut:
    """Ends, from any thread, whatever waits for the network."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._enders: set[Callable[[], None]] = set()
        self.happened = False

    def now(self) -> None:
        """End everything that waits, and whatever would begin to wait."""
        with self._lock:
            self.happened = True
            enders = list(self._enders)
        for end in enders:
            end()

    def check(self) -> None:
        """Raise CutError when it has happened."""
        if self.happened:
            raise CutError(_CUT)

    @contextmanager
    def ends(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called when it happens meanwhile. Raise CutError when it has happened."""
        with self._lock:
            self.check()
            self._enders.add(end)
        try:
            yield
        finally:
            with self._lock:
                self._enders.discard(end)


class Wire:
    """An open connection, with or without TLS."""

    def __init__(self, sock: socket.socket, cut: Cut) -> None:
        self._sock = sock
        self._cut = cut

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it. Raise SendError, and OSError when the connection breaks."""
        rest = memoryview(data)
        with self._cut.ends(self._shut_down):
            while rest:
                self._sock.settimeout(_left(deadline, SendError(_ANSWER_TIMED_OUT)))
                with self._errors():
                    sent = self._sock.send(rest)
                rest = rest[sent:]

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived, b"" at the end. Raise SendError, and OSError when it breaks."""
        with self._cut.ends(self._shut_down):
            self._sock.settimeout(_left(deadline, SendError(_ANSWER_TIMED_OUT)))
            with self._errors():
                data = self._sock.recv(_READ_BYTES)
        if not data:
            self._cut.check()  # otherwise an answer that was cut short might pass for a whole one
        return data

    @property
    def is_quiet(self) -> bool:
        """Whether the other end has neither closed the connection nor sent anything unasked."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            self._sock.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what ended a call, unless the connection broke by itself."""
        try:
            yield
        except TimeoutError:
            raise SendError(_ANSWER_TIMED_OUT) from None
        except OSError:
            self._cut.check()
            raise

    def _shut_down(self) -> None:
        _shut_down(self._sock)


def connect(host: str, port: int, tls: ssl.SSLContext | None, deadline: float, cut: Cut) -> Wire:
    """Connect to the first address of a host that answers.

    Raise UnreachableError, UntrustedError, ForbiddenAddressError, CutError.
    """
    try:
        return _connect(host, port, tls, deadline, cut)
    except UnreachableError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise UnreachableError(f"cannot connect to {where}: {error}") from None


def _connect(host: str, port: int, tls: ssl.SSLContext | None, deadline: float, cut: Cut) -> Wire:
    """Return a connection. The UnreachableError of this and what it calls does not say where."""
    found = _addresses(host, port, deadline, cut)
    allowed = [address for address in found if not is_forbidden(address)]
    if found and not allowed:
        raise ForbiddenAddressError(_FORBIDDEN)

    failure = UnreachableError(_NO_CONNECTION)
    for address in allowed:
        try:
            sock = _opened(address, port, deadline, cut)
        except UnreachableError as error:
            failure = error
        else:
            return Wire(_under_tls(sock, host, tls, deadline, cut) if tls else sock, cut)
    raise failure


def _opened(address: str, port: int, deadline: float, cut: Cut) -> socket.socket:
    """Return a socket that is connected to an address."""
    seconds = _left(deadline, UnreachableError(_TIMED_OUT))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    with _connecting(sock, cut):
        sock.settimeout(min(seconds, _LONGEST_CONNECT))
        sock.connect((address, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _under_tls(
    sock: socket.socket, host: str, tls: ssl.SSLContext, deadline: float, cut: Cut
) -> ssl.SSLSocket:
    """Return the connection under TLS."""
    with _connecting(sock, cut):
        seconds = _left(deadline, UnreachableError(_TIMED_OUT))
        sock.settimeout(min(seconds, _LONGEST_CONNECT))
        wrapped = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    with _connecting(wrapped, cut):
        wrapped.do_handshake()
    return wrapped


@contextmanager
def _connecting(sock: socket.socket, cut: Cut) -> Iterator[None]:
    """Close a socket with which something goes wrong, and say what."""
    is_open = False
    try:
        with cut.ends(lambda: _shut_down(sock)):
            yield
        is_open = True
    except OSError as error:
        cut.check()
        raise _why_not_connected(error) from None
    finally:
        if not is_open:
            sock.close()


def _why_not_connected(error: OSError) -> SendError:
    """Return what to raise. The text of the error itself may hold what nobody should read."""
    if isinstance(error, TimeoutError):
        return UnreachableError(_TIMED_OUT)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return UntrustedError(
            f"the host's certificate is not accepted ({reason}); nothing was sent; "
            "check the address, or name your own authority in SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return UnreachableError(_NO_HANDSHAKE)
    return UnreachableError(_NO_CONNECTION)


def _shut_down(sock: socket.socket) -> None:
    # That of the class below: TLS would say goodbye first, and forget its state in mid-read.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _addresses(host: str, port: int, deadline: float, cut: Cut) -> list[str]:
    """Return the addresses of a host. Raise UnreachableError when they cannot be found."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass

    # The operating system takes its own time over a name: whoever asks for it does not wait longer.
    found: SimpleQueue[list[str] | UnreachableError] = SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError) as error:
            found.put(_why_not_found(error))
        else:
            found.put([str(address[0]) for *_, address in infos])

    threading.Thread(target=look_up, name="lookup", daemon=True).start()
    with cut.ends(lambda: found.put([])):
        try:
            addresses = found.get(timeout=_left(deadline, UnreachableError(_TIMED_OUT)))
        except Empty:
            raise UnreachableError(_TIMED_OUT) from None
    cut.check()
    if isinstance(addresses, UnreachableError):
        raise addresses
    return addresses


def _why_not_found(error: Exception) -> UnreachableError:
    """Return what to raise when a host's name is not found, or not looked up at all."""
    answered = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
    return UnreachableError(_UNKNOWN_HOST if answered else _NO_LOOK_UP)


def _left(moment: float, error: SendError) -> float:
    """Return the seconds until a moment. Raise this error when it has passed."""
    seconds = moment - time.monotonic()
    if seconds <= 0:
        raise error
    return seconds
