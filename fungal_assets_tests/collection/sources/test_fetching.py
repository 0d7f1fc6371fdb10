"""Fetching: a good answer comes whole; a bad, slow, huge or deceitful one is a reason, in bounded time."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fungal_assets.collection.sources.fetching import Fetcher, FetchError
from fungal_assets_tests.collection.drawing import encode, picture
from fungal_assets_tests.collection.sources.serving import IMPATIENT, serve


@pytest.fixture
def served():
    with serve() as one:
        yield one


def fault_of(url, manners=IMPATIENT, **options):
    with pytest.raises(FetchError) as caught:
        Fetcher(manners).get(url, **options)
    return caught.value.fault


def test_a_picture_comes_whole_and_the_user_agent_says_who_asks(served):
    assert Fetcher(IMPATIENT).get(f"{served.url}/picture/3.png") == encode(picture(3))
    [headers] = served.headers
    assert headers["User-Agent"].startswith("fungal_assets/") and headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(served, status):
    good = (200, {"Content-Type": "image/png"}, b"png")
    served.answers["/busy"] = lambda query, times: (status, {"Retry-After": "0"}, b"") if times < 3 else good
    assert Fetcher(IMPATIENT).get(f"{served.url}/busy") == b"png"
    assert served.count("/busy") == 3


def test_a_server_that_stays_busy_is_left_after_some_tries(served):
    served.answers["/busy"] = lambda query, times: (429, {}, b"")
    assert "429" in fault_of(f"{served.url}/busy").detail
    assert served.count("/busy") == 1 + IMPATIENT.retries


def test_a_missing_picture_is_asked_for_once(served):
    assert "404" in fault_of(f"{served.url}/nowhere").detail
    assert served.count("/nowhere") == 1


def test_a_slow_drip_ends_at_the_deadline(served):
    start_s = time.monotonic()
    assert fault_of(f"{served.url}/drip").reason == "too_slow"
    assert time.monotonic() - start_s < 4


def test_a_body_that_breaks_off_is_truncated(served):
    assert fault_of(f"{served.url}/short").reason == "truncated"


def test_a_body_over_the_cap_is_left_whether_its_length_is_told_or_not(served):
    served.answers["/told"] = lambda query, times: (200, {"Content-Type": "image/png"}, bytes(2000))
    assert fault_of(f"{served.url}/told", max_bytes=1000).reason == "too_large"
    assert fault_of(f"{served.url}/drip", max_bytes=5).reason == "too_large"


def test_what_is_no_picture_and_what_asks_not_to_be_used_are_left(served):
    served.answers["/page"] = lambda query, times: (200, {"Content-Type": "text/html"}, b"<html>")
    told = {"Content-Type": "image/png", "X-Robots-Tag": "noindex, noai"}
    served.answers["/noai"] = lambda query, times: (200, told, b"png")
    assert fault_of(f"{served.url}/page").reason == "not_an_image"
    assert fault_of(f"{served.url}/noai").reason == "not_permitted"


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.0.1/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://100.64.0.1/a.png",
        "http://0.0.0.0/a.png",
    ],
)
def test_a_redirect_to_a_private_address_is_not_followed(served, address):
    served.answers["/away"] = lambda query, times: (302, {"Location": address}, b"")
    assert fault_of(f"{served.url}/away").reason == "private_address"
    assert fault_of(address).reason == "private_address"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_this_machine_is_private_unless_allowed(served, host):
    port = served.url.rsplit(":", 1)[1]
    manners = replace(IMPATIENT, allows_loopback=False, retries=0)
    assert fault_of(f"http://{host}:{port}/picture/1.png", manners).reason in (
        "private_address",
        "unreachable",
    )
    assert served.asked == []


def test_a_redirect_to_a_file_or_without_end_is_not_followed(served):
    served.answers["/file"] = lambda query, times: (302, {"Location": "file:///etc/passwd"}, b"")
    served.answers["/round"] = lambda query, times: (302, {"Location": "/round"}, b"")
    assert fault_of(f"{served.url}/file").reason == "unreachable"
    assert "more than three" in fault_of(f"{served.url}/round").detail
    assert served.count("/round") == 4


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "x", "", "http://", "http://a:b@c/d.png", "http://["]
)
def test_what_is_no_web_address_is_refused(url):
    assert fault_of(url).reason == "bad_address"


def test_one_host_is_asked_at_the_pace_that_is_set(served):
    fetcher = Fetcher(replace(IMPATIENT, interval_s=0.2))
    start_s = time.monotonic()
    for number in range(4):
        fetcher.get(f"{served.url}/picture/{number}.png")
    assert time.monotonic() - start_s >= 0.6
