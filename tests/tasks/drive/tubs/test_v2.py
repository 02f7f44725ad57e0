import json
import math
from pathlib import Path

import pytest


def lines_of(root: Path, number: int = 0) -> list[bytes]:
    return (root / f"catalog_{number}.catalog").read_bytes().splitlines(keepends=True)


def write_lines(root: Path, lines: list[bytes], number: int = 0, *, lengths: bool = True):
    (root / f"catalog_{number}.catalog").write_bytes(b"".join(lines))
    if lengths:
        described = {"line_lengths": [len(line) for line in lines]}
        (root / f"catalog_{number}.catalog_manifest").write_text(json.dumps(described))


def test_records_come_in_the_order_of_their_lines(v2, read):
    reading = read(v2(10))
    assert reading.indices == list(range(10))
    assert [record.position for record in reading.records] == list(range(10))
    assert reading.records[3].image.name == "images/3_cam_image_array_.jpg"
    assert reading.records[3].timestamp_ms == 1_706_111_016_336
    assert (reading.skips, reading.warnings) == ({}, {})
    assert (reading.tubs[0].version, reading.tubs[0].found) == (2, 10)


def test_catalogs_are_taken_in_the_manifests_order(v2, read, rewrite_manifest):
    root = v2(12)
    rewrite_manifest(root, ["catalog_2.catalog", "catalog_0.catalog", "catalog_1.catalog"], [], 12)
    reading = read(root)
    assert reading.indices == [8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7]


def test_more_than_ten_catalogs_without_a_manifest_are_sorted_by_number(v2, read):
    root = v2(24, per_catalog=2)
    (root / "manifest.json").unlink()
    reading = read(root)
    assert reading.indices == list(range(24))
    assert reading.warnings == {"manifest is missing: rebuilt from the catalogs, deleted records unknown": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]\n[2]\n{}\n", b"\x00" * 300, b'[]\n[]\n{}\n{}\n{"paths": ["cat'])
def test_a_broken_manifest_is_rebuilt(v2, read, content):
    root = v2(10, deleted=[1])
    (root / "manifest.json").write_bytes(content)
    reading = read(root)
    assert reading.indices == list(range(10))
    assert reading.warnings == {"manifest is broken: rebuilt from the catalogs, deleted records unknown": 1}


@pytest.mark.parametrize("last", ['{"paths": ["catalog_0.catalog"]}', '{"paths": [7, null, "catalog_0.catalog"]}'])
def test_a_manifest_may_say_little(v2, read, last):
    root = v2(4)
    (root / "manifest.json").write_text(last + "\n")
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.warnings == {}


def test_deleted_records_are_left_out(v2, read):
    reading = read(v2(10, deleted=[0, 3, 4]))
    assert reading.indices == [1, 2, 5, 6, 7, 8, 9]
    # The gap stays visible to whoever pairs an image with a later command.
    assert [record.position for record in reading.records] == [1, 2, 5, 6, 7, 8, 9]
    assert reading.skips == {"record is deleted": 3}
    assert reading.accounted


def test_deleted_indexes_out_of_range_or_no_numbers_are_ignored(v2, read):
    reading = read(v2(10, deleted=[2, 10, 5000, -1, "3", None, 4.0, True, 1 << 80]))
    assert reading.skips == {"record is deleted": 1}
    assert reading.warnings == {
        "deleted index without a record is ignored": 2,
        "deleted index that counts nothing is ignored": 6,
    }


def shifted(values_of, by: int, count: int) -> list[dict]:
    return [values_of(number) for number in range(by, by + count)]


def test_deleted_indexes_are_line_positions_as_donkeycar_reads_them(v2, read, values_of):
    # Lines 0 to 9 hold the records 100 to 109: the numbers in the list can only be lines.
    reading = read(v2(shifted(values_of, 100, 10), deleted=[2, 3]))
    assert reading.skips == {"record is deleted": 2}
    assert reading.indices == [100, 101, 104, 105, 106, 107, 108, 109]


def test_where_both_readings_fit_equally_donkeycars_counts(v2, read, values_of):
    # Lines 0 to 9 hold the records 5 to 14: 6 is a line and also a record's number.
    reading = read(v2(shifted(values_of, 5, 10), deleted=[6]))
    assert reading.indices == [5, 6, 7, 8, 9, 10, 12, 13, 14]
    assert reading.warnings == {"deleted_indexes fit both _index and line position: taken as line position": 1}


def test_where_more_of_the_list_fits_the_index_it_is_the_index(v2, read, values_of):
    # As in a tub whose first catalogs were thrown away: 12 to 14 are records, but beyond the last line.
    reading = read(v2(shifted(values_of, 5, 10), deleted=[6, 12, 13, 14]))
    assert reading.indices == [5, 7, 8, 9, 10, 11]
    assert reading.skips == {"record is deleted": 4}
    assert reading.warnings == {"deleted_indexes fit both _index and line position: taken as _index": 1}


def test_broken_lines_are_left_out_and_keep_their_place(v2, read):
    root = v2(4)
    lines = lines_of(root)
    lines[1] = b'{"_index": 1, "user/an\n'
    lines[2] = b"[1]\n"
    write_lines(root, lines)
    reading = read(root)
    assert [record.position for record in reading.records] == [0, 3]
    assert reading.skips == {"record is not valid JSON": 1, "record is not a JSON object": 1}
    assert reading.problems.skips["record is not valid JSON"].examples == ["tub/catalog_0.catalog, line 2"]
    assert reading.accounted


def test_broken_lines_count_when_records_are_deleted(v2, read):
    root = v2(4, deleted=[1, 2])
    lines = lines_of(root)
    lines[0] = b"broken\n"
    lines[1] = b"broken\n"
    write_lines(root, lines)
    reading = read(root)
    assert reading.indices == [3]
    assert reading.skips == {"record is deleted": 2, "record is not valid JSON": 1}


@pytest.mark.parametrize("tail", [b'{"_index": 4, "user/', b"\x00" * 90, b'{"_index": 4'])
def test_a_torn_last_line_is_left_out(v2, read, tail):
    root = v2(4)
    write_lines(root, [*lines_of(root), tail])
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.skips == {"last line of a catalog is torn": 1}
    assert reading.accounted


def test_a_whole_last_line_without_its_end_counts(v2, read):
    root = v2(4)
    lines = lines_of(root)
    write_lines(root, [*lines[:3], lines[3].rstrip(b"\n")])
    assert read(root).indices == [0, 1, 2, 3]


@pytest.mark.parametrize("lengths", [[], [1, 2, 3], [10_000] * 4, "none", None])
def test_wrong_line_lengths_do_not_matter_but_are_said(v2, read, lengths):
    root = v2(4)
    (root / "catalog_0.catalog_manifest").write_text(json.dumps({"line_lengths": lengths}))
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.warnings == {"line lengths of a catalog are wrong: the lines were counted anew": 1}


def test_blank_lines_and_windows_line_ends_are_read(v2, read):
    root = v2(4)
    lines = [line.rstrip(b"\n") + b"\r\n" for line in lines_of(root)]
    write_lines(root, [*lines[:2], b"\n", b"  \n", *lines[2:]])
    reading = read(root)
    assert [record.position for record in reading.records] == [0, 1, 2, 3]
    assert reading.skips == {}


def test_an_empty_last_catalog_is_fine(v2, read, rewrite_manifest):
    root = v2(4)
    (root / "catalog_1.catalog").touch()
    (root / "catalog_1.catalog_manifest").write_text('{"line_lengths": []}')
    rewrite_manifest(root, ["catalog_0.catalog", "catalog_1.catalog"], [], 4)
    reading = read(root)
    assert (reading.indices, reading.skips, reading.warnings) == ([0, 1, 2, 3], {}, {})


def test_an_empty_catalog_in_between_keeps_the_positions(v2, read, rewrite_manifest):
    root = v2(8, deleted=[5])
    (root / "catalog_7.catalog").touch()
    rewrite_manifest(root, ["catalog_0.catalog", "catalog_7.catalog", "catalog_1.catalog"], [5], 8)
    assert read(root).indices == [0, 1, 2, 3, 4, 6, 7]


def test_stale_catalogs_are_left_out(v2, read, rewrite_manifest):
    root = v2(8)
    rewrite_manifest(root, ["catalog_0.catalog"], [], 4)
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.skips == {"record in a catalog the manifest omits": 4}
    assert reading.accounted


def test_a_missing_catalog_keeps_the_positions_of_the_others(v2, read):
    root = v2(12, deleted=[5, 9])
    (root / "catalog_1.catalog").unlink()
    reading = read(root)
    assert [record.position for record in reading.records] == [0, 1, 2, 3, 8, 10, 11]
    assert reading.warnings["catalog named in the manifest is missing"] == 1
    assert reading.skips == {"record is deleted": 1}


def test_an_empty_catalog_after_a_missing_one_keeps_the_positions(v2, read, rewrite_manifest):
    root = v2(12, deleted=[9])
    (root / "catalog_1.catalog").unlink()
    (root / "catalog_7.catalog").touch()
    names = ["catalog_0.catalog", "catalog_1.catalog", "catalog_7.catalog", "catalog_2.catalog"]
    rewrite_manifest(root, names, [9], 12)
    assert [record.position for record in read(root).records] == [0, 1, 2, 3, 8, 10, 11]


def test_a_damaged_catalog_is_left_out_and_keeps_its_positions(v2, zip_folder, read):
    path = zip_folder(v2(12, deleted=[9]), "tub.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"catalog_1.catalog") + len("catalog_1.catalog") + 20] ^= 0xFF
    path.write_bytes(content)
    reading = read(path)
    assert [record.position for record in reading.records] == [0, 1, 2, 3, 8, 10, 11]
    assert reading.skips == {
        "record in a catalog that cannot be read: archive member is damaged": 4,
        "record is deleted": 1,
    }
    assert reading.accounted


def test_a_catalog_with_a_byte_order_mark_is_read(v2, read):
    root = v2(4)
    write_lines(root, [b"\xef\xbb\xbf" + lines_of(root)[0], *lines_of(root)[1:]])
    assert read(root).indices == [0, 1, 2, 3]


def test_a_catalog_that_leads_out_is_not_read(v2, read, rewrite_manifest, tmp_path):
    root = v2(4)
    (tmp_path / "catalog_9.catalog").write_bytes(lines_of(root)[0])
    rewrite_manifest(root, ["catalog_0.catalog", "../catalog_9.catalog", "/etc/hostname"], [], 4)
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.warnings["catalog named in the manifest is missing"] == 2


def test_sessions_are_contiguous_and_in_order(v2, read, values_of):
    sessions = ["b", "a", "b", None, "a", 7]
    records = [{**values_of(number), "_session_id": session} for number, session in enumerate(sessions)]
    reading = read(v2(records))
    assert [(record.session, record.position) for record in reading.records] == [
        ("b", 0), ("b", 2), ("a", 1), ("a", 4), ("", 3), ("7", 5),
    ]  # fmt: skip


def test_records_of_before_2021_have_no_session_and_maybe_no_index(v2, read, values_of):
    records = [values_of(number) for number in range(3)]
    root = v2(records)
    stripped = [{key: value for key, value in record.items() if key[:1] != "_"} for record in records]
    write_lines(root, [json.dumps(record).encode() + b"\n" for record in stripped])
    reading = read(root)
    assert [(record.session, record.index, record.timestamp_ms) for record in reading.records] == [
        ("", 0, None), ("", 1, None), ("", 2, None),
    ]  # fmt: skip


@pytest.mark.parametrize("odd", [1 << 80, -1, True, "7", 1.5, None])
def test_numbers_that_count_nothing_are_ignored(v2, read, values_of, odd):
    root = v2([values_of(number) for number in range(3)])
    lines = [json.loads(line) for line in lines_of(root)]
    lines[1]["_index"] = odd
    lines[1]["_timestamp_ms"] = odd if odd != 1.5 and odd != -1 else math.nan
    write_lines(root, [json.dumps(line).encode() + b"\n" for line in lines])
    record = read(root).records[1]
    assert (record.index, record.timestamp_ms) == (1, None)


def test_placeholders_of_a_conversion_are_left_out(v2, read, values_of):
    records = [values_of(0), {"__empty__": True, "_index": 1}, {"__empty__": True, "_index": 2}, values_of(3)]
    reading = read(v2(records, deleted=[1]))
    assert reading.indices == [0, 3]
    assert reading.skips == {"record is deleted": 1, "record is a placeholder (__empty__)": 1}
    assert reading.accounted


def test_a_manifest_may_name_the_camera(v2, read, values_of):
    records = [values_of(number) for number in range(3)]
    root = v2(records)
    renamed = [
        {"cam/front": record["cam/image_array"], **{key: record[key] for key in record if key != "cam/image_array"}}
        for record in records
    ]
    write_lines(root, [json.dumps(record).encode() + b"\n" for record in renamed])
    head = '["user/angle", "cam/front"]\n["float", "image_array"]\n{}\n{}\n'
    (root / "manifest.json").write_text(head + '{"paths": ["catalog_0.catalog"], "deleted_indexes": []}\n')
    assert read(root).indices == [0, 1, 2]


def test_litter_of_desktops_is_no_catalog(v2, read):
    root = v2(4)
    (root / "._catalog_0.catalog").write_bytes(b"\x00\x05\x16\x07")
    (root / "images" / "._0_cam_image_array_.jpg").write_bytes(b"\x00\x05\x16\x07")
    reading = read(root)
    assert reading.indices == [0, 1, 2, 3]
    assert reading.skips == {"file left by a desktop": 2}
    assert reading.warnings == {}
