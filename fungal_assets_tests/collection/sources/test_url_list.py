"""A list of URLs: every row is a candidate, what was fetched is not asked for again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.collection.sources.url_list import UrlList, is_url_table
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import encode, picture
from fungal_assets_tests.collection.sources.serving import IMPATIENT, serve


@pytest.fixture
def served():
    with serve() as one:
        yield one


def read(path, folder):
    return list(UrlList(path, folder=folder, manners=IMPATIENT).candidates())


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_every_row_comes_with_its_credit_or_its_fault(served, tmp_path, name):
    nowhere = {"habitat": "", "substrate": ""}
    rows = [
        {
            "url": f"{served.url}/picture/1.png",
            "creator": "Ada",
            "license": "cc by 4.0",
            "page": "http://a/1",
            "label": "x",
            "habitat": "oak woodland",
            "substrate": "dead wood",
        },
        {"url": f"{served.url}/gone.png", "creator": "Bo", "license": "", "page": "", "label": "", **nowhere},
        {"url": "file:///etc/passwd", "creator": "", "license": "", "page": "", "label": "", **nowhere},
        {
            "url": f"{served.url}/picture/2.png",
            "creator": "",
            "license": "",
            "page": "",
            "label": "",
            **nowhere,
        },
    ]
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
        assert is_url_table(path)
    first, gone, local, last = read(path, tmp_path / "kept")
    assert (first.data, first.creator, first.licence) == (encode(picture(1)), "Ada", "CC-BY-4.0")
    assert (first.page, first.label, first.source) == ("http://a/1", "x", "urls")
    assert (first.habitat, first.substrate, last.habitat) == ("oak woodland", "dead wood", None)
    assert (gone.fault.reason, gone.creator, local.fault.reason) == ("unreachable", "Bo", "bad_address")
    assert (last.data, last.creator) == (encode(picture(2)), None)


def test_a_fetch_that_was_stopped_goes_on_and_asks_for_nothing_twice(served, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("url\n" + "\n".join(f"{served.url}/picture/{number}.png" for number in range(5)))
    source = UrlList(path, folder=tmp_path / "kept", manners=IMPATIENT)
    stream = source.candidates()
    first = [next(stream), next(stream)]
    stream.close()
    assert len(served.asked) == 2
    again = list(source.candidates())
    assert [one.data for one in again[:2]] == [one.data for one in first]
    assert len(served.asked) == 5
    before = source.fingerprint()
    path.write_text(path.read_text() + f"\n{served.url}/picture/9.png")
    assert len(read(path, tmp_path / "kept")) == 6 and len(served.asked) == 6
    assert UrlList(path).fingerprint() != before


def test_what_could_not_be_fetched_is_asked_for_once_though_a_source_is_read_twice(served, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"url\n{served.url}/gone.png\n{served.url}/picture/1.png\n")
    source = UrlList(path, folder=tmp_path / "kept", manners=IMPATIENT)
    first, second = list(source.candidates()), list(source.candidates())
    assert first == second and first[0].fault.reason == "unreachable"
    assert (served.count("/gone.png"), served.count("/picture/1.png")) == (1, 1)


@pytest.mark.parametrize(
    "text, message",
    [
        ("address\nx\n", "no 'url' in row 1"),
        ("url\n", "no row"),
        ("url,creator\na,b\n,c\n", "no 'url' in row 2"),
    ],
)
def test_a_list_without_urls_is_refused(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        UrlList(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        UrlList(path)


def test_a_table_of_pictures_is_no_list_of_urls(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": ["x"], "image": [b"x"]}), path)
    assert not is_url_table(path)
    path.write_bytes(b"x")
    assert not is_url_table(path)
