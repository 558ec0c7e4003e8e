"""SemEval-2010's TEST_FILE_KEY.TXT, which has no directions, is refused wherever it would stand for the test file."""

import pytest

from morerl.corpora.sem2010 import read, splits
from morerl.errors import DataError

ITEM = '1\t"The <e1>frost</e1> brought on the <e2>ruin</e2>."\r\n'
WANTED = r"is no test file: its labels have no direction.*want TEST_FILE_FULL\.TXT"


@pytest.mark.parametrize("name", ["TEST_FILE_KEY.TXT", "test_file_key.txt"])
def test_the_key_without_a_test_file_is_refused_with_the_reason(tmp_path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text("1\tCause-Effect\r\n")
    with pytest.raises(DataError, match=rf"deep/{name} {WANTED}"):
        splits(tmp_path)
    (tmp_path / "TRAIN_FILE.TXT").write_text(ITEM + "Cause-Effect(e1,e2)\r\nComment:\r\n")
    with pytest.raises(DataError, match=rf"deep/{name} {WANTED}, or move it away"):
        splits(tmp_path)
    with pytest.raises(DataError, match=r"TEST_FILE_KEY\.TXT cannot replace it: its labels have no direction"):
        read(tmp_path, "test")
    (tmp_path / "TEST_FILE.txt").write_text(ITEM)
    assert splits(tmp_path) == ("train", "dev", "test")
    assert [sample.gold for sample in read(tmp_path, "test")] == [None]
