"""What ibdesk keeps is its owner's alone, whatever the umask, and folders that were open to others are closed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibdesk.config import owner_only, private_folder, secure_state_folder, write_private
from ibdesk.errors import ConfigError


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_every_folder_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b" / "c")

    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == ["0o700"] * 3


def test_a_file_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert (path.read_bytes(), mode(path)) == (b"new", "0o600")
    assert [each.name for each in tmp_path.iterdir()] == ["mark"]
    with open(tmp_path / "other", "w", opener=owner_only):
        pass
    assert mode(tmp_path / "other") == "0o600"


def test_a_state_folder_of_an_earlier_version_is_closed_with_all_that_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "ibdesk"
    (folder / "journals").mkdir(parents=True, mode=0o755)
    folder.chmod(0o755)
    mark = folder / "order-ids-127.0.0.1-7497-1"
    mark.write_text("101")
    mark.chmod(0o644)

    closed = secure_state_folder(folder)

    assert sorted(closed) == [folder, folder / "journals", mark]
    assert (mode(folder), mode(folder / "journals"), mode(mark)) == ("0o700", "0o700", "0o600")
    assert secure_state_folder(folder) == []


@pytest.mark.parametrize("bits", [0o755, 0o777, 0o1777])
def test_a_folder_that_others_use_for_something_else_is_not_taken_from_them(bits: int, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    folder.chmod(bits)

    with pytest.raises(ConfigError, match=f"other users can read state_folder {folder}, .*chmod 700") as caught:
        secure_state_folder(folder)

    assert "\n" not in str(caught.value)
    assert mode(folder) == oct(bits)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize(("bits", "is_taken"), [(0o2775, True), (0o755, True), (0o777, False)])
def test_a_volume_of_another_user_is_taken_as_it_is_unless_everybody_may_write_there(
    bits: int, is_taken: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, 12_345, -1)
    folder.chmod(bits)

    if is_taken:
        assert secure_state_folder(folder) == []
    else:
        with pytest.raises(ConfigError, match=f"every user can write to state_folder {folder}"):
            secure_state_folder(folder)
    assert mode(folder) == oct(bits)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "ibdesk").write_text("")

    with pytest.raises(ConfigError, match=f"state_folder {tmp_path}/ibdesk cannot be used: "):
        secure_state_folder(tmp_path / "ibdesk")
