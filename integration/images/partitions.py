# SPDX-License-Identifier: Apache-2.0
"""Partition tables as partitioning programs write them, for sectors of any size.

An MBR as in the PC's BIOS (16-byte entries at byte 446), a GPT as in UEFI 2.10, section 5.3. Both count in
sectors, so a table that was made for one sector size says nothing, or something else, to a disk of another.
"""
import struct
import uuid
import zlib

LINUX_MBR, PROTECTIVE_MBR = 0x83, 0xee
LINUX_GPT = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
ENTRIES, ENTRY_BYTES = 128, 128


def mbr_sector(parts):
    """The first 512 bytes; `parts` are (type, first sector, sectors)."""
    entries = b"".join(struct.pack("<B3sB3sII", 0, b"\0\2\0", kind, b"\xff\xff\xff", first, count)
                       for kind, first, count in parts)
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa"


def mbr(image, sector, parts):
    """Writes a table of (first byte, bytes) into an image."""
    image[:512] = mbr_sector([(LINUX_MBR, first // sector, size // sector) for first, size in parts])


def gpt(image, sector, parts):
    """The same as a GPT, with its copy at the end."""
    last = len(image) // sector - 1
    table = ENTRIES * ENTRY_BYTES // sector  # sectors
    entries = b"".join(struct.pack("<16s16sQQQ72s", LINUX_GPT.bytes_le, uuid.UUID(int=number + 1).bytes_le,
                                   first // sector, (first + size) // sector - 1, 0,
                                   f"part{number + 1}".encode("utf-16-le"))
                       for number, (first, size) in enumerate(parts)).ljust(ENTRIES * ENTRY_BYTES, b"\0")

    def header(own, other, entries_at):
        def fields(checksum):
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, 2 + table,
                               last - 1 - table, uuid.UUID(int=99).bytes_le, entries_at, ENTRIES, ENTRY_BYTES,
                               zlib.crc32(entries))
        return fields(zlib.crc32(fields(0)))

    def put(at, data):
        image[at * sector:at * sector + len(data)] = data

    put(0, mbr_sector([(PROTECTIVE_MBR, 1, last)]))
    put(1, header(1, last, 2))
    put(2, entries)
    put(last - table, entries)
    put(last, header(last, 1, last - table))
