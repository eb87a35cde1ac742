from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import TokenFile, read_token
from gpusteward.config.token import MAX_BYTES
from gpusteward.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret-token\n")
    return path


def replace(path: Path, text: str) -> None:
    """As a Secret mount does: another file under the same name."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_white_space_around_a_token_is_no_part_of_it(path: Path) -> None:
    path.write_text(" \n s3cret-token \r\n")
    assert read_token(path) == "s3cret-token"
    assert read_token(str(path)) == "s3cret-token"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"two words", "a blank"),
        (b"a\0b", "a control character"),
        (b"a\x7f", "a control character"),
        ("tökén".encode(), "a letter outside ASCII"),
        (b"x" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    ],
)
def test_what_no_header_could_carry_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_token(path)


def test_the_longest_token_and_the_outermost_characters_are_accepted(path: Path) -> None:
    path.write_bytes(b"!~" * (MAX_BYTES // 2))
    assert read_token(path) == "!~" * (MAX_BYTES // 2)


def test_only_the_token_itself_matches(path: Path) -> None:
    token = TokenFile(path)
    assert token.matches("s3cret-token")
    for wrong in ("", "s3cret-toke", "s3cret-token ", "S3cret-token", "tökén", "\ud800"):
        assert not token.matches(wrong)


def test_a_rotated_token_is_picked_up_and_the_old_one_is_no_longer_good(path: Path) -> None:
    token = TokenFile(path)
    replace(path, "another-token")
    assert token.matches("another-token")
    assert not token.matches("s3cret-token")
    assert token.matches("another-token")


def test_a_token_behind_a_swapped_symlink_is_picked_up(tmp_path: Path) -> None:
    for folder, text in (("one", "token-1"), ("two", "token-2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "token").write_text(text)
    link = tmp_path / "..data"
    link.symlink_to("one")
    token = TokenFile(link / "token")
    assert token.matches("token-1")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    assert token.matches("token-2")


def test_a_token_written_anew_in_place_is_picked_up_by_its_time(path: Path) -> None:
    token = TokenFile(path)
    path.write_text("t0ken-s3cret\n")
    os.utime(path, ns=(1, 1))
    assert token.matches("t0ken-s3cret")


def test_nothing_matches_while_the_file_is_gone_or_empty_and_the_error_says_why(path: Path) -> None:
    token = TokenFile(path)
    path.unlink()
    assert not token.matches("s3cret-token")
    assert not token.matches("")
    assert "does not exist" in str(token.error)
    replace(path, "")
    assert not token.matches("")
    assert "is empty" in str(token.error)
    replace(path, "s3cret-token")
    assert token.matches("s3cret-token")
    assert token.error is None


def test_a_token_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        TokenFile(tmp_path / "none")
    with pytest.raises(ConfigError, match="is not a path"):
        TokenFile(str(tmp_path / "a\0b"))


def test_a_fault_that_passes_does_not_lock_out_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    token = TokenFile(path)
    path.write_text("second")

    def fail(_path: object) -> str:
        raise ConfigError("too many open files", ())

    with monkeypatch.context() as patch:
        patch.setattr("gpusteward.config.token.read_token", fail)
        assert not token.matches("second")
    assert token.matches("second"), "the file did not change again"
