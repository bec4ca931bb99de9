"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from blondel.host.files import OutputError, check_writable, write_whole


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / "meter.v"
    path.write_text("before")

    def write(file):
        assert path.read_text() == "before"
        file.write(b"after")

    with path.open() as reader:
        write_whole(path, write)
        # Who reads the old file reads all of it.
        assert reader.read() == "before"
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["meter.v"]


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path):
    path = tmp_path / "meter.v"
    path.write_text("before")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_whole(path, fail)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["meter.v"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "whole", lambda file: file.write(b"x"))
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", lambda file: file.write(b"after"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_a_device_is_written_as_it_is():
    null, full = Path(os.devnull), Path("/dev/full")
    write_whole(null, lambda file: file.write(b"x"))
    assert not null.is_file()
    if full.exists():
        with pytest.raises(OutputError, match="cannot write /dev/full: No space left"):
            write_whole(full, lambda file: file.write(b"x"))


def test_what_cannot_be_written_is_found_before(tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path, "it is a directory"),
        (tmp_path / "none" / "x.png", "none is not a directory"),
        (tmp_path / "file" / "x.png", "file is not a directory"),
    ):
        with pytest.raises(OutputError, match=reason):
            check_writable(path)
        with pytest.raises(OutputError, match=reason):
            write_whole(path, lambda file: file.write(b"x"))
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        check_writable(tmp_path / "new")
