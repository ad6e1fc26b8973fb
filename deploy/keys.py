"""API keys: made here, shown once, kept as salted hashes. `tsrep keys add NAME`, or `python -m tsrep_deploy.keys add NAME`.

A key is `tsrep_ID_SECRET`: the ID finds the entry, so that a request costs one SHA-256 however many keys there are. The secret is 256
random bits, which nobody can guess: a slow hash, which protects what people make up, would only slow every request down.

The file is JSON, {"keys": [{"id", "name", "salt", "sha256", "made"}]}, readable by its owner alone and replaced in one move. A server
reads it again when it changes, at most once a second: an added key is good and a removed one refused without a restart.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from tsrep import InputError

VARIABLE, DEFAULT = "TSREP_KEYS", "keys.json"
LOOK = 1.0
"""Seconds between looks at the file."""

_KEY = re.compile(r"tsrep_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Entry:
    """id: public part of a key. name: whose it is. salt, sha256: hex. made: when, UTC."""

    id: str
    name: str
    salt: str
    sha256: str
    made: str


class Keys:
    """The keys of a file, as a server asks them. InputError for a file that is missing or damaged."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._seen = self._stat()
        self._entries = {entry.id: entry for entry in read(self.path)}
        self._looked = monotonic()

    def who(self, key: str) -> str | None:
        """Whose key this is, or None where it is nobody's."""
        self._look()
        found = _KEY.fullmatch(key)
        entry = self._entries.get(found[1]) if found else None
        salt, held = (entry.salt, entry.sha256) if entry else ("00" * 16, "00" * 32)
        same = hmac.compare_digest(_hashed(key, salt), held)
        return entry.name if entry and same else None

    def _look(self) -> None:
        now = monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        seen = self._stat()
        if seen != self._seen:
            try:
                self._entries, self._seen = {entry.id: entry for entry in read(self.path)}, seen
            except InputError:  # a file that is gone or damaged opens no door, and closes none that is open
                return

    def _stat(self) -> tuple[int, ...]:
        try:
            stat = self.path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def add(path: str | Path, name: str) -> str:
    """A new key of this name in the file, which is made where there is none. The key: nothing can show it again."""
    path = Path(path)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", name):
        raise InputError(f"expected a name of letters, digits and ._@-, 64 at most, got {name!r}")
    entries = read(path) if path.exists() else []
    if any(entry.name == name for entry in entries):
        raise InputError(
            f"expected a name that has no key yet, '{name}' has one in {path}; remove it first, or choose another name"
        )
    ident, salt = secrets.token_hex(8), secrets.token_hex(16)
    key = f"tsrep_{ident}_{secrets.token_urlsafe(32)}"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, [*entries, Entry(ident, name, salt, _hashed(key, salt), made)])
    return key


def remove(path: str | Path, name: str) -> None:
    entries = read(Path(path))
    left = [entry for entry in entries if entry.name != name]
    if len(left) == len(entries):
        raise InputError(
            f"expected the name of a key in {path}, got '{name}'; there are: {', '.join(e.name for e in entries) or 'none'}"
        )
    _write(Path(path), left)


def read(path: Path) -> list[Entry]:
    try:
        entries = [Entry(**one) for one in json.loads(path.read_text())["keys"]]
        if not all(isinstance(value, str) for entry in entries for value in asdict(entry).values()):
            raise TypeError("not all values are text")
    except FileNotFoundError:
        raise InputError(
            f"expected a file of keys, found none at {path}; make one: tsrep keys add NAME --file {path}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"expected a file of keys in {path}, it does not read: {error}") from error
    return entries


def main(arguments: Sequence[str] | None = None) -> None:
    """`tsrep keys …`, `python -m tsrep_deploy.keys …`"""
    parser = argparse.ArgumentParser("tsrep keys", description="API keys of the service, kept as salted hashes.")
    parser.add_argument("what", choices=["add", "list", "remove"])
    parser.add_argument("name", nargs="?", help="whose key it is")
    default = os.environ.get(VARIABLE) or DEFAULT
    parser.add_argument("--file", default=default, help=f"file of the keys ({VARIABLE}, {DEFAULT})")
    said = parser.parse_args(arguments)
    if (said.name is None) != (said.what == "list"):
        parser.error(f"expected {'no name' if said.what == 'list' else 'a name'} after {said.what}")
    try:
        if said.what == "add":
            print(add(said.file, said.name))
            print(f"kept as a hash in {said.file}; this key is not shown again", file=sys.stderr)
        elif said.what == "remove":
            remove(said.file, said.name)
        else:
            print("\n".join(f"{entry.name}\t{entry.id}\t{entry.made}" for entry in read(Path(said.file))))
    except InputError as error:
        sys.exit(f"tsrep keys: {error}")


def _hashed(key: str, salt: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + key.encode("utf-8", "surrogatepass")).hexdigest()


def _write(path: Path, entries: Sequence[Entry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file, beside = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # for its owner alone
    try:
        with os.fdopen(file, "w") as out:
            json.dump({"keys": [asdict(entry) for entry in entries]}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    main()
