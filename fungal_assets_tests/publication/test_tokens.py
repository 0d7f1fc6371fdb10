"""The token: from the environment, named when it is missing, in no text whatever the hub says."""

import logging

import pytest

from fungal_assets.errors import PublicationError
from fungal_assets.publication.contents import dataset_contents
from fungal_assets.publication.hub import Hub, Patience
from fungal_assets.publication.publishing import publish
from fungal_assets.publication.tokens import read_token
from fungal_assets_tests.publication.conftest import ASKED
from fungal_assets_tests.publication.loopback_hub import TOKEN, Fault


@pytest.mark.parametrize("value", [None, "", "  "], ids=["unset", "empty", "blank"])
def test_a_missing_token_says_where_to_make_one_and_with_which_right(monkeypatch, value):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("HF_TOKEN", value)
    with pytest.raises(PublicationError) as caught:
        read_token()
    said = str(caught.value)
    for part in (
        "HF_TOKEN is not set",
        "https://huggingface.co/settings/tokens",
        "write access",
        "export HF_TOKEN=",
    ):
        assert part in said


def test_the_token_is_read_when_it_is_needed(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", " hf_abc\n")
    assert read_token() == "hf_abc"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("whoami", 401),
        ("/repos/create", 403),
        ("/preupload/", 400),
        ("/commit/", 500),
        ("/tag/", 400),
        ("/tree/", 403),
    ],
)
def test_a_hub_that_repeats_the_token_does_not_make_us_say_it(loopback, dataset, told, caplog, path, status):
    caplog.set_level(logging.DEBUG)
    verb = "GET" if path in ("whoami", "/tree/") else "POST"
    echo = {"error": f"bad token {TOKEN}", "message": TOKEN}
    loopback.faults = [Fault(verb, path, status, {"X-Error-Message": f"no {TOKEN}"}, echo, times=99)]
    hub = Hub(TOKEN, endpoint=loopback.url, patience=Patience(2, 0.01, 0.1), tell=told.append)
    with pytest.raises(PublicationError) as caught:
        publish(dataset_contents(dataset, repo_id=ASKED["repo_id"]), hub, tell=told.append, **ASKED)
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    assert TOKEN not in "".join([str(error), repr(error), repr(hub), *told, caplog.text])


def test_nothing_that_is_kept_or_told_holds_the_token(push, told, caplog, loopback):
    caplog.set_level(logging.DEBUG)
    publication = push()
    assert TOKEN not in publication.to_json() + "".join(told) + caplog.text
    assert not any(TOKEN.encode() in data for data in loopback.blobs.values())


@pytest.mark.parametrize("value", ["hf_first\nhf_second", "hf_one hf_two", "hf_\u00e4"])
def test_what_can_be_no_token_is_refused_and_not_repeated(monkeypatch, value):
    monkeypatch.setenv("HF_TOKEN", value)
    with pytest.raises(PublicationError, match="signs that no token has") as refused:
        read_token()
    assert "hf_" not in str(refused.value)
