"""The page that a person opens first: its files, as they lie in `page/`, and nothing else of that folder's neighbours.

Each file is a route of its own, so there is no path to play with. The page is public; what it asks of the service is not. It loads
nothing from elsewhere, and the browser is told to let it: scripts, styles and requests of this origin alone, nothing inline.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The kinds of files that are served; licences and notes beside them are for who reads the folder."""

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and answered by 304: a new version of the service is seen at once
    "Vary": "Accept-Encoding",
}

FILES = {
    "/" if path.name == "index.html" else f"/page/{path.relative_to(FOLDER).as_posix()}": path
    for path in sorted(FOLDER.rglob("*"))
    if path.suffix in TYPES
}
"""path of the service -> file"""


@dataclass(frozen=True)
class Held:
    """A file in memory, and packed."""

    content: bytes
    packed: bytes
    tag: str
    kind: str


@cache
def held(path: str) -> Held:
    """Read when it is first asked for: a service that nobody looks at keeps none of it."""
    content = FILES[path].read_bytes()
    packed = gzip.compress(content, 9, mtime=0)
    return Held(content, packed, f'"{sha256(content).hexdigest()[:20]}"', TYPES[FILES[path].suffix])


async def file(request: Request) -> Response:
    """A file of the page, 304 where the browser has it."""
    found = held(request.url.path)
    headers = {**HEADERS, "ETag": found.tag}
    if found.tag in (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.kind)
    return Response(found.content, headers=headers, media_type=found.kind)


def routes() -> list[Route]:
    return [Route(path, file, methods=["GET"]) for path in FILES]
