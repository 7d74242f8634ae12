"""Opens the ZIP that an XLSX is without trusting what it says of itself."""

import io
import struct
import zipfile
import zlib

from shared.sheets.refusals import HasMacros, NotXlsx, OldXls, PasswordProtected, XmlBomb, ZipBomb
from shared.sheets.spec import Limits

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UTF8_NAMES, _DAY_ONE = 20, 0x800, 0x21
_SMALL = 1 << 20
"""Entries below this may compress as well as they like."""

SAVE_AS = "Open it in Excel or WPS and save it as .xlsx."
SAVE_AS_ZH = "请用 Excel 或 WPS 打开，另存为 .xlsx。"


def unpack(data: bytes, limits: Limits) -> tuple[dict[str, bytes], bytes]:
    """Every part of an XLSX by name, and an archive of just these parts, for a reader that opens archives itself.

    That archive holds the same compressed streams under headers of ours: the reader sees exactly what was checked, and it takes
    a tenth of the memory that the parts would. Raises NotXlsx (or a kind of it), ZipBomb, XmlBomb.
    Sizes are counted while unzipping, since a bomb lies about them in its directory.
    """
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise PasswordProtected(
                "The file has a password. Remove it and send it again.", "文件有密码，请取消密码后重新上传。"
            )
        raise OldXls(f"This is an old .xls file. {SAVE_AS}", f"这是旧版 .xls 文件。{SAVE_AS_ZH}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts, packed = _parts(data, archive.infolist(), limits)
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, UnicodeDecodeError) as broken:
        raise NotXlsx(f"The file is damaged or no XLSX. {SAVE_AS}", f"文件已损坏或不是 XLSX。{SAVE_AS_ZH}") from broken
    if "xl/vbaProject.bin" in parts:
        raise HasMacros("The file holds macros. Save it as .xlsx without them.", "文件含有宏，请另存为不含宏的 .xlsx。")
    if "xl/workbook.xml" not in parts:
        raise NotXlsx(f"This archive is no XLSX workbook. {SAVE_AS}", f"这个压缩文件不是 XLSX 工作簿。{SAVE_AS_ZH}")
    for name, part in parts.items():
        if name.endswith((".xml", ".rels")):
            _refuse_bomb(part)
    return parts, packed


def _parts(data: bytes, entries: list[zipfile.ZipInfo], limits: Limits) -> tuple[dict[str, bytes], bytes]:
    if len(entries) > limits.entries:
        raise ZipBomb(
            f"The file holds {len(entries)} parts; at most {limits.entries} are read. {SAVE_AS}",
            f"文件内部有 {len(entries)} 个部分，最多 {limits.entries} 个。{SAVE_AS_ZH}",
            limit=limits.entries,
        )
    parts: dict[str, bytes] = {}
    packed, directory = bytearray(), bytearray()
    left = limits.unzipped_bytes
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise PasswordProtected(
                "The file has a password. Remove it and send it again.", "文件有密码，请取消密码后重新上传。"
            )
        if entry.filename in parts:
            raise NotXlsx(f"The file holds the same part twice. {SAVE_AS}", f"文件内部有重复的部分。{SAVE_AS_ZH}")
        part, stream = _inflate(data, entry, left, limits)
        left -= len(part)
        parts[entry.filename] = part
        name = entry.filename.encode()
        about = (
            _VERSION,
            _UTF8_NAMES,
            entry.compress_type,
            0,
            _DAY_ONE,
            entry.CRC,
            len(stream),
            len(part),
            len(name),
            0,
        )
        directory += _ENTRY.pack(b"PK\x01\x02", _VERSION, *about, 0, 0, 0, 0, len(packed)) + name
        packed += _LOCAL_HEADER.pack(b"PK\x03\x04", *about) + name + stream
    packed += directory + _END.pack(b"PK\x05\x06", 0, 0, len(parts), len(parts), len(directory), len(packed), 0)
    return parts, bytes(packed)


def _inflate(data: bytes, entry: zipfile.ZipInfo, left: int, limits: Limits) -> tuple[bytes, memoryview]:
    """A part, and the bytes it was compressed to, without what may hang on behind them."""
    head = _LOCAL_HEADER.unpack_from(data, entry.header_offset)
    if head[0] != b"PK\x03\x04":
        raise zipfile.BadZipFile("no local header where the directory points")
    start = entry.header_offset + _LOCAL_HEADER.size + head[9] + head[10]
    packed = memoryview(data)[start : start + entry.compress_size]
    if len(packed) != entry.compress_size:
        raise zipfile.BadZipFile("cut short")
    most = min(left, max(_SMALL, entry.compress_size * limits.ratio))
    if entry.compress_type == zipfile.ZIP_STORED:
        part = bytes(packed)
        whole = True
    elif entry.compress_type == zipfile.ZIP_DEFLATED:
        stream = zlib.decompressobj(-15)
        part = stream.decompress(packed, most + 1)
        whole = stream.eof
        packed = packed[: len(packed) - len(stream.unused_data)]
    else:
        raise zipfile.BadZipFile("an unusual compression")
    if len(part) > most or entry.file_size > most:
        raise ZipBomb(
            f"The file unzips to more than {limits.ratio} times its size or {limits.unzipped_bytes >> 20} MiB. {SAVE_AS}",
            f"文件解压后超过原大小的 {limits.ratio} 倍或 {limits.unzipped_bytes >> 20} MiB。{SAVE_AS_ZH}",
        )
    if not whole or len(part) != entry.file_size or zlib.crc32(part) != entry.CRC:
        raise zipfile.BadZipFile("its directory does not tell the truth")
    return part, packed


def _refuse_bomb(part: bytes) -> None:
    if part.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in part[:64]:
        raise NotXlsx(f"The file is written in an unusual way. {SAVE_AS}", f"文件的编码方式不常见。{SAVE_AS_ZH}")
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part:
        raise XmlBomb(
            f"The file holds XML declarations that no spreadsheet needs. {SAVE_AS}",
            f"文件含有表格不需要的 XML 声明。{SAVE_AS_ZH}",
        )
