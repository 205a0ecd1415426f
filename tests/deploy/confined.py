"""``python tests/deploy/confined.py [--as-unit] FOLDER ... -- COMMAND ...``: runs a command confined as a container is.

It may write in those folders and in /dev alone (a read-only root file system) and gain no privileges; as a unit it
may put no code into memory either (`MemoryDenyWriteExecute`). It stands in for what only a container engine or systemd
could do, with the kernel's own means (Landlock, prctl), which need no rights; a kernel without them confines less.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_NO_NEW_PRIVILEGES, _MEMORY_DENY_WRITE_EXECUTE = 38, 65
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _ASK_VERSION = 1, 1
# write_file, remove and make of every kind; from version 2 on refer, from 3 on truncate
_WRITES = 0b1_1111_1111_0010
_REFER, _TRUNCATE = 1 << 13, 1 << 14

_libc = ctypes.CDLL(None, use_errno=True)


def confine(writable: list[str], *, as_unit: bool) -> None:
    """Confine this process, for good."""
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if as_unit:
        _libc.prctl(_MEMORY_DENY_WRITE_EXECUTE, 1, 0, 0, 0)
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return
    writes = _WRITES | (_REFER if version > 1 else 0) | (_TRUNCATE if version > 2 else 0)
    rules = struct.pack("=Q", writes)
    ruleset = _libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    for folder in writable:
        beneath = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", writes, beneath)
        if _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
        os.close(beneath)
    if _libc.syscall(_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    divider = sys.argv.index("--")
    options = sys.argv[1:divider]
    confine([*(word for word in options if word != "--as-unit"), "/dev"], as_unit="--as-unit" in options)
    command = sys.argv[divider + 1 :]
    os.execvp(command[0], command)
