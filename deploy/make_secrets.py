"""Makes the secrets of a deployment, each a file of a folder that only its owner may enter.

python deploy/make_secrets.py [FOLDER]     # secrets/ when not given; what is there already stays as it is

The files themselves may be read by all: a container engine mounts them as they are, for a user that is not you.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path


def make(folder: Path, *, redis: str = "redis:6379") -> list[Path]:
    """Make the secrets that the folder lacks and return their paths: Redis's password, as each side needs it.

    Redis itself gets the password's digest alone, and without it answers nothing but PING. `redis` is where the other
    processes reach it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    acl, url = folder / "redis_acl", folder / "redis_url"
    if acl.exists() and url.exists():
        return []
    password = secrets.token_urlsafe(32)
    digest = hashlib.sha256(password.encode()).hexdigest()
    _write(acl, f"user default on nopass -@all +ping\nuser ibdesk on #{digest} ~* &* +@all -@dangerous +info\n")
    _write(url, f"redis://ibdesk:{password}@{redis}/0\n")
    return [acl, url]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


if __name__ == "__main__":
    for made in make(Path(sys.argv[1] if len(sys.argv) > 1 else "secrets")):
        sys.stdout.write(f"made {made}\n")
