"""Keys: shown once, kept as hashes, good as soon as they are added and refused as soon as they are removed."""

import json
import stat

import pytest
from tsrep_deploy import keys
from tsrep_deploy.bucket import Buckets

import tsrep


def test_a_key_opens_for_its_name_and_its_file_does_not_hold_it(tmp_path):
    path = tmp_path / "keys.json"
    anna, bert = keys.add(path, "anna"), keys.add(path, "bert")
    held = keys.Keys(path)
    assert (held.who(anna), held.who(bert)) == ("anna", "bert")
    text = path.read_text()
    assert anna not in text and anna.rsplit("_", 1)[1] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entries = json.loads(text)["keys"]
    assert len({one["salt"] for one in entries}) == 2


def test_what_is_no_key_opens_nothing(tmp_path):
    path = tmp_path / "keys.json"
    key = keys.add(path, "anna")
    other = keys.add(tmp_path / "others.json", "anna")
    held = keys.Keys(path)
    head, secret = key[:-43], key[-43:]
    wrong = [
        other,
        "",
        key[:-1],
        key + "A",
        key.upper(),
        head + secret[::-1],
        other[:-43] + secret,
        head + other[-43:],
        "\udcff",
        key + "\n",
    ]
    assert [held.who(one) for one in wrong] == [None] * len(wrong)


def test_a_server_sees_added_and_removed_keys(tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    anna = keys.add(path, "anna")
    held = keys.Keys(path)
    monkeypatch.setattr(keys, "LOOK", 0.0)
    bert = keys.add(path, "bert")
    keys.remove(path, "anna")
    assert (held.who(anna), held.who(bert)) == (None, "bert")
    path.write_text("{")  # damaged: what was good stays good, and nothing else becomes it
    assert (held.who(anna), held.who(bert)) == (None, "bert")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": [{"id": "a"}]}', '{"keys": [{"id": 1, "name": 1, "salt": 1, "sha256": 1, "made": 1}]}'],
)
def test_a_damaged_file_of_keys_is_an_input_error(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(tsrep.InputError, match="does not read"):
        keys.Keys(path)


def test_the_shell_adds_lists_and_removes(tmp_path, capsys):
    path = str(tmp_path / "keys.json")
    keys.main(["add", "anna", "--file", path])
    key = capsys.readouterr().out.strip()
    assert keys.Keys(path).who(key) == "anna"
    keys.main(["list", "--file", path])
    listed = capsys.readouterr().out
    assert listed.startswith("anna\t") and key not in listed
    with pytest.raises(SystemExit, match="'anna' has one"):
        keys.main(["add", "anna", "--file", path])
    keys.main(["remove", "anna", "--file", path])
    assert keys.read(tmp_path / "keys.json") == []
    with pytest.raises(SystemExit, match="expected the name of a key"):
        keys.main(["remove", "anna", "--file", path])


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    now = [0.0]
    buckets = Buckets(60, 3, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1.0]
    assert buckets.take("b") == 0  # each name has its own
    now[0] = 0.5
    assert buckets.take("a") == pytest.approx(0.5)
    now[0] = 1.0
    assert [buckets.take("a"), buckets.take("a")] == [0, 1.0]
    now[0] = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1.0]  # it never holds more than the burst
