"""What stands for the world's servers in tests."""

import http.server
import threading


class Server:
    """Serves `files` (name -> bytes) and keeps in `asked` what was asked: (name, the header Range).

    A request whose turn it is breaks off after ``breaks.pop(0)`` bytes (None: does not), or, if `stalls`, goes silent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.breaks: list[int | None] = []
        self.ranges = True
        self.stalls = False
        self.etag = '"1"'
        self.over = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.answer(self)

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/"
        threading.Thread(target=self._http.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        name, span = to.path.lstrip("/"), to.headers["Range"]
        self.asked.append((name, span))
        if name not in self.files:
            return to.send_error(404)
        content = self.files[name]
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and self.ranges else 0
        if start >= len(content):
            to.send_response(416)
            to.send_header("Content-Range", f"bytes */{len(content)}")
            return to.end_headers()
        to.send_response(206 if start else 200)
        if start:
            to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        to.send_header("Content-Length", str(len(content) - start))
        to.send_header("ETag", self.etag)
        to.end_headers()
        stop = self.breaks.pop(0) if self.breaks else None
        to.wfile.write(content[start:] if stop is None else content[start : start + stop])
        if stop is not None and self.stalls:
            to.wfile.flush()
            self.over.wait(20)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
