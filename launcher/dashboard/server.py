"""The dashboard's server: on this machine alone, reading alone.

It listens on 127.0.0.1 and answers GET and HEAD. A request must name this machine as its host, so that no page of
somebody else's can reach it under another name, and what takes work is refused to other sites' pages.
"""

from __future__ import annotations

import contextlib
import errno
import mimetypes
import re
import select
import signal
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from islands.errors import ConfigError, EvolabError
from islands.rundir import RunDir
from launcher import logs, signals
from launcher.dashboard.follower import Follower, Topic, dumps
from launcher.dashboard.places import Places, beside, parts_of
from launcher.dashboard.replaying import Replays
from launcher.dashboard.topics import topic_of

HOST = "127.0.0.1"
STILL_HERE = 5.0
"""Seconds after which a page hears that there is nothing new."""
LOG_LINES = 40
MOST_LISTENERS = 64
_OURS = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.ASCII)
"""What a request must take this host for. Of any port: that of a tunnel is the other end's choice."""
_OWN = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
_OWN += "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_REPLAY = "default-src 'none'; script-src 'unsafe-inline' blob: data:; style-src 'unsafe-inline'; "
_REPLAY += "img-src data: blob:; connect-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def serve(runs_dir: Path, port: int, ready: Callable[[str], None]) -> int:
    """Serve until a signal comes; its number. `ready` is told the page's address."""
    with Dashboard(beside(runs_dir), port) as dashboard:
        asked = threading.Event()
        heard: list[int] = []

        def note(number: int) -> None:
            heard.append(number)
            asked.set()

        with signals.heard(note):
            dashboard.start()
            ready(dashboard.url)
            asked.wait()
        return heard[0]


class Dashboard:
    """A server with its follower. `port`: 0 for any that is free."""

    def __init__(self, places: Places, port: int = 0) -> None:
        self.places, self.replays = places, Replays()
        self.follower = Follower(lambda address: topic_of(places, address))
        try:
            self._server = _Server((HOST, port), _Handler)
        except OSError as error:
            self.follower.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            taken = "one that is taken" if error.errno == errno.EADDRINUSE else "one that needs root"
            got = f"{port}, {taken}"
            raise ConfigError("--port", expected="a free port", got=got, do="choose another; 0 takes any") from error
        self._server.dashboard = self
        self.port = int(self._server.server_address[1])
        self.url = f"http://{HOST}:{self.port}/"

    def start(self) -> None:
        """Begin to answer, in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="server", daemon=True).start()

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.close()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    dashboard: Dashboard

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that has gone away is no error."""


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "evolab", ""
    timeout = 60.0
    server: _Server
    _PARTS: ClassVar[tuple[str, ...]] = ("looks", "charts", "log", "record")

    def do_GET(self) -> None:
        """Answer a request."""
        try:
            self._refuse_strangers()
            self._answer()
        except _Refused as refusal:
            self._message(refusal.status, refusal.text)
        except (BrokenPipeError, ConnectionError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are not told of."""

    def _refuse_strangers(self) -> None:
        if not _OURS.fullmatch(self.headers.get("Host", "")):
            url = self.server.dashboard.url
            raise _Refused(HTTPStatus.FORBIDDEN, f"The dashboard answers under its own address only: {url}")

    def _answer(self) -> None:
        if self.server.dashboard.follower.over:
            self.close_connection = True
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The dashboard is ending.")
        split = urlsplit(self.path)
        parts = tuple(parts_of(split.path))
        if not split.path.isascii() or len(split.path) > 4096:
            raise _Refused(HTTPStatus.BAD_REQUEST, "That is no address of the dashboard.")
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        if parts[:1] == ("assets",):
            self._asset(parts[1:])
        elif parts[:1] == ("replays",):
            self._replay(parts[1:])
        elif len(parts) % 2 == 1 and parts[-1] in self._PARTS:
            self._refuse_other_sites()
            getattr(self, f"_{parts[-1]}")(parts[:-1], query)
        else:
            self._page(parts)

    def _refuse_other_sites(self) -> None:
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise _Refused(HTTPStatus.FORBIDDEN, "The dashboard gives this to its own pages only.")

    def _page(self, parts: tuple[str, ...]) -> None:
        from launcher.dashboard import pages

        if not parts:
            self._send(pages.overview(self.server.dashboard.places))
            return
        thing = self.server.dashboard.places.find(parts)
        if thing is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "There is no run or study of that name, or it is gone.")
        islands: list[str] = []
        if isinstance(thing, RunDir):
            with contextlib.suppress(EvolabError, OSError):
                islands = list(logs.places(thing, None))
        self._send(pages.of(thing, parts, islands))

    def _asset(self, parts: tuple[str, ...]) -> None:
        from launcher.dashboard import pages

        path = pages.ASSETS.get(parts[0]) if len(parts) == 1 else None
        if path is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "There is no such file.")
        content = path.read_bytes()
        tag = f'"{path.stat().st_mtime_ns:x}-{len(content):x}"'
        headers = {"ETag": tag, "Cache-Control": "max-age=60" if path.suffix == ".css" else "no-cache"}
        kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if self.headers.get("If-None-Match") == tag:
            self._send(b"", kind, HTTPStatus.NOT_MODIFIED, headers)
        else:
            self._send(content, kind, headers=headers)

    def _topic(self, address: tuple[str, ...]) -> Topic:
        topic = self.server.dashboard.follower.topic(address)
        if topic is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "There is no run or study of that name, or it is gone.")
        return topic

    def _looks(self, address: tuple[str, ...], query: dict[str, str]) -> None:
        """What is seen, as it is seen, until the page goes away."""
        topic, follower = self._topic(address), self.server.dashboard.follower
        if topic.listeners >= MOST_LISTENERS:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages are open.")
        self._head("text/event-stream; charset=utf-8", HTTPStatus.OK, {"Connection": "close"})
        self.close_connection = True
        if self.command == "HEAD":
            return
        with follower.listening(topic) as following:
            while not follower.over and not self._hung_up():
                seen = following(STILL_HERE)
                if not follower.over:
                    self.wfile.write(b"event: still\ndata: \n\n" if seen is None else b"data: %s\n\n" % seen)

    def _hung_up(self) -> bool:
        """Whether the page has closed its end, which nothing but a read tells in time."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def _charts(self, address: tuple[str, ...], query: dict[str, str]) -> None:
        shown = self._topic(address).extra
        if shown is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "There are no charts here.")
        have = query.get("have", "0")
        self._json(shown.charts(int(have) if have.isascii() and have.isdigit() and len(have) < 10 else 0))

    def _log(self, address: tuple[str, ...], query: dict[str, str]) -> None:
        run = self._run(address)
        try:
            found = logs.places(run, query.get("of") or None)
            path = next(iter(found.values()), None)
            lines = logs.last(path, LOG_LINES) if path else []
            self._json(dumps({"lines": lines, "trouble": None}))
        except (EvolabError, OSError) as error:
            self._json(dumps({"lines": [], "trouble": str(error)}))

    def _record(self, address: tuple[str, ...], query: dict[str, str]) -> None:
        """Record the champion; where its page is, or why there is none."""
        run = self._run(address)
        if self.command == "HEAD":
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Recording answers GET only.")
        try:
            key = self.server.dashboard.replays.record(run)
            self._json(dumps({"page": f"/replays/{key}", "trouble": None}))
        except (EvolabError, OSError, KeyError, ValueError) as error:
            self._json(dumps({"page": None, "trouble": str(error)}))

    def _replay(self, parts: tuple[str, ...]) -> None:
        content = self.server.dashboard.replays.page(parts[0]) if len(parts) == 1 else None
        if content is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "That recording is gone: record it again.")
        self._send(content, headers={"Content-Security-Policy": _REPLAY})

    def _run(self, address: tuple[str, ...]) -> RunDir:
        thing = self.server.dashboard.places.find(address)
        if not isinstance(thing, RunDir):
            raise _Refused(HTTPStatus.NOT_FOUND, "There is no run of that name, or it is gone.")
        return thing

    def _message(self, status: HTTPStatus, text: str) -> None:
        from launcher.dashboard import pages

        self._send(pages.message(status.phrase, text), status=status)

    def _json(self, data: bytes) -> None:
        self._send(data, "application/json; charset=utf-8")

    def _send(
        self, content: bytes, kind: str = "text/html; charset=utf-8", status: HTTPStatus = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._head(kind, status, {"Content-Length": str(len(content)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, kind: str, status: HTTPStatus, more: dict[str, str]) -> None:
        known = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "Content-Security-Policy": _OWN,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            **more,
        }
        self.send_response(status)
        for name, value in known.items():
            self.send_header(name, value)
        self.end_headers()


def exit_code(number: int) -> int:
    """Of a process that ends because a signal asked it to."""
    return 128 + (number or signal.SIGINT)
