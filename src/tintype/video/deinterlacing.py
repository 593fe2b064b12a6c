"""Deinterlacing: frames whose lines were taken at two moments become frames of one moment (FFmpeg's bwdif).

Old cameras and television store a frame as two fields, its odd and its even lines, 1/50 or 1/60 of a second apart. A
network would see combs along everything that moves. Frames that are not marked as interlaced are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.filter import Graph
from av.video.stream import VideoStream

BWDIF = "mode=send_frame:parity=auto:deint=interlaced"
"""One frame per frame, at the same time; frames that are not marked pass unchanged."""


def deinterlaced(frames: Iterable[av.VideoFrame], stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield one progressive frame per frame, with the same times. Their time base may be finer.

    Args:
        frames: decoded frames.
        stream: the stream that they come from.
    """
    graph, begun_with = None, None
    for frame in frames:
        if graph is not None and _shape(frame) != begun_with:  # a filter has one size
            yield from _rest(graph)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, begun_with = _graph(frame, stream), _shape(frame)
        graph.vpush(frame)
        yield from _ready(graph)
    if graph is not None:
        yield from _rest(graph)


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _graph(frame: av.VideoFrame, stream: VideoStream) -> Graph:
    graph = Graph()
    time_base = frame.time_base or stream.time_base
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    graph.link_nodes(source, graph.add("bwdif", BWDIF), graph.add("buffersink")).configure()
    return graph


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):  # it needs the next frame first, or has given all
            return


def _rest(graph: Graph) -> Iterator[av.VideoFrame]:
    graph.vpush(None)
    yield from _ready(graph)
