"""The files the stages meet in: strict reading that names file:line, atomic writing."""

import os
from codecs import BOM_UTF8
from concurrent.futures import ThreadPoolExecutor

import pytest

from morerl.errors import DataError
from morerl.jsonl import read_records, read_samples, write_json, write_records, write_text
from morerl.schema import Gold, Mention, Prediction, Rated, Region, Sample


def sample(number):
    text = f"Été\u2028 à {number}\x85\tPort \U0001f600"
    return Sample(
        id=f"s{number}",
        corpus="c",
        split="test",
        text=text,
        image=f"é/{number}.png",
        mentions=(Mention(id="m0", start=0, end=3, text="Été", type="loc"),),
        regions=(Region(id="r0", box=(0.1, 1 / 3, 0.5, 1.0)),),
        head="r0",
        tail="m0",
        gold=Gold(label="none") if number else None,
    )


LINE = sample(1).model_dump_json().encode()


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\n".join(lines))
        return path

    return write


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(BOM_UTF8 + b'{"id": "a", "n": 1, "n_correct": 0}\n{"id": "b", "n": 1, "n_correct": 1}\n')
    assert [row.id for row in read_records(path, Rated)] == ["a", "b"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as aside:
        got = aside.submit(pipe.read_text)
        write_text(pipe, ["one\n", "two\n"])
        assert got.result(10) == "one\ntwo\n"
    assert pipe.is_fifo()


def test_what_is_written_comes_back_the_same(tmp_path):
    path, samples = tmp_path / "new/folder/a.jsonl", [sample(i) for i in range(5)]
    write_records(path, samples)
    assert read_samples(path) == samples
    assert path.read_bytes().count(b"\n") == 5
    predictions = [Prediction(id="s", completions=("<think>\n</think>", ""), problems=("no_answer_tag",))]
    write_records(path, predictions)
    assert list(read_records(path, Prediction)) == predictions


def test_empty_lines_crlf_and_a_missing_last_newline_are_read(file):
    lines = (sample(1).model_dump_json().encode() + b"\r", b"", b"  \r", sample(2).model_dump_json().encode())
    assert read_samples(file(*lines)) == [sample(1), sample(2)]


def test_limit_stops_before_a_later_bad_line(file):
    path = file(LINE, b"{")
    assert read_samples(path, limit=1) == [sample(1)]
    with pytest.raises(DataError, match=":2:"):
        read_samples(path, limit=2)


BAD = {
    "torn": LINE[:-9],
    "torn early": LINE[:40],
    "nul": LINE.replace(b"Port", b"Po\0rt"),
    "utf8": LINE.replace(b"Port", b"Po\xffrt"),
    "surrogate": LINE.replace(b"Port", b"Po\\ud800rt"),
    "bom": b"\xef\xbb\xbf" + LINE,
    "two in one": LINE + LINE,
    "deep": b"[" * 10_000,
    "list": b"[]",
    "null": b"null",
    "tail": LINE.replace(b'"tail":"m0"', b'"tail":"m9"'),
    "offset": LINE.replace(b'"start":0', b'"start":1'),
    "nan": LINE.replace(b"0.1", b"NaN"),
    "missing": LINE.replace(b'"corpus":"c",', b""),
    "unknown": LINE.replace(b'"corpus"', b'"corpsu"'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_with_file_and_line(file, name):
    assert BAD[name] != LINE
    path = file(sample(0).model_dump_json().encode(), b"", BAD[name])
    with pytest.raises(DataError) as error:
        read_samples(path)
    assert str(error.value).startswith(f"{path}:3: ") and len(str(error.value)) < 1000


def test_a_wrong_field_is_named(file):
    with pytest.raises(DataError, match=r"a\.jsonl:1: n: "):
        list(read_records(file(b'{"id":"s","n":0,"n_correct":0}'), Rated))


def test_one_id_twice_is_named_at_its_own_line(file):
    path = file(LINE, b"", b"", sample(2).model_dump_json().encode(), LINE)
    with pytest.raises(DataError, match="'s1' occurs twice") as error:
        read_samples(path)
    assert str(error.value).startswith(f"{path}:5: ")


def test_a_missing_file_a_folder_and_an_empty_file_are_named(tmp_path, file):
    for path in (tmp_path / "none.jsonl", tmp_path, file(b"", b" ")):
        with pytest.raises(DataError) as error:
            read_samples(path)
        assert str(path) in str(error.value)


def test_records_are_read_one_at_a_time(file):
    records = read_records(file(LINE, b"{"), Sample)
    assert next(records) == sample(1)
    with pytest.raises(DataError):
        next(records)


def test_a_writer_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.jsonl"
    write_records(path, [sample(1)])

    def torn():
        yield sample(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(path, torn())
    assert read_samples(path) == [sample(1)]
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    "write", [lambda path: write_json(path, {"a": {1}}), lambda path: write_text(path, ["a", "\ud800"])]
)
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, write):
    path = tmp_path / "a.json"
    write_json(path, {"a": "é"})
    before = path.read_bytes()
    with pytest.raises((TypeError, UnicodeEncodeError)):
        write(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.json"]


def test_a_target_that_is_a_folder_leaves_no_rubbish(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DataError, match=r"a.json is a folder; give the name of a file"):
        write_json(tmp_path / "a.json", {})
    assert os.listdir(tmp_path) == ["a.json"]
