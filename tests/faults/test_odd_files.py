"""An album with one odd file: all others are colored, and the odd one is named with its true reason."""

import csv
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import tintype.cli
from tintype.batch import run
from tintype.inference.colorizer import Colorizer

CAT = Image.fromarray(data.chelsea()).resize((60, 40))
GRAY = CAT.convert("L")


class Constant:
    """A backend without a network: the same color everywhere."""

    image_size = 32
    stochastic = False
    chroma_stride = 1
    card = None

    def __call__(self, lightness, seed=None):
        return np.full((len(lightness), 2, *lightness.shape[2:]), 20, np.float32)


@pytest.fixture
def tintype_(tmp_path, monkeypatch, capsys):
    """Run `tintype colorize` in a folder of its own: exit status, what it said, what it complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Colorizer, "load", lambda *_, batch_size=8, keep_color=False, **__: Colorizer(
        Constant(), batch_size=batch_size, keep_color=keep_color
    ))  # fmt: skip

    def go(*words):
        monkeypatch.setattr(sys, "argv", ["tintype", "colorize", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            tintype.cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return go


@pytest.fixture
def album(tmp_path):
    album = tmp_path / "album"
    (album / "1950").mkdir(parents=True)
    GRAY.save(album / "a.jpg")
    GRAY.save(album / "1950" / "b.png")
    return album


def tree(root):
    return sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file())


@pytest.mark.parametrize("option", [["--compare"], ["--samples", "1"]])
def test_a_video_among_photos_does_not_end_a_run_with_an_option_for_photos(tintype_, album, option, monkeypatch):
    monkeypatch.setattr(Constant, "stochastic", True)
    (album / "IMG_1.MOV").touch()
    status, said, complained = tintype_("album", "-o", "out", *option)
    assert (status, said) == (1, "2 in color: out\n")
    assert complained == f"1 failed:\n  album/IMG_1.MOV: is a video; {option[0]} works with photos only\n"


def test_photos_that_would_get_one_name_get_two(tintype_, tmp_path):
    Path("scans").mkdir()
    GRAY.save("scans/plate1.tif")
    GRAY.point(lambda level: level // 2).save("scans/plate1.jpg")
    GRAY.save("scans/plate2.tif")
    assert tintype_("scans", "-o", "out", "--format", "png") == (0, "3 in color: out\n", "")
    assert tree("out") == ["plate1-jpg.png", "plate1-tif.png", "plate2.png"]
    dark, light = (np.asarray(Image.open(f"out/plate1-{kind}.png").convert("L")).mean() for kind in ("jpg", "tif"))
    assert dark < 0.6 * light
    assert tintype_("scans", "-o", "out", "--format", "png")[1] == "0 in color: out (3 were there already)\n"
    assert tintype_("scans", "-o", "same") == (0, "3 in color: same\n", "")
    assert tree("same") == ["plate1.jpg", "plate1.tif", "plate2.tif"]


def test_of_photos_with_one_name_the_first_is_done_and_the_others_are_named(tintype_, album):
    GRAY.save(album / "1950" / "a.jpg")
    GRAY.save(album / "1950" / "A.JPG")
    status, said, complained = tintype_("album/a.jpg", "album/1950/a.jpg", "album/1950/A.JPG", "-o", "out")
    assert (status, said) == (1, "1 in color: out\n")
    assert complained.splitlines()[1:] == [
        "  album/1950/a.jpg: would become out/a.jpg, like album/a.jpg; colorize it into another folder",
        "  album/1950/A.JPG: would become out/A.JPG, like album/a.jpg to file systems that ignore case; colorize it "
        "into another folder",
    ]
    assert tree("out") == ["a.jpg"]


def test_pipes_sockets_and_devices_are_not_opened(tintype_, album):
    os.mkfifo(album / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("album/socket.png")
        (album / "zero.tif").symlink_to("/dev/zero")
        status, said, complained = tintype_("album", "-o", "out")
        assert tintype_("album/pipe.jpg") == (2, "", "error: album/pipe.jpg: a named pipe, not a file\n")
    assert (status, said) == (1, "2 in color: out\n")
    assert complained.splitlines() == [
        "3 failed:",
        "  album/pipe.jpg: a named pipe, not a file",
        "  album/socket.png: a socket, not a file",
        "  album/zero.tif: a device, not a file",
    ]


def test_links_that_lead_nowhere_or_in_a_circle(tintype_, album):
    (album / "gone.jpg").symlink_to("nothing.jpg")
    (album / "circle.jpg").symlink_to("circle.jpg")
    (album / "folder").symlink_to(album)
    for words in (["album"], ["album/**/*"]):
        status, said, complained = tintype_(*words, "-o", "out", "--overwrite")
        assert (status, said) == (1, "2 in color: out\n")
        assert complained.splitlines() == [
            "2 failed:",
            "  album/circle.jpg: Too many levels of symbolic links",
            "  album/gone.jpg: no such file",
        ]
    assert tintype_("album/circle.jpg")[::2] == (2, "error: album/circle.jpg: Too many levels of symbolic links\n")


def test_a_locked_folder_and_a_locked_photo(tintype_, album, monkeypatch):
    """By a stand-in for the operating system's answer: root may open everything."""
    GRAY.save(album / "locked.jpg")
    (album / "private").mkdir()
    scan, open_ = os.scandir, Path.open

    def refuse(path, *_, **__):
        if Path(path).name in ("private", "locked.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    monkeypatch.setattr(os, "scandir", lambda path: refuse(path) or scan(path))
    monkeypatch.setattr(Path, "open", lambda self, *args, **kwargs: refuse(self) or open_(self, *args, **kwargs))
    for words in (["album"], ["album/**/*.*"]):
        status, said, complained = tintype_(*words, "-o", "out", "--overwrite")
        assert (status, said) == (1, "2 in color: out\n")
        assert sorted(complained.splitlines()[1:]) == [
            "  album/locked.jpg: Permission denied",
            "  album/private: Permission denied",
        ]


CONSTANT = """
import sys, time
sys.path[:0] = {path!r}
from test_odd_files import Constant
from tintype.inference.colorizer import Colorizer
class Slow(Constant):
    def __call__(self, lightness, seed=None):
        time.sleep(0.1)
        return super().__call__(lightness, seed)
Colorizer.load = lambda *_, batch_size=8, **__: Colorizer(Slow(), batch_size=batch_size)
from tintype.cli import main
main()
"""


def give_up_what_root_may():
    """Root's rights to read (CAP_DAC_READ_SEARCH) and write (CAP_DAC_OVERRIDE) everything, for the next program."""
    prctl, drop = ctypes.CDLL(None).prctl, 24  # PR_CAPBSET_DROP
    prctl(drop, 1)
    prctl(drop, 2)


def test_what_the_user_may_not_read_by_the_system_itself(tmp_path):
    album = tmp_path / "album"
    (album / "private").mkdir(parents=True)
    GRAY.save(album / "a.jpg")
    GRAY.save(album / "locked.jpg")
    (album / "clip.mkv").touch()
    for path in (album / "private", album / "locked.jpg", album / "clip.mkv"):
        path.chmod(0)
    if not subprocess.run(["cat", album / "locked.jpg"], preexec_fn=give_up_what_root_may, check=False).returncode:
        pytest.skip("this root keeps its rights")
    album.chmod(0o555)
    (tmp_path / "work").mkdir()
    program = CONSTANT.format(path=[str(Path(__file__).parent), *sys.path])

    def go(*words):
        command = [sys.executable, "-c", program, "colorize", *map(str, words)]
        done = subprocess.run(
            command,
            cwd=tmp_path / "work",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=give_up_what_root_may,
        )
        return done.returncode, done.stdout, done.stderr

    status, said, complained = go(album, "-o", "out")
    assert (status, said) == (1, "1 in color: out\n"), complained
    assert complained.splitlines() == [
        "3 failed:",
        f"  {album}/private: Permission denied",
        f"  {album}/locked.jpg: Permission denied",
        f"  {album}/clip.mkv: Permission denied",
    ]
    assert go(album / "private" / "a.jpg")[::2] == (2, f"error: {album}/private/a.jpg: Permission denied\n")
    assert go(album / "a.jpg", "-o", album / "out")[::2] == (
        2,
        f"error: -o: {album}/out cannot be written to: Permission denied\n",
    )


def test_a_name_that_is_too_long(tintype_, album):
    long = "x" * 300 + ".jpg"
    for words in ([long], [long, "-o", "out"]):
        assert tintype_(*words)[::2] == (2, f"error: {long}: File name too long\n")
    status, said, complained = tintype_("album", long, "-o", "out")
    assert (status, said, complained) == (1, "2 in color: out\n", f"1 failed:\n  {long}: File name too long\n")
    assert tintype_("album", "-o", "y" * 300)[::2] == (
        2,
        f"error: -o: {'y' * 300} cannot be written to: File name too long\n",
    )
    GRAY.save(album / ("z" * 251 + ".png"))  # as long as names get
    status, said, complained = tintype_("album", "-o", "longer", "--format", "webp")
    assert (status, said) == (1, "2 in color: longer\n")
    assert complained.endswith("z.webp: cannot be written: File name too long\n")


def test_names_that_are_not_utf_8(tintype_, tmp_path):
    """Also with a terminal, and a table, that hold nothing but UTF-8."""
    folder = os.fsdecode(b"caf\xe9")
    Path(folder).mkdir()
    for name in (b"\xff.png", "ü\n.png".encode()):
        CAT.save(Path(folder) / os.fsdecode(name))
    Path(folder, "odd.png").write_text("text")
    status, said, complained = tintype_(folder, "-o", os.fsdecode(b"o\xfft"), "--evaluate")
    assert (status, complained) == (1, "1 failed:\n  caf\\xe9/odd.png: not an image\n")
    assert said.encode().decode().splitlines()[-1] == "2 in color: o\\xfft"
    with open(b"o\xfft/evaluate.csv", encoding="utf-8", newline="") as file:  # noqa: PTH123
        names = [row["photo"] for row in csv.DictReader(file)]
    assert names == ["caf\\xe9/ü\n.png", "caf\\xe9/\\xff.png"]
    assert sorted(os.listdir(b"o\xfft")) == [b"evaluate.csv", "ü\n.png".encode(), b"\xff.png"]  # noqa: PTH208


def test_a_photo_that_vanishes_meanwhile(tintype_, album, monkeypatch):
    load = Colorizer.load
    monkeypatch.setattr(Colorizer, "load", lambda *_, **__: (album / "a.jpg").unlink() or load())
    status, said, complained = tintype_("album", "-o", "out")
    assert (status, said) == (1, "1 in color: out\n")
    assert complained == "1 failed:\n  album/a.jpg: no such file\n"


def test_a_kept_photo_that_vanishes_after_it_was_decoded(tintype_, album, monkeypatch):
    CAT.save(album / "c.jpg")
    finish = run._Work.finish

    def late(self, ready, answers):
        (album / "c.jpg").unlink(missing_ok=True)
        return finish(self, ready, answers)

    monkeypatch.setattr(run._Work, "finish", late)
    status, said, complained = tintype_("album", "-o", "out", "--keep-color")
    assert (status, said, complained) == (1, "2 in color: out\n", "1 failed:\n  album/c.jpg: no such file\n")


def test_one_of_several_inputs_is_not_there(tintype_, album):
    status, said, complained = tintype_("album", "gone.jpg", "none/*.png", "-o", "out")
    assert (status, said) == (1, "2 in color: out\n")
    assert complained == "2 failed:\n  gone.jpg: no such photo, folder or pattern\n  none: No such file or directory\n"


def test_kinds_that_are_passed_over_are_counted(tintype_, album):
    for name in ("a.xyz", "b.XYZ", "1950/c.xyz", "d.raw1", "README", ".hidden.xyz"):
        (album / name).touch()
    assert tintype_("album", "-o", "out") == (0, "2 in color: out\n5 skipped: .xyz x3, .raw1 x1, no suffix x1\n", "")
    assert tintype_("album/**/*", "-o", "out")[1].endswith("5 skipped: .xyz x3, .raw1 x1, no suffix x1\n")
    for number in range(12):
        (album / f"f.k{number:02}").touch()
    assert tintype_("album", "-o", "out")[1].endswith(".k07 x1, .k08 x1, others x5\n")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("photos [1950]", ["a[1].jpg", "sub/b.jpg"]),
        ("photos [1950]/*.jpg", ["a[1].jpg"]),
        ("photos [1950]/**/*.jpg", ["a[1].jpg", "sub/b.jpg"]),
        ("photos [1950]/a[1]*", ["a[1].jpg"]),
        ("photo* [1950]/*/*.jpg", ["photos [1950]/sub/b.jpg"]),
        ("photos [[]1950]/*.jpg", ["photos [1950]/a[1].jpg"]),
        ("photos [1950]/[!b]*.jpg", ["a[1].jpg"]),
    ],
)
def test_brackets_in_names(tintype_, tmp_path, pattern, names):
    (tmp_path / "photos [1950]" / "sub").mkdir(parents=True)
    GRAY.save("photos [1950]/a[1].jpg")
    GRAY.save("photos [1950]/sub/b.jpg")
    assert tintype_(pattern, "-o", "out") == (0, f"{len(names)} in color: out\n", "")
    assert tree("out") == names


def test_the_output_inside_the_input(tintype_, album):
    assert tintype_("album", "-o", "album/1950/out")[:2] == (0, "2 in color: album/1950/out\n")
    assert tintype_("album", "-o", "album/1950/out")[:2] == (0, "0 in color: album/1950/out (2 were there already)\n")
    (album / "linked.png").symlink_to("1950/out/1950/b.png")  # a photo that a result would replace
    status, said, complained = tintype_("album", "-o", "album/1950/out", "--overwrite")
    assert (status, said) == (1, "2 in color: album/1950/out\n")
    assert "  album/1950/b.png: album/1950/out/1950/b.png is one of the photos, which are never written over" in (
        complained
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_an_output_folder_that_fills_up_or_becomes_read_only(tintype_, album, monkeypatch, code):
    fsync, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) > 1:
            raise OSError(code, os.strerror(code))
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)
    status, said, complained = tintype_("album", "-o", "out", "--batch-size", "1")
    assert (status, said) == (2, "1 in color: out\n")
    assert complained == f"error: out/1950/b.png: cannot be written: {os.strerror(code)}\n"
    assert tree("out") == ["a.jpg"]


def clip(path, frames):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 60, 40, "gray"
        for _ in range(frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(GRAY), format="gray")))
        file.mux(stream.encode(None))


@pytest.mark.parametrize(("code", "tried"), [(errno.ENOSPC, 1), (errno.EROFS, 1), (errno.EIO, 2)])
def test_videos_that_cannot_be_written(tintype_, tmp_path, monkeypatch, code, tried):
    """A full disk ends the run: the next video would be hours of work for nothing. Other errors do not."""
    Path("clips").mkdir()
    for name in ("a.mkv", "b.mkv"):
        clip(tmp_path / "clips" / name, 3)
    calls = []

    def fails(number):
        calls.append(number)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    status, _, complained = tintype_("clips", "-o", "out")
    assert (status, len(calls)) == (2 if tried == 1 else 1, tried)
    assert f"out/a.mkv: cannot be written: {os.strerror(code)}\n" in complained
    assert tree("out") == []


def test_a_folder_that_cannot_be_written_to_at_all(tintype_, album, monkeypatch):
    import tempfile

    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert tintype_("album", "-o", "out")[::2] == (
        2,
        "error: -o: out cannot be written to: Read-only file system\n",
    )


def test_no_answer_of_the_operating_system_is_a_traceback(tintype_, album, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "album/a.jpg")

    monkeypatch.setattr(os, "walk", broken)
    assert tintype_("album", "-o", "out") == (2, "", "error: album/a.jpg: Input/output error\n")


def interrupted(tmp_path, number, *words, begun):
    """Run until `begun` is true, send a signal: exit status, what was said, what was complained of."""
    program = CONSTANT.format(path=[str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", program, "colorize", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not begun() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_ends_in_good_order(tintype_, tmp_path, number, status):
    Path("many").mkdir()
    for index in range(60):
        GRAY.resize((300, 200)).save(f"many/{index:02}.png")
    code, said, complained = interrupted(
        tmp_path,
        number,
        "many",
        "-o",
        "out",
        "--batch-size",
        "2",
        begun=lambda: len(list(Path("out").glob("*.p*"))) > 3,
    )
    done = tree("out")
    assert code == status, complained
    assert 4 <= len(done) < 60
    assert all(name.endswith(".png") and Image.open(f"out/{name}").convert("RGB").size == (300, 200) for name in done)
    assert said == f"{len(done)} in color: out\n"
    assert complained == "interrupted; the same command goes on from here\n"
    assert tintype_("many", "-o", "out")[1] == f"{60 - len(done)} in color: out ({len(done)} were there already)\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_video_that_is_interrupted_leaves_nothing(tmp_path, number, status):
    clip(tmp_path / "clip.mkv", 2000)
    out = tmp_path / "out"
    code, said, complained = interrupted(
        tmp_path, number, "clip.mkv", "-o", "out", begun=lambda: any(out.glob(".tintype-*"))
    )
    assert (code, said) == (status, "0 in color: out\n"), complained
    assert complained.endswith("interrupted; the same command goes on from here\n")
    assert os.listdir(out) == []  # noqa: PTH208
