"""The framing of a TFRecord file: length, its checksum, payload, its checksum.

Read here and not by TensorFlow, because its reader drops everything after the first bad record without a word.
The format is documented in TensorFlow's ``record_writer.h``: little-endian uint64 length, masked CRC-32C of those
eight bytes, payload, masked CRC-32C of the payload.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google_crc32c import value as crc32c

from trainbox.data.archives import Limits
from trainbox.data.problems import Problems
from trainbox.errors import ArchiveError

HEADER_BYTES = 12
FOOTER_BYTES = 4
MAX_RECORD_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20
_MASK_DELTA = 0xA282EAD8


def masked_checksum(content: bytes) -> int:
    """Return the CRC-32C of ``content``, rotated and shifted as TFRecord stores it."""
    checksum = crc32c(content)
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """Return one record as a TFRecord file holds it."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (length, struct.pack("<I", masked_checksum(length)), payload, struct.pack("<I", masked_checksum(payload)))
    )


def is_framed(start: bytes) -> bool:
    """Tell whether the first 12 bytes of a file are the head of a TFRecord."""
    return len(start) >= HEADER_BYTES and _length(start[:HEADER_BYTES]) is not None


def is_compressed(start: bytes) -> bool:
    """Tell by the first bytes whether a file is gzip or zlib, whatever its name says."""
    if is_framed(start) or len(start) < 2:
        return False
    return start[:2] == b"\x1f\x8b" or (start[0] == 0x78 and int.from_bytes(start[:2], "big") % 31 == 0)


def read_frames(file: BinaryIO, where: str, problems: Problems) -> Iterator[tuple[int, bytes]]:
    """Yield ``(offset of the payload, payload)`` of each good record of a seekable file.

    A record with a wrong checksum costs that record; a wrong length or a torn end costs the rest, since nothing
    tells where the next record begins. Each is counted with its offset.
    """
    end = file.seek(0, io.SEEK_END)
    offset = file.seek(0)
    while offset < end:
        length = _length(file.read(HEADER_BYTES))
        here = f"{where}, byte {offset}"
        if length is None or length > MAX_RECORD_BYTES:
            torn = end - offset < HEADER_BYTES
            reason = "TFRecord ends in the middle of a record" if torn else "TFRecord has a damaged length"
            problems.skip(reason, f"{here}: the last {end - offset} bytes are not read")
            return
        if offset + HEADER_BYTES + length + FOOTER_BYTES > end:
            problems.skip("TFRecord ends in the middle of a record", here)
            return
        payload = file.read(length)
        if file.read(FOOTER_BYTES) == struct.pack("<I", masked_checksum(payload)):
            yield offset + HEADER_BYTES, payload
        else:
            problems.skip("record with a wrong checksum", here)
        offset += HEADER_BYTES + length + FOOTER_BYTES


def unpack(packed: BinaryIO, target: Path, where: str, problems: Problems, limits: Limits | None = None) -> None:
    """Write the decompressed content of a gzip or zlib stream to ``target``.

    ``limits`` are those of an archive. A torn or damaged stream costs what comes after the damage, counted. Raises
    ArchiveError for a bomb.
    """
    read = written = 0
    stream, started = zlib.decompressobj(wbits=47), False
    with target.open("wb") as file:
        for chunk in iter(lambda: packed.read(_CHUNK_BYTES), b""):
            read += len(chunk)
            while chunk:
                try:
                    content = stream.decompress(chunk, _CHUNK_BYTES)
                except zlib.error:
                    problems.skip("compressed TFRecord is damaged", f"{where}: the rest is not read")
                    return
                written += file.write(content)
                _refuse_bomb(read, written, where, limits or Limits())
                chunk, started = stream.unconsumed_tail, True
                if stream.eof:
                    # Streams may be joined end to end, and some writers pad with zeros.
                    chunk = stream.unused_data.lstrip(b"\x00")
                    stream, started = zlib.decompressobj(wbits=47), False
    if started:
        problems.skip("compressed TFRecord is cut short", where)


def _refuse_bomb(read: int, written: int, where: str, limits: Limits) -> None:
    blown_up = written > limits.ratio_from_bytes and written > read * limits.ratio
    if blown_up or written > limits.total_bytes:
        raise ArchiveError(
            f"The compressed TFRecord '{where}' unpacks to too much: over {written} bytes from {read}. "
            f"Give it uncompressed."
        )


def _length(header: bytes) -> int | None:
    """Return the payload's length in bytes, None where the header is short or its checksum is wrong."""
    if len(header) < HEADER_BYTES:
        return None
    length, checksum = struct.unpack("<QI", header)
    return int(length) if checksum == masked_checksum(header[:8]) else None
