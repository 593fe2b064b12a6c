"""Real clips, drawn here, through FFmpeg and back: what is kept, what is colored, and what holds still."""

import os
import subprocess
import sys
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2lab
from skimage.transform import resize

from tintype import Colorizer
from tintype.errors import UserError
from tintype.images.opening import UnreadablePhoto
from tintype.video.colorize import CONTAINERS, SUFFIXES, colorize_video
from tintype.video.flicker import SteadyChroma
from tintype.video.reader import PRECISE, VideoReader

SIZE = (96, 64)
FRAMES = 12
RATE = 24


class Chroma:
    """A backend that knows no photo: each batch's chroma by a rule."""

    image_size = 32
    stochastic = False
    chroma_stride = 1

    def __init__(self, rule):
        self.rule = rule

    def __call__(self, lightness, seed=None):
        return np.stack([np.broadcast_to(self.rule(plane), (2, *plane.shape[1:])) for plane in lightness]).astype("f4")


def constant(a, b):
    return Colorizer(Chroma(lambda _: np.array([a, b])[:, None, None]))


def scene(size=SIZE, photo=data.coffee):
    return (resize(photo().mean(axis=2), size[::-1], anti_aliasing=True)).clip(0, 255).astype(np.uint8)


def clip(
    path,
    pictures=None,
    *,
    codec="libx264",
    sound="aac",
    pix_fmt="yuv420p",
    times=None,
    turned=0,
    pixel_shape=None,
    color_range=None,
    trc=None,
    seconds=None,
    fast=False,
    rated=False,
):
    """A clip with a tone beside it."""
    pictures = [scene()] * FRAMES if pictures is None else pictures
    height, width = pictures[0].shape[:2]
    base = Fraction(1, RATE) if rated or path.suffix == ".avi" else Fraction(1, 240)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"} if fast else {}) as file:
        file.metadata["title"] = "A clip"
        video = file.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = base
        if pixel_shape:
            video.codec_context.sample_aspect_ratio = pixel_shape
        if trc:
            video.codec_context.color_trc = trc
        if color_range:
            video.codec_context.color_range = color_range
        if turned:
            video.set_display_rotation(turned)
        tone = file.add_stream(sound, rate=48000, layout="mono") if sound else None
        if sound == "wmav2":
            tone.bit_rate = 64_000  # of its default it knows nothing
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.ndim == 3 else "gray")
            frame = frame.reformat(format=pix_fmt, dst_color_range=color_range, interpolation=PRECISE)
            frame.time_base, frame.pts = base, (times or [Fraction(n, RATE) for n in range(1000)])[index] // base
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if tone:
            wave = (np.sin(np.arange(48000 * (seconds or len(pictures) / RATE)) / 20) * 8000).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            heard.sample_rate, heard.pts = 48000, 0
            file.mux(tone.encode(heard))
            file.mux(tone.encode(None))
    return path


def frames(path):
    """Of a file: its frames as RGB, and when they are shown."""
    with av.open(str(path)) as file:
        decoded = list(file.decode(video=0))
    return [f.reformat(format="rgb24", interpolation=PRECISE).to_ndarray() for f in decoded], [f.time for f in decoded]


def sound(path):
    """The bytes of all packets of the sound, and their times."""
    with av.open(str(path)) as file:
        return [(bytes(p), float(p.pts * p.time_base)) for p in file.demux(audio=0) if p.dts is not None]


def lab(picture):
    return rgb2lab(picture)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("plain.mp4", {}),
        ("plain.mov", {}),
        ("plain.mkv", {"sound": "flac", "codec": "ffv1", "pix_fmt": "gray"}),
        ("PLAIN.WEBM", {"sound": "libopus", "codec": "libvpx-vp9"}),
        ("plain.avi", {"sound": "mp2", "codec": "mpeg4"}),
        ("full-range.mp4", {"color_range": 2}),
    ],
)
def test_color_comes_and_size_lightness_times_and_sound_stay(name, made, tmp_path):
    source, out = clip(tmp_path / name, **made), tmp_path / f"color-{name}"
    colorize_video(source, out, constant(12, 18))
    (before, times), (after, new_times) = frames(source), frames(out)
    assert len(after) == FRAMES
    assert new_times == pytest.approx(times, abs=1e-3)
    assert after[0].shape == before[0].shape == (64, 96, 3)
    for then, now in zip(before, after, strict=True):
        difference = lab(now)[..., 0] - lab(then)[..., 0]
        assert abs(difference.mean()) < 0.3
        assert difference.std() < 1.5  # of two lossy codecs
        np.testing.assert_allclose(np.median(lab(now)[..., 1:], axis=(0, 1)), [12, 18], atol=2)
    (packets, heard), (new_packets, new_heard) = (zip(*sound(path), strict=True) for path in (source, out))
    assert new_packets == packets
    assert new_heard == pytest.approx(heard, abs=2e-3)
    with av.open(str(out)) as file:
        assert {key.lower(): value for key, value in file.metadata.items()}["title"] == "A clip"


OLD_KINDS = {
    ".mpg": {"codec": "mpeg2video", "sound": "mp2"},
    ".mpeg": {"codec": "mpeg1video", "sound": "mp2"},
    ".ts": {"codec": "libx264", "sound": "aac"},
    ".mts": {"codec": "libx264", "sound": "ac3"},
    ".m2ts": {"codec": "mpeg2video", "sound": "ac3"},
    ".wmv": {"codec": "wmv2", "sound": "wmav2"},
    ".flv": {"codec": "flv", "sound": "libmp3lame"},
    ".3gp": {"codec": "mpeg4", "sound": "aac"},
}


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - set(CONTAINERS)))
def test_kinds_that_are_only_read_become_mp4(suffix, tmp_path):
    source, out = clip(tmp_path / f"a{suffix}", [scene()] * 24, rated=True, **OLD_KINDS[suffix]), tmp_path / "a.mp4"
    colorize_video(source, out, constant(12, 18))
    (before, times), (after, new_times) = frames(source), frames(out)
    assert len(after) == len(before) == 24
    assert np.subtract(new_times, new_times[0]) == pytest.approx(np.subtract(times, times[0]), abs=2e-3)
    assert 0 <= new_times[0] < 0.2  # whatever the source's clock showed
    difference = lab(after[12])[..., 0] - lab(before[12])[..., 0]
    assert abs(difference.mean()) < 0.3
    np.testing.assert_allclose(np.median(lab(after[12])[..., 1:], axis=(0, 1)), [12, 18], atol=2)
    assert sound(out)[0][1] - new_times[0] == pytest.approx(sound(source)[0][1] - times[0], abs=0.08)
    with av.open(str(out)) as file:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert len(heard) == pytest.approx(48000, rel=0.1)
    assert np.abs(heard[4800:-4800]).max() > 0.1


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_recordings_that_were_joined_go_on(suffix, tmp_path):
    """As by `cat`: the clock of the second starts again."""
    part = clip(tmp_path / f"part{suffix}", [scene()] * 48, rated=True, **OLD_KINDS[suffix])
    source, out = tmp_path / f"joined{suffix}", tmp_path / "out.mp4"
    source.write_bytes(part.read_bytes() * 2)
    colorize_video(source, out, constant(5, 5))
    times = frames(out)[1]
    assert len(times) == len(frames(source)[1]) > 90
    assert np.diff(times).min() > 0
    assert times[-1] - times[0] == pytest.approx(4, abs=0.7)
    heard = [time for _, time in sound(out)]
    assert heard[-1] - heard[0] == pytest.approx(4, abs=0.7)


def fields(path, *, codec, size, pix_fmt, options=None, frames=10):
    """A bar that moves by 4 pixels from field to field: the even lines are taken first."""
    width, height = size
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=25, options=options or {})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        for n in range(frames):
            picture = np.full((height, width), 40, np.uint8)
            for parity in (0, 1):
                left = 30 + 4 * (2 * n + parity)
                picture[parity::2, left : left + 60] = 220
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt, interpolation=PRECISE)
            frame.pts, frame.time_base = n, Fraction(1, 25)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def combing(pictures):
    """How much neighboring lines differ beyond lines of the same field, in gray levels."""
    gray = np.stack([picture[..., 1].astype(float) for picture in pictures])
    return np.abs(gray[:, :-2] - 2 * gray[:, 1:-1] + gray[:, 2:]).mean()


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("dv.avi", {"codec": "dvvideo", "size": (720, 576), "pix_fmt": "yuv420p"}),
        (
            "tv.mp4",
            {
                "codec": "libx264",
                "size": (320, 240),
                "pix_fmt": "yuv420p",
                "options": {"x264-params": "tff=1", "flags": "+ildct+ilme"},
            },
        ),
    ],
)
def test_interlaced_frames_are_deinterlaced(name, made, tmp_path):
    source, out = fields(tmp_path / name, **made), tmp_path / "out.mp4"
    colorize_video(source, out, constant(0, 0))
    (before, times), (after, new_times) = frames(source), frames(out)
    assert len(after) == len(before) == 10
    assert new_times == pytest.approx(times, abs=1e-3)
    assert combing(before) > 3
    assert combing(after) < 0.2 * combing(before)
    with av.open(str(out)) as file:
        assert not any(frame.interlaced_frame for frame in file.decode(video=0))


def test_progressive_frames_are_read_as_they_are(tmp_path):
    """Even those with lines like an interlaced frame's."""
    combed = scene().copy()
    combed[1::2] //= 2
    source = clip(tmp_path / "a.mkv", [combed] * 4, codec="ffv1", pix_fmt="gray", sound=None)
    with VideoReader(source, 10**6) as reader:
        for frame in reader.frames():
            np.testing.assert_array_equal(frame.pixels, combed)


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_tags_of_a_phone_stay(suffix, tmp_path):
    tags = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.creationdate": "2019-07-14T12:00:00+0200",
        "com.apple.quicktime.location.ISO6709": "+48.8584+002.2945/",
    }
    plain, source, out = clip(tmp_path / "plain.mov"), tmp_path / "a.mov", tmp_path / f"b{suffix}"
    with (
        av.open(str(plain)) as old,
        av.open(str(source), "w", container_options={"movflags": "use_metadata_tags"}) as new,
    ):
        new.metadata.update({**tags, "title": "A clip"})
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    colorize_video(source, out, constant(5, 5))
    with av.open(str(out)) as file:
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert {key: found.get(key.lower()) for key in tags} == tags
    assert found["title"] == "A clip"


def test_a_variable_rate_stays_variable(tmp_path):
    times = [Fraction(n, 240) for n in (0, 10, 20, 60, 65, 70, 130, 140, 150, 160, 170, 230)]
    source = clip(tmp_path / "phone.mp4", times=times)
    colorize_video(source, tmp_path / "out.mp4", constant(5, 5))
    colorize_video(source, tmp_path / "out.mkv", constant(5, 5))
    assert frames(source)[1] == frames(tmp_path / "out.mp4")[1] == [float(time) for time in times]
    in_mkv = frames(tmp_path / "out.mkv")[1]  # where nothing, not even AAC's run-in, begins before 0: all is later
    assert np.subtract(in_mkv, in_mkv[0]) == pytest.approx([float(time) for time in times], abs=1.1e-3)
    assert in_mkv[0] - sound(tmp_path / "out.mkv")[0][1] == pytest.approx(-sound(source)[0][1], abs=1.1e-3)


@pytest.mark.parametrize(("turned", "quarters"), [(90, 1), (-90, -1), (180, 2)])
def test_what_players_turn_is_written_upright(turned, quarters, tmp_path):
    source = clip(tmp_path / "phone.mp4", turned=turned, pixel_shape=Fraction(4, 3))
    colorize_video(source, tmp_path / "out.mp4", constant(0, 0))
    after = frames(tmp_path / "out.mp4")[0][0]
    expected = np.rot90(frames(source)[0][0], quarters)
    assert after.shape == expected.shape
    assert np.abs(after.astype(int) - expected).mean() < 3
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert next(file.decode(video=0)).rotation == 0
        assert file.streams.video[0].sample_aspect_ratio == (Fraction(4, 3) if quarters == 2 else Fraction(3, 4))


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_odd_sizes_stay(suffix, tmp_path):
    source = clip(tmp_path / "odd.mkv", [scene((97, 65))] * 4, codec="ffv1", pix_fmt="gray", sound=None)
    colorize_video(source, tmp_path / f"out{suffix}", constant(12, 18))
    after, times = frames(tmp_path / f"out{suffix}")
    assert after[0].shape == (65, 97, 3)
    assert len(times) == 4


def test_sound_that_does_not_fit_the_kind_of_file_is_encoded_again(tmp_path):
    source = clip(tmp_path / "a.mp4", [scene()] * 48)
    colorize_video(source, tmp_path / "b.webm", constant(5, 5))
    with av.open(str(tmp_path / "b.webm")) as file:
        assert file.streams.audio[0].codec_context.name == "opus"
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
    assert len(heard) == pytest.approx(2 * 48000, rel=0.05)
    assert np.abs(heard[4800:-4800]).max() == pytest.approx(8000 / 32768, rel=0.2)


def test_subtitles_and_chapters_stay(tmp_path):
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n\n2\n00:00:00,300 --> 00:00:00,400\nthere\n")
    plain, source = clip(tmp_path / "plain.mkv"), tmp_path / "both.mkv"
    with av.open(str(plain)) as video, av.open(str(words)) as text, av.open(str(source), "w") as file:
        streams = {
            id(stream): file.add_stream_from_template(stream)
            for stream in (*video.streams.video, *video.streams.audio, *text.streams.subtitles)
        }
        file.set_chapters(
            [{"id": 1, "start": 0, "end": 250, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        for packet in (*text.demux(), *video.demux()):
            if packet.size:
                packet.stream = streams[id(packet.stream)]
                file.mux(packet)
    colorize_video(source, tmp_path / "out.mkv", constant(5, 5))
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["One"]
        assert b"Hello" in b"".join(bytes(packet) for packet in file.demux(subtitles=0))


def test_colors_that_flicker_are_held_still(tmp_path):
    rng = np.random.default_rng(1)
    flickering = Chroma(lambda plane: rng.normal([[[10]], [[20]]], 8, (2, 1, 1)))
    film = [(scene() + rng.normal(0, 5, SIZE[::-1])).clip(0, 255).astype(np.uint8) for _ in range(36)]
    colorize_video(clip(tmp_path / "a.mp4", film), tmp_path / "b.mp4", Colorizer(flickering))
    chroma = np.array([np.median(lab(picture)[..., 1:], axis=(0, 1)) for picture in frames(tmp_path / "b.mp4")[0]])
    steps = np.abs(np.diff(chroma, axis=0))
    raw = 8 * 2 / np.sqrt(np.pi)  # mean difference of two normal draws
    assert steps[12:].mean() < 0.2 * raw
    np.testing.assert_allclose(chroma[12:].mean(axis=0), [10, 20], atol=4)


def test_no_color_of_one_scene_is_seen_in_the_next(tmp_path):
    coffee, cat = scene(), scene(photo=data.chelsea)
    lightness = [rgb2lab(np.repeat(one[..., None], 3, axis=2))[..., 0].mean() for one in (coffee, cat)]
    split = sum(lightness) / 2
    rule = Chroma(lambda plane: np.full((2, 1, 1), 25 if (plane.mean() < split) == (lightness[0] < split) else -25))
    colorize_video(clip(tmp_path / "a.mp4", [coffee] * 10 + [cat] * 10), tmp_path / "b.mp4", Colorizer(rule))
    seen = [np.median(lab(picture)[..., 2]) for picture in frames(tmp_path / "b.mp4")[0]]
    assert min(seen[:10]) > 18
    assert max(seen[10:]) < -18


def moving(step, frames=16, size=(48, 64)):
    """A photo under which the camera moves; (lightness, ab of the very same places)."""
    wide = resize(rgb2lab(data.coffee()), (size[0], size[1] + step * frames), anti_aliasing=True).astype(np.float32)
    for n in range(frames):
        part = wide[:, n * step : n * step + size[1]]
        yield np.ascontiguousarray(part[..., 0]), np.ascontiguousarray(part[..., 1:].transpose(2, 0, 1))


@pytest.mark.parametrize("step", [0, 1, 3])
def test_colors_move_with_what_they_belong_to(step):
    steady, rng = SteadyChroma(), np.random.default_rng(0)
    wrong_before, wrong_after = [], []
    for n, (lightness, ab) in enumerate(moving(step)):
        predicted = ab + rng.normal(0, 6, ab.shape).astype(np.float32)
        held = steady(lightness, predicted, n / RATE)
        wrong_before.append(np.abs(predicted - ab).mean())
        wrong_after.append(np.abs(held - ab).mean())
    assert np.mean(wrong_after[8:]) < 0.5 * np.mean(wrong_before[8:])


def test_what_is_uncovered_takes_no_color_from_what_covered_it():
    steady = SteadyChroma()
    for n in range(10):
        lightness, ab = np.full((48, 64), 70, np.float32), np.zeros((2, 48, 64), np.float32)
        lightness += np.random.default_rng(1).normal(0, 1, lightness.shape).astype(np.float32)
        square = (slice(10, 30), slice(4 * n, 4 * n + 16))
        lightness[square] = 20
        ab[(slice(None), *square)] = 50
        held = steady(lightness, ab, n / RATE)
    behind = held[:, 10:30, : 4 * 9 - 4]
    assert np.abs(behind).mean() < 5
    assert np.abs(held[:, 12:28, 4 * 9 + 2 : 4 * 9 + 14] - 50).mean() < 5


def test_what_changes_at_once_has_its_new_color_at_once():
    steady, (lightness, ab) = SteadyChroma(), next(iter(moving(0)))
    for n in range(10):
        if n == 9:  # a lamp goes on
            lightness, ab = lightness.copy(), ab.copy()
            lightness[20:32, 20:32] += 25
            ab[:, 20:32, 20:32] -= 40
        held = steady(lightness, ab, n / RATE)
    np.testing.assert_allclose(held[:, 22:30, 22:30], ab[:, 22:30, 22:30], atol=4)


def test_a_pumping_exposure_is_no_cut():
    steady, rng = SteadyChroma(), np.random.default_rng(0)
    lightness, ab = next(iter(moving(0)))
    for n in range(16):
        held = steady(lightness * (1 + 0.1 * (-1) ** n), ab + rng.normal(0, 6, ab.shape).astype(np.float32), n / RATE)
    assert np.abs(held - ab).mean() < 0.5 * 6 * np.sqrt(2 / np.pi)


def test_the_same_moment_twice_and_another_size_do_no_harm():
    steady = SteadyChroma()
    for shape, time in [((16, 16), 0.0), ((16, 16), 0.0), ((16, 24), 1.0), ((16, 24), 0.5), ((16, 64), 2.0)]:
        ab = np.full((2, *shape), 7, np.float32)
        np.testing.assert_allclose(steady(np.full(shape, 50, np.float32), ab, time), ab)


def test_color_that_is_there_can_be_kept(tmp_path):
    colorful = resize(data.astronaut(), (64, 96, 3), preserve_range=True).astype(np.uint8)
    source = clip(tmp_path / "a.mkv", [colorful] * 4, codec="ffv1", pix_fmt="bgr0", sound=None)
    colorizer = Colorizer(constant(0, 0).backend, keep_color=True)
    colorize_video(source, tmp_path / "kept.mp4", colorizer)
    colorize_video(source, tmp_path / "gray.mp4", constant(0, 0))
    chroma = [np.abs(lab(frames(tmp_path / name)[0][0])[..., 1:]).mean() for name in ("kept.mp4", "gray.mp4")]
    assert chroma[0] == pytest.approx(np.abs(lab(colorful)[..., 1:]).mean(), rel=0.1)
    assert chroma[1] < 1


@pytest.mark.slow
@pytest.mark.parametrize("colored", [[0, 3], [3], []])
def test_color_is_kept_in_a_whole_clip_or_in_none_of_it(colored, tmp_path):
    colorful = resize(data.astronaut(), (64, 96, 3), preserve_range=True).astype(np.uint8)
    film = [colorful if n // 12 in colored else np.repeat(scene()[..., None], 3, axis=2) for n in range(48)]
    source = clip(tmp_path / "a.mkv", film, codec="ffv1", pix_fmt="bgr0", sound=None)
    colorizer = Colorizer(constant(0, 25).backend, keep_color=True)
    colorize_video(source, tmp_path / "b.mkv", colorizer)
    assert colorizer.options.keep_color
    for then, now in zip(film, frames(tmp_path / "b.mkv")[0], strict=True):
        b = np.median(lab(now)[..., 2])
        assert b == pytest.approx(np.median(lab(then)[..., 2]) if colored else 25, abs=3)


def test_memory_holds_some_frames_however_long_the_clip(tmp_path):
    begun, most = 0, 0

    class Counting(Colorizer):
        def prepare(self, photo):
            nonlocal begun
            begun += 1
            return super().prepare(photo)

    def progress(done, total):
        nonlocal most
        assert total == 60
        most = max(most, begun - done)

    colorizer = Counting(constant(5, 5).backend, batch_size=4)
    source = clip(tmp_path / "a.mp4", [scene()] * 60)
    tracemalloc.start()
    colorize_video(source, tmp_path / "b.mp4", colorizer, progress=progress)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (begun, most) == (60, 0)
    assert peak < 20e6  # NumPy's part; 60 frames and their lightness, color and RGB would be more


def test_what_fails_halfway_leaves_nothing_and_harms_nothing(tmp_path):
    calls = []

    def fails(plane):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("out of luck")
        return np.zeros((2, 1, 1))

    source, out = clip(tmp_path / "a.mp4"), tmp_path / "out" / "a.mp4"
    out.parent.mkdir()
    out.write_bytes(b"from before")
    with pytest.raises(RuntimeError, match="out of luck"):
        colorize_video(source, out, Colorizer(Chroma(fails), batch_size=4))
    assert [path.name for path in out.parent.iterdir()] == ["a.mp4"]
    assert out.read_bytes() == b"from before"


def test_broken_and_other_files_are_refused_with_a_reason(tmp_path):
    whole = clip(tmp_path / "whole.mkv")
    only_sound = tmp_path / "sound.mp4"
    with av.open(str(only_sound), "w") as file:
        tone = file.add_stream("aac", rate=48000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        heard.sample_rate, heard.pts = 48000, 0
        file.mux(tone.encode(heard))
        file.mux(tone.encode(None))
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    (tmp_path / "cut.mp4").write_bytes(clip(tmp_path / "b.mp4").read_bytes()[:-3000])  # its index is at the end
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{whole}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.mkv").write_text(f"ffconcat version 1.0\nfile {whole.name}\n")
    clip(tmp_path / "hdr.mkv", trc=16, sound=None)
    for name, reason in {
        "empty.mp4": "unreadable",
        "text.mp4": "unreadable",
        "cut.mp4": "unreadable",
        "list.mp4": "unreadable",
        "list.mkv": "unreadable",
        "none.mp4": "no such file",
        "sound.mp4": "no video in it",
        "hdr.mkv": "HDR video",
    }.items():
        with pytest.raises(UnreadablePhoto, match=reason):
            colorize_video(tmp_path / name, tmp_path / "out.mp4", constant(5, 5))
        assert not list(tmp_path.glob("out*")), name
    with pytest.raises(UnreadablePhoto, match="over the pixel limit"):
        colorize_video(whole, tmp_path / "out.mp4", Colorizer(constant(5, 5).backend, max_pixels=96 * 64 - 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "made"),
    [
        (".mp4", {}),
        (".mkv", {}),
        (".mkv", {"sound": None}),
        (".webm", {"sound": "libopus", "codec": "libvpx-vp9"}),
        (".avi", {"sound": "mp2", "codec": "mpeg4"}),
    ],
)
def test_a_file_that_was_cut_off_is_no_video_that_is_done(suffix, made, tmp_path):
    film = [(scene() + 20 * np.random.default_rng(n).normal(0, 1, SIZE[::-1])).clip(0, 255) for n in range(50)]
    source = clip(tmp_path / f"a{suffix}", [picture.astype(np.uint8) for picture in film], fast=True, **made)
    whole, out = source.read_bytes(), tmp_path / "b.mkv"
    colorize_video(source, out, constant(5, 5))
    assert len(frames(out)[0]) == 50
    out.unlink()
    source.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(UnreadablePhoto, match=r"truncated: 1\.\d of 2\.1 seconds"):
        colorize_video(source, out, constant(5, 5))
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_goes_on_makes_no_file_a_truncated_one(suffix, tmp_path):
    source = clip(tmp_path / f"a{suffix}", seconds=3)
    colorize_video(source, tmp_path / "b.mkv", constant(5, 5))
    assert len(frames(tmp_path / "b.mkv")[0]) == FRAMES


def test_wrong_outputs_are_refused(tmp_path):
    source = clip(tmp_path / "a.mp4")
    before = source.read_bytes()
    for out, message in [
        (tmp_path / "b.jpg", r"b\.jpg: allowed: a name that ends in \.mp4 "),
        (source, "is the video itself"),
        (tmp_path / "no" / "b.mp4", r"b\.mp4: cannot be written"),
    ]:
        with pytest.raises(UserError, match=message):
            colorize_video(source, out, constant(5, 5))
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("missing", ["av", "cv2"])
def test_without_the_extra_its_name_is_told(missing, tmp_path):
    source = clip(tmp_path / "a.mp4")
    code = f"""
import sys; sys.modules[{missing!r}] = None
from pathlib import Path
from tintype.video.colorize import colorize_video
from tintype.errors import UserError
class Backend: image_size, stochastic, chroma_stride = 32, False, 1
from tintype import Colorizer
try:
    colorize_video(Path({str(source)!r}), Path({str(tmp_path / "b.mp4")!r}), Colorizer(Backend()))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "pip install 'tintype[video]'" in done.stdout


def test_frames_are_read_as_they_should_look(tmp_path):
    """Full range and BT.709 are converted by what the file says, so that gray levels come out as they went in."""
    levels = np.repeat(np.linspace(0, 255, 96).astype(np.uint8)[None], 64, axis=0)
    for name, made in {"limited.mkv": {}, "full.mkv": {"color_range": 2}}.items():
        clip(tmp_path / name, [levels] * 2, codec="ffv1", pix_fmt="yuv420p", sound=None, **made)
        with VideoReader(tmp_path / name, 10**6) as reader:
            frame = next(reader.frames())
        assert frame.pixels.ndim == 2
        assert np.abs(frame.pixels.astype(int) - levels).max() <= 1
