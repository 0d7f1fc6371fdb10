"""Searches of iNaturalist and GBIF, against a server that answers in the shape of theirs."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from fungal_assets.collection.sources import searching
from fungal_assets.collection.sources.fetching import Fetcher
from fungal_assets.collection.sources.gbif import Gbif
from fungal_assets.collection.sources.inaturalist import INaturalist
from fungal_assets.collection.sources.searching import SearchSource, kind_of_licence, parse_query
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import encode, picture
from fungal_assets_tests.collection.sources.serving import IMPATIENT, serve

CODES = ("cc0", "cc-by", "cc-by-sa", "cc-by-nc", None)


@pytest.fixture
def served(monkeypatch):
    """Both services with 450 records; pages are asked for without waiting a second between them."""
    monkeypatch.setattr(searching, "Fetcher", lambda manners: Fetcher(replace(manners, interval_s=0.0)))
    with serve() as one:
        one.answer_json(
            "/taxa",
            lambda query: {
                "results": [
                    {"id": 47169, "name": "Amanita muscaria", "rank": "species"},
                    {"id": 47170, "name": "Amanita", "rank": "genus"},
                ]
            },
        )
        one.answer_json("/places/autocomplete", lambda query: {"results": [{"id": 7207, "name": "Germany"}]})
        one.answer_json("/observations", lambda query: observations(one.url, query))
        one.answer_json(
            "/species/match",
            lambda query: (
                {"usageKey": 2526157, "matchType": "EXACT"}
                if query["name"] == "Boletus"
                else {"matchType": "NONE", "note": "No match because of too little confidence"}
            ),
        )
        one.answer_json("/occurrence/search", lambda query: occurrences(one.url, query))
        yield one


def observations(url, query, total=450):
    """As `GET /v1/observations` answers: observation n has photo n of licence n modulo 5; the first has two."""
    assert query["taxon_id"] == "47170" and query["photos"] == "true" and query["order"] == "asc"
    first = int(query["id_above"]) + 1
    last = min(total, first + int(query["per_page"]) - 1)

    def photo(number):
        code = CODES[number % 5]
        told = f"(c) Observer {number}, " + (
            f"some rights reserved ({code})" if code else "all rights reserved"
        )
        square = f"{url}/picture/{number}.png/square.png"
        return {"id": number, "license_code": code, "url": square, "attribution": told}

    results = [
        {
            "id": number,
            "uri": f"https://www.inaturalist.org/observations/{number}",
            "quality_grade": "research",
            "user": {"login": f"observer{number}", "name": "Ada" if number % 2 else None},
            "taxon": {"id": 1, "name": "Amanita pantherina"},
            "ofvs": [{"name": "Substrate", "value": "dead wood"}] if number % 2 else [],
            "photos": [photo(number), *([photo(1000)] if number == 1 else [])],
        }
        for number in range(first, last + 1)
    ]
    return {"total_results": total, "page": 1, "per_page": 200, "results": results}


def occurrences(url, query, total=450):
    """As `GET /v1/occurrence/search` answers, licences as its publishers write them."""
    offset, limit = int(query["offset"]), int(query["limit"])
    licences = (
        "http://creativecommons.org/licenses/by/4.0/",
        "CC0 1.0",
        "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
        "© all rights reserved",
        None,
    )
    results = [
        {
            "key": 9000 + number,
            "license": "http://creativecommons.org/licenses/by/4.0/legalcode",
            "scientificName": "Boletus edulis Bull.",
            "species": "Boletus edulis",
            "recordedBy": "Cy",
            **({"habitat": "Fagus woodland"} if number % 2 else {}),
            "media": [
                {
                    "type": "StillImage",
                    "format": "image/png",
                    "identifier": f"{url}/picture/{number}.png",
                    "references": f"https://publisher.example/{number}",
                    "creator": "Bo" if number % 2 else None,
                    **({"license": licences[number % 5]} if licences[number % 5] else {}),
                },
                {"type": "Sound", "identifier": f"{url}/sound.mp3", "license": licences[0]},
            ],
        }
        for number in range(offset, min(total, offset + limit))
    ]
    return {
        "offset": offset,
        "limit": limit,
        "endOfRecords": offset + limit >= total,
        "count": total,
        "results": results,
    }


def search(served, service, address, folder):
    return SearchSource(service(served.url), address, folder=folder, manners=IMPATIENT)


def test_observations_come_with_observer_licence_and_page_and_closed_ones_are_never_fetched(served, tmp_path):
    source = search(served, INaturalist, "inaturalist:amanita?place=germany&count=9", tmp_path)
    found = list(source.candidates())
    good = [one for one in found if one.fault is None]
    assert len(good) == 9 and source.measure().files == len(found)
    assert {one.licence for one in good} == {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"}
    first = good[0]
    assert (first.creator, first.label, first.source) == ("Ada", "Amanita pantherina", "inaturalist")
    assert {one.substrate for one in found} == {"dead wood", None} and first.substrate == "dead wood"
    assert first.page == "https://www.inaturalist.org/observations/1"
    assert first.origin.endswith("/picture/1.png/large.png") and first.data == encode(picture(1))
    assert good[1].origin.endswith("/picture/1000.png/large.png")
    closed = {one.licence: one.fault for one in found if one.fault}
    assert {fault.reason for fault in closed.values()} == {"licence"} and set(closed) == {
        "CC-BY-NC-4.0",
        None,
    }
    assert served.count("/picture/3.png/large.png") == 0
    asked = next(one for one in served.asked if one.startswith("/observations"))
    assert "place_id=7207" in asked and "quality_grade=research" in asked


def test_a_search_reads_as_many_pages_as_it_needs(served, tmp_path):
    """450 observations on pages of 200, three in five of an open licence, and one photograph more: 271."""
    found = list(search(served, INaturalist, "inaturalist:Amanita?count=10000", tmp_path).pictures)
    assert len(found) == 451 and len({one.url for one in found}) == 451
    assert sum(one.fault is None for one in found) == 271
    assert served.count("/observations") == 3
    [cut] = [search(served, INaturalist, "inaturalist:Amanita?count=130", tmp_path).pictures]
    assert sum(one.fault is None for one in cut) == 130 and served.count("/observations") == 5


def test_occurrences_are_taken_by_the_licence_of_the_picture_not_of_the_record(served, tmp_path):
    found = list(search(served, Gbif, "gbif:Boletus?place=de&count=6", tmp_path).candidates())
    good = [one for one in found if one.fault is None]
    assert [one.licence for one in good] == ["CC-BY-4.0", "CC0-1.0"] * 3
    assert [one.creator for one in good[:2]] == ["Cy", "Bo"]
    assert [one.habitat for one in good[:2]] == [None, "Fagus woodland"]
    assert (good[0].page, good[0].label) == ("https://publisher.example/0", "Boletus edulis")
    details = {one.fault.detail.split(";")[0] for one in found if one.fault}
    assert details == {
        "its licence is CC-BY-NC-4.0",
        "its licence is © all rights reserved",
        "its licence is not stated",
    }
    assert "country=DE" in next(one for one in served.asked if "occurrence" in one)
    whole = search(served, Gbif, "gbif:Boletus?count=1000&licences=CC0,CC-BY,CC-BY-NC", tmp_path).pictures
    assert (len(whole), sum(one.fault is None for one in whole)) == (450, 270)


def test_a_listing_that_broke_off_goes_on_from_its_last_page_and_is_kept_for_a_day(served, tmp_path):
    answer = served.answers["/observations"]
    served.answers["/observations"] = lambda query, times: (
        answer(query, times) if times < 3 else (404, {}, b"")
    )
    with pytest.raises(InputError, match="inaturalist gave no listing.*kept: try again later"):
        search(served, INaturalist, "inaturalist:Amanita?count=10000", tmp_path).measure()
    [unfinished] = tmp_path.glob("*.part")
    with unfinished.open("a") as file:
        file.write('{"pictures": [{"url"')
    served.answers["/observations"] = answer
    served.asked.clear()
    source = search(served, INaturalist, "inaturalist:Amanita?count=10000", tmp_path)
    assert source.measure().files == 451 and served.count("/observations") == 1
    assert (
        search(served, INaturalist, "inaturalist:Amanita?count=10000", tmp_path).fingerprint()
        == source.fingerprint()
    )
    assert served.count("/observations") == 1
    [listing] = tmp_path.glob("listing-*.jsonl")
    os.utime(listing, (0, 0))
    assert search(served, INaturalist, "inaturalist:Amanita?count=10000", tmp_path).measure().files == 451
    assert served.count("/observations") == 4


def test_what_is_new_is_fetched_and_nothing_else(served, tmp_path):
    address = "inaturalist:Amanita?count=4"
    list(search(served, INaturalist, address, tmp_path).candidates())
    served.asked.clear()
    found = list(search(served, INaturalist, "inaturalist:Amanita?count=6", tmp_path).candidates())
    assert sum(one.fault is None for one in found) == 6
    assert len([one for one in served.asked if "picture" in one]) == 2


@pytest.mark.parametrize(
    "service, address, message",
    [
        (
            INaturalist,
            "inaturalist:Agaricus",
            "iNaturalist knows no taxon 'Agaricus'; it has Amanita muscaria, Amanita",
        ),
        (INaturalist, "inaturalist:Amanita?place=Narnia", "knows no place 'Narnia'; it has Germany"),
        (Gbif, "gbif:Nonsense", "GBIF knows no taxon 'Nonsense'.*too little confidence"),
        (Gbif, "gbif:Boletus?place=Germany", "country by its two letters"),
        (
            Gbif,
            "gbif:Boletus?licences=CC-BY-ND",
            "450 pictures of 'Boletus', none of them of the licences CC-BY-ND",
        ),
    ],
)
def test_a_search_that_finds_nothing_says_what_there_is(served, tmp_path, service, address, message):
    with pytest.raises(InputError, match=message):
        search(served, service, address, tmp_path).measure()


def test_an_address_is_read_and_all_its_faults_are_named():
    query = parse_query(
        "inaturalist:Amanita muscaria?place=New+Zealand&count=12&licences=cc0,cc-by&size=original",
        INaturalist(),
    )
    assert (query.taxon, query.place, query.count) == ("Amanita muscaria", "New Zealand", 12)
    assert (query.licences, query.settings) == (("CC0", "CC-BY"), {"size": "original"})
    with pytest.raises(InputError) as caught:
        parse_query("inaturalist:?colour=red&count=many&licences=mine&size=huge", INaturalist())
    for part in ("'colour' is not known", "count is 'many'", "licence 'mine'", "size is 'huge'", "no taxon"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "licence, kind",
    [
        ("CC0-1.0", "CC0"),
        ("CC-BY-4.0", "CC-BY"),
        ("CC-BY-SA-3.0-DE", "CC-BY-SA"),
        ("CC-BY-NC-4.0", "CC-BY-NC"),
        ("CC-BY-NC-ND-4.0", "CC-BY-NC-ND"),
        ("public-domain", "public-domain"),
        ("all rights reserved", None),
        ("CC-BYE-4.0", None),
        (None, None),
    ],
)
def test_a_licence_has_a_kind_or_none(licence, kind):
    assert kind_of_licence(licence) == kind


def test_json_that_is_none_is_told(served, tmp_path):
    served.answers["/taxa"] = lambda query, times: (200, {"Content-Type": "application/json"}, b"<html>")
    with pytest.raises(InputError, match="answers no JSON"):
        search(served, INaturalist, "inaturalist:Amanita", tmp_path).measure()
