"""The sound of a video as a speech recogniser wants it: one channel, 16 kHz, 16 bits, in a WAV file."""

from __future__ import annotations

import wave
from pathlib import Path

from medgrpo.data.readers import VideoError

__all__ = ["SAMPLE_RATE", "extract_wav"]

SAMPLE_RATE = 16_000
"""Samples a second."""


def extract_wav(video: Path, wav: Path, start: float = 0.0, end: float | None = None) -> float | None:
    """Decode the first audio track of a video, block by block, so that a long one needs no more memory.

    Sound that starts later than the pictures is preceded by silence, and gaps are filled with it: a second in
    the WAV file is a second of the video.

    Args:
        video: The video file.
        wav: Where to.
        start: Seconds into the video file from which on.
        end: Seconds into the video file until which; None is its end.

    Returns:
        Seconds written, or None if the video has no audio track; no file is written then.

    Raises:
        VideoError: If the file cannot be read or its sound cannot be decoded.
    """
    import av

    try:
        with av.open(str(video), metadata_errors="replace") as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            stream.codec_context.thread_count = 1
            zero = (container.start_time or 0) / 1_000_000
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            with _WavFile(wav, start, end) as file:
                for frame in container.decode(stream):
                    at = None if frame.time is None else frame.time - zero
                    for block in resampler.resample(frame):
                        file.add(block.to_ndarray().tobytes(), at)
                        at = None
                    if file.full:
                        break
                else:
                    for block in resampler.resample(None):
                        file.add(block.to_ndarray().tobytes(), None)
                return file.seconds
    except av.error.FFmpegError as error:
        raise VideoError(video, f"its sound cannot be decoded: {error.strerror}") from error


class _WavFile:
    """Takes blocks of samples at their times and keeps those of a span."""

    def __init__(self, path: Path, start: float, end: float | None) -> None:
        self._file = wave.open(str(path), "wb")  # noqa: SIM115  # closed at the end of the block
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(SAMPLE_RATE)
        self._first = round(start * SAMPLE_RATE)
        self._last = None if end is None else round(end * SAMPLE_RATE)
        self._position = 0

    def __enter__(self) -> _WavFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def full(self) -> bool:
        """Whether the end of the span is reached."""
        return self._last is not None and self._position >= self._last

    @property
    def seconds(self) -> float:
        """Written so far."""
        return self._file.tell() / SAMPLE_RATE

    def add(self, samples: bytes, at: float | None) -> None:
        """Write samples; silence before them if they are later than the end of the last ones.

        Args:
            samples: 16 bits each.
            at: Seconds of the video at which they start; None follows the last ones.
        """
        if at is not None and (gap := round(at * SAMPLE_RATE) - self._position) > _TOLERANCE:
            while gap > 0:
                self._put(bytes(2 * min(gap, SAMPLE_RATE)))
                gap -= SAMPLE_RATE
        self._put(samples)

    def _put(self, samples: bytes) -> None:
        count = len(samples) // 2
        skipped = min(max(self._first - self._position, 0), count)
        kept = count if self._last is None else min(max(self._last - self._position, 0), count)
        self._file.writeframesraw(samples[2 * skipped : 2 * max(kept, skipped)])
        self._position += count


_TOLERANCE = SAMPLE_RATE // 20
"""Samples by which times may be off without silence being put in: containers round them."""
