"""The real disk: what is written is there, whole, and replaced at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.journal import Disk

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_made_at_the_first_write_and_not_before(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a" / "b")
    assert disk.names() == []
    disk.write_at("file", 0, b"one")
    assert disk.names() == ["file"]


def test_a_file_ends_with_what_was_written_last(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.write_at("file", 0, b"one, two and more")
    disk.write_at("file", 5, b"2")
    assert disk.read("file") == b"one, 2"
    assert disk.read("file", 5, 1) == b"2"


def test_a_file_is_replaced_as_a_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.replace("file", b"first, and longer")
    disk.replace("file", b"second")
    assert (disk.read("file"), disk.names()) == (b"second", ["file"])


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.replace("file", b"old")
    (tmp_path / "file.new").mkdir()
    with pytest.raises(IsADirectoryError):
        disk.replace("file", b"new")
    assert disk.read("file") == b"old"


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.write_at("file", 0, b"x")
    disk.remove("file")
    disk.remove("file")
    assert disk.names() == []
