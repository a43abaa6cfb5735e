"""A network connection that can be cut: what runs over it breaks off, and nothing new gets over."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Link:
    """Listens on a free port and passes all to a port of this machine, until it is cut."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._cut = False
        self._thread = threading.Thread(target=self._accept, name="link", daemon=True)

    def cut(self) -> None:
        """Break off all connections, and refuse new ones."""
        with self._guard:
            self._cut = True
            for end in self._open:
                _break(end)

    def fix(self) -> None:
        """Let connections through again."""
        self._cut = False

    def __enter__(self) -> Link:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _break(self._listening)
        self.cut()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:  # closed
                return
            try:
                if self._cut:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:
                near.close()
                continue
            with self._guard:
                self._open |= {near, far}
                if self._cut:
                    _break(near)
                    _break(far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        """Pass bytes on until either side ends; then end both, when the other way is done too."""
        with contextlib.suppress(OSError):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._guard:
            if source in self._open:
                self._open.discard(source)
            else:
                return
            done = target not in self._open
        if done:
            source.close()
            target.close()


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
