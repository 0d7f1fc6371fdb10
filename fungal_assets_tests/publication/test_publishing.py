"""Pushing to a hub on this machine with the real client: complete, proven, nothing twice, tagged, nothing lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fungal_assets.errors import InputError, PublicationError
from fungal_assets.publication.contents import File, dataset_contents
from fungal_assets.publication.differences import batched
from fungal_assets.publication.hub import Hub
from fungal_assets.publication.publishing import ANNOUNCEMENT, publish
from fungal_assets_tests.publication.conftest import (
    ASKED,
    HELD_OUT,
    REPO,
    ROWS,
    SHARDS,
    TRAIN_SHARDS,
    keep_dataset,
)
from fungal_assets_tests.publication.loopback_hub import TOKEN, Fault

NEW_PUTS = r"^/lfs/"


def writes(loopback):
    """Requests that change something."""
    return [
        (verb, path)
        for verb, path in loopback.asked
        if verb == "PUT"
        or (verb == "POST" and any(f"/{what}" in path for what in ("create", "commit", "tag", "branch")))
    ]


def test_a_first_push_is_complete_proven_private_and_tagged(push, loopback, dataset, told):
    publication = push()
    repo = loopback.repos["dataset", REPO]
    assert repo.is_private and publication.is_private
    there = loopback.files(REPO)
    assert set(there) == set(publication.files) == set(publication.uploaded)
    assert sum(path.startswith("data/") for path in there) == SHARDS
    beside = {"README.md", "ATTRIBUTION.csv", "provenance.json", "samples.webp", "croissant.json"}
    assert {path for path in there if not path.startswith("data/")} == beside
    assert json.loads(there["croissant.json"])["url"] == f"https://huggingface.co/datasets/{REPO}"
    assert not any("imagefolder" in path for path in there), "it holds the rows once more"
    for path in publication.files:
        if path.startswith("data/"):
            assert there[path] == (dataset.path / path).read_bytes()
    assert f'load_dataset("{REPO}"' in there["README.md"].decode()
    assert repo.tags == {publication.tag: publication.revision}
    assert publication.revision == repo.branches["main"] and publication.commits == 1
    assert publication.url == f"{loopback.url}/datasets/{REPO}/tree/{publication.tag}"
    assert any("read back 11 files" in line and "all as sent" in line for line in told)
    assert set(loopback.puts.values()) == {1}


def test_what_went_up_says_what_it_is_made_of(push, loopback, dataset):
    push()
    there = loopback.files(REPO)
    provenance = json.loads(there["provenance.json"])
    assert provenance["asset_hash"] == dataset.record.content_hash
    assert provenance["licences"] == ["CC0-1.0"]
    for path, entry in provenance["files"].items():
        assert entry == {"sha256": hashlib.sha256(there[path]).hexdigest(), "bytes": len(there[path])}


def test_a_second_push_changes_nothing_and_says_so(push, loopback, told):
    first = push()
    loopback.asked.clear()
    second = push()
    assert writes(loopback) == []
    assert (second.revision, second.tag, second.commits) == (first.revision, first.tag, 0)
    assert second.uploaded == [] and second.unchanged == len(first.files)
    assert "all files are there already; no commit is made" in told


def test_the_dataset_is_read_from_the_hub_by_its_tag(push, loopback, tmp_path, dataset):
    publication = push()
    code = (
        "import sys, datasets; both = datasets.load_dataset(sys.argv[1], revision=sys.argv[2]); found = both['train'];"
        "print(len(found), len(both['test']), sorted(found['text'])[0], found[0]['image'].size)"
    )
    environment = os.environ | {
        "HF_ENDPOINT": loopback.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
    }
    command = [sys.executable, "-c", code, REPO, publication.tag]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"{ROWS} {HELD_OUT} a photo of cap 0 (16, 16)"


def test_large_files_go_in_chunks_where_the_hub_takes_them_so(push, loopback, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    loopback.cas_url = f"local://{tmp_path / 'chunks'}"
    for path in (dataset.path / "data").iterdir():
        loopback.put(path.read_bytes(), is_large=True)  # what the store of chunks would put together again
    publication = push()
    assert set(loopback.files(REPO)) == set(publication.files) and loopback.puts == {}
    assert any(path.is_file() for path in (tmp_path / "chunks").rglob("*"))
    assert push().commits == 0


PUSH = """
import sys
from fungal_assets.publication.contents import dataset_contents
from fungal_assets.publication.hub import Hub
from fungal_assets.publication.publishing import publish
from fungal_assets.publication.tokens import read_token
from fungal_assets.store import Store
contents = dataset_contents(Store(sys.argv[1]).get("captioned_dataset", "128"), repo_id=sys.argv[3])
publish(contents, Hub(read_token(), endpoint=sys.argv[2]), repo_id=sys.argv[3], branch="main", is_private=True,
        is_dry_run=False, deletes_foreign=False, tell=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("killed_at", ["mid upload", "before the tag"])
def test_a_push_killed_anywhere_is_gone_on_with_and_nothing_is_sent_twice(
    push, store, dataset, loopback, killed_at
):
    environment = os.environ | {
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "1",  # as the pocket profile sets it for its own steps
    }
    command = [sys.executable, "-c", PUSH, store.root, loopback.url, REPO]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def kill():
        os.kill(process.pid, signal.SIGKILL)
        loopback.is_down = True

    if killed_at == "mid upload":
        loopback.on_put = lambda count: kill() if count == 2 else None
    else:
        loopback.faults = [Fault("POST", f"/{REPO}/tag/", kind="drop", on=kill)]
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    loopback.on_put, loopback.is_down = lambda count: None, False
    repo = loopback.repos["dataset", REPO]
    assert repo.tags == {}
    assert len(loopback.puts) == (2 if killed_at == "mid upload" else SHARDS)
    publication = push()
    assert set(loopback.files(REPO)) == set(publication.files)
    assert len(loopback.puts) == SHARDS and set(loopback.puts.values()) == {1}, (
        "each shard went over the wire once"
    )
    assert repo.tags == {publication.tag: publication.revision}
    assert len(repo.trees) == 2, "the hub's first commit, and one"


# -- the hub's bad days ----------------------------------------------------------------------------------------------


def test_a_busy_hub_is_asked_again_after_the_time_that_it_names(push, loopback, told):
    loopback.faults = [Fault("GET", "whoami", 429, {"Retry-After": "1"}), Fault("POST", "/commit/", 503)]
    start_s = time.monotonic()
    publication = push()
    assert time.monotonic() - start_s >= 1
    assert publication.revision and loopback.count("POST", "/commit/") == 2
    assert "the hub answers 429, asked who the token belongs to; again in 1 s" in told


def test_a_busy_store_of_large_files_is_asked_again(push, loopback):
    loopback.faults = [Fault("PUT", NEW_PUTS, 429, {"Retry-After": "0"})]
    push()
    assert len(loopback.puts) == SHARDS and loopback.count("PUT", NEW_PUTS) == SHARDS + 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", NEW_PUTS, kind="drop"),
        Fault("POST", "/commit/", kind="drop"),
        Fault("POST", "/commit/", kind="lose"),
        Fault("POST", "/repos/create", kind="lose"),
        Fault("POST", "/tag/", kind="lose"),
        Fault("GET", "/tree/", kind="drop"),
    ],
    ids=[
        "upload dropped",
        "commit dropped",
        "commit's answer lost",
        "repo's lost",
        "tag's lost",
        "tree dropped",
    ],
)
def test_a_dropped_connection_costs_nothing_but_time(push, loopback, told, fault):
    loopback.faults = [fault]
    publication = push()
    repo = loopback.repos["dataset", REPO]
    assert fault.times == 0, "it did happen"
    assert set(loopback.puts.values()) == {1} and len(loopback.puts) == SHARDS
    assert len(repo.trees) == 2 and repo.tags == {publication.tag: repo.branches["main"]}
    assert not any("no commit is made" in line for line in told)


def test_a_hub_that_stays_busy_ends_the_push_with_a_sentence_and_loses_nothing(push, loopback):
    loopback.faults = [Fault("POST", "/commit/", 503, times=99)]
    with pytest.raises(
        PublicationError, match="Nothing that is uploaded is lost: publish again later"
    ) as caught:
        push()
    assert caught.value.status == 503 and loopback.count("POST", "/commit/") == 3
    loopback.faults = []
    push()
    assert set(loopback.puts.values()) == {1}


def test_a_hub_that_asks_for_too_long_a_wait_is_not_waited_for(push, loopback):
    loopback.faults = [Fault("GET", "whoami", 429, {"RateLimit": '"api";r=0;t=200'})]
    with pytest.raises(PublicationError, match="asks to wait 200 s"):
        push()


def test_somebody_elses_commit_in_between_is_seen_and_kept(push, loopback):
    loopback.add_repo(REPO)
    loopback.on_put = lambda count: loopback.add_file(REPO, "notes.txt", b"mine") if count == 1 else None
    publication = push()
    there = loopback.files(REPO)
    assert there["notes.txt"] == b"mine" and set(publication.files) < set(there)
    assert loopback.repos["dataset", REPO].tags[publication.tag] == publication.revision
    assert publication.foreign == ["notes.txt"]


def test_a_foreign_file_that_comes_during_a_push_is_not_taken_away(push, loopback):
    loopback.add_repo(REPO, **{"old.txt": b"old"})
    loopback.on_put = lambda count: loopback.add_file(REPO, "notes.txt", b"mine") if count == 1 else None
    publication = push(deletes_foreign=True)
    assert publication.deleted == ["old.txt"] and publication.foreign == ["notes.txt"]
    there = loopback.files(REPO)
    assert there["notes.txt"] == b"mine" and "old.txt" not in there


def test_a_foreign_shard_that_comes_during_a_push_is_refused(push, loopback):
    loopback.add_repo(REPO)
    loopback.on_put = lambda count: (
        loopback.add_file(REPO, "data/train-old.parquet", b"old") if count == 1 else None
    )
    with pytest.raises(PublicationError, match="would be read as part of the dataset: data/train-old"):
        push(deletes_foreign=True)
    assert loopback.repos["dataset", REPO].tags == {}


def test_bytes_that_come_back_changed_are_found_and_not_tagged(push, loopback):
    loopback.faults = [Fault("GET", "/resolve/.*ATTRIBUTION", 200, body={"other": "bytes"})]
    with pytest.raises(PublicationError, match="ATTRIBUTION.csv comes back with other bytes"):
        push()
    assert loopback.repos["dataset", REPO].tags == {}


# -- tokens and rights -----------------------------------------------------------------------------------------------


def test_an_unknown_token_is_a_sentence(loopback, dataset):
    stranger = Hub("hf_strangerSecret", endpoint=loopback.url)
    with pytest.raises(PublicationError, match="does not know the token in HF_TOKEN") as caught:
        publish(dataset_contents(dataset, repo_id=REPO), stranger, **ASKED)
    assert caught.value.status == 401 and "https://huggingface.co/settings/tokens" in str(caught.value)
    assert "hf_strangerSecret" not in str(caught.value) and loopback.repos == {}


@pytest.mark.parametrize(
    "account",
    [
        {"role": "read"},
        {"role": "fineGrained", "fineGrained": {"scoped": [{"permissions": ["repo.content.read"]}]}},
    ],
    ids=["read", "fine-grained"],
)
def test_a_token_that_may_only_read_is_refused_before_anything_is_sent(push, loopback, account):
    loopback.accounts[TOKEN] = account
    with pytest.raises(PublicationError, match="may only read, not write") as caught:
        push()
    assert "write access to the contents" in str(caught.value) and writes(loopback) == []


def test_a_fine_grained_token_that_may_write_is_taken(push, loopback):
    loopback.accounts[TOKEN] = {
        "role": "fineGrained",
        "fineGrained": {"scoped": [{"permissions": ["repo.write"]}]},
    }
    assert push().commits == 1


def test_a_right_that_is_lacking_is_a_sentence(push, loopback):
    with pytest.raises(PublicationError, match=r"to create 'grace/fungi' and forbids it \(403\)") as caught:
        push(repo_id="grace/fungi")
    assert caught.value.status == 403 and loopback.repos == {}
    assert "lacks the right" in str(caught.value) and "don't have the rights to create" in str(caught.value)


# -- what is there already -------------------------------------------------------------------------------------------


def test_a_dry_run_tells_and_changes_nothing(push, loopback, told):
    publication = push(is_dry_run=True)
    assert writes(loopback) == [] and loopback.repos == {}
    assert len(publication.uploaded) == 11 and publication.revision == "" and publication.commits == 0
    assert any(
        line.startswith("dry run, nothing is changed; what a push would do: 11 files sent") for line in told
    )
    push()
    loopback.asked.clear()
    assert push(is_dry_run=True).uploaded == [] and writes(loopback) == []


def test_foreign_files_are_kept_and_told(push, loopback, told):
    loopback.add_repo(REPO, **{"README.md": b"mine", "notes.txt": b"mine"})
    publication = push()
    assert publication.foreign == ["notes.txt"] and publication.overwritten == ["README.md"]
    assert loopback.files(REPO)["notes.txt"] == b"mine"
    assert any("over foreign files: README.md; 1 foreign files stay: notes.txt" in line for line in told)


def test_foreign_files_go_when_that_is_asked_for(push, loopback):
    loopback.add_repo(REPO, **{"notes.txt": b"mine"})
    publication = push(deletes_foreign=True)
    assert publication.deleted == ["notes.txt"] and set(loopback.files(REPO)) == set(publication.files)


def test_foreign_shards_that_would_be_read_too_are_refused(push, loopback):
    loopback.add_repo(REPO)
    loopback.add_file(REPO, "data/train-old.parquet", b"old")
    with pytest.raises(
        PublicationError, match="1 foreign files that would be read as part of the dataset: data/train-old"
    ):
        push()
    assert push(deletes_foreign=True).deleted == ["data/train-old.parquet"]


def test_shards_of_an_earlier_publication_go_and_its_tag_keeps_them(push, store, loopback):
    first = push()
    second = push(keep_dataset(store, shards=2))
    assert len(second.deleted) == TRAIN_SHARDS and second.tag != first.tag
    assert set(loopback.files(REPO)) == set(second.files)
    assert set(loopback.files(REPO, revision=first.tag)) == set(first.files)


@pytest.fixture
def small_commits(monkeypatch):
    """Two files in a commit."""
    monkeypatch.setattr(batched, "__kwdefaults__", batched.__kwdefaults__ | {"max_files": 2})


def end_at_commit(loopback, number):
    """The hub goes away for good before it takes that commit."""
    loopback.faults = [Fault("POST", "/commit/", 503, times=99, after=number - 1)]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("earlier", [False, True], ids=["an empty repository", "upon an earlier one"])
def test_other_contents_go_up_after_a_push_that_ended_between_two_commits(
    push, store, loopback, small_commits, number, earlier
):
    """The shards that it left are known as ours, and so are those of the publication before it."""
    if earlier:
        push(keep_dataset(store, shards=3, rows=15))
    end_at_commit(loopback, number)
    with pytest.raises(PublicationError, match="publish again later"):
        push()
    assert ANNOUNCEMENT in loopback.files(REPO)
    loopback.faults = []
    publication = push(keep_dataset(store, shards=2))
    assert set(loopback.files(REPO)) == set(publication.files) and publication.foreign == []


def test_two_pushes_that_ended_between_commits_are_both_cleared_away(push, store, loopback, small_commits):
    for output in (None, keep_dataset(store, shards=3, rows=15)):
        end_at_commit(loopback, 3)
        with pytest.raises(PublicationError, match="publish again later"):
            push(*([output] if output else []))
    loopback.faults = []
    publication = push(keep_dataset(store, shards=2))
    assert set(loopback.files(REPO)) == set(publication.files) and publication.foreign == []


def test_a_push_of_several_commits_leaves_no_announcement(push, loopback, small_commits):
    publication = push()
    assert publication.commits > 2 and set(loopback.files(REPO)) == set(publication.files)
    assert push().commits == 0


@pytest.mark.parametrize(
    "content", [b"notes of mine", b'{"files": {}}'], ids=["no JSON", "of no publication"]
)
def test_a_strangers_file_with_the_announcements_name_stays(push, store, loopback, content):
    push()
    loopback.add_file(REPO, ANNOUNCEMENT, content)
    publication = push(keep_dataset(store, shards=2))
    assert publication.foreign == [ANNOUNCEMENT]
    assert loopback.files(REPO)[ANNOUNCEMENT] == content


def test_a_push_of_several_commits_writes_over_no_strangers_announcement(push, loopback, small_commits):
    loopback.add_repo(REPO, **{ANNOUNCEMENT: b"notes of mine"})
    with pytest.raises(PublicationError, match=r"a foreign file \.publishing\.json.*deletes_foreign"):
        push()
    assert loopback.files(REPO) == {ANNOUNCEMENT: b"notes of mine"}
    publication = push(deletes_foreign=True)
    assert set(loopback.files(REPO)) == set(publication.files)


def test_what_somebody_put_beside_an_ended_push_is_still_foreign(push, store, loopback, small_commits):
    end_at_commit(loopback, 3)
    with pytest.raises(PublicationError):
        push()
    loopback.faults = []
    loopback.add_file(REPO, "data/train-mine.parquet", b"mine")
    with pytest.raises(PublicationError, match="1 foreign files .*: data/train-mine"):
        push(keep_dataset(store, shards=2))


def test_a_file_of_ours_that_somebody_changed_is_foreign(push, store, loopback):
    push()
    loopback.add_file(REPO, "data/train-00000-of-00005.parquet", b"changed by hand")
    with pytest.raises(PublicationError, match="1 foreign files"):
        push(keep_dataset(store, shards=2))


def test_what_somebody_deleted_is_sent_again(push, loopback):
    first = push()
    repo = loopback.repos["dataset", REPO]
    repo.commit(
        "main", {path: oid for path, oid in repo.trees[repo.branches["main"]].items() if "train" not in path}
    )
    again = push()
    assert len(again.uploaded) == TRAIN_SHARDS and set(loopback.files(REPO)) == set(first.files)
    assert set(loopback.puts.values()) == {1}, "the hub still had the bytes"


def test_another_branch_leaves_main_alone(push, loopback):
    loopback.add_repo(REPO)
    before = loopback.repos["dataset", REPO].branches["main"]
    publication = push(branch="autumn")
    branches = loopback.repos["dataset", REPO].branches
    assert branches == {"main": before, "autumn": publication.revision}


def test_nothing_private_goes_to_a_public_repository(push, loopback):
    loopback.add_repo(REPO, is_private=False)
    with pytest.raises(PublicationError, match="is public, and is_private was asked for"):
        push()
    assert writes(loopback) == []
    assert not push(is_private=False).is_private


def test_a_tag_that_names_other_files_is_not_believed(push, loopback):
    tag = push(is_dry_run=True).tag
    repo = loopback.add_repo(REPO)
    repo.tags[tag] = repo.branches["main"]
    with pytest.raises(PublicationError, match=f"the tag '{tag}' of '{REPO}' does not name these files"):
        push()


def test_a_tag_that_names_more_shards_is_not_believed(push, loopback):
    publication = push()
    loopback.add_file(REPO, "data/train-mine.parquet", b"mine")
    repo = loopback.repos["dataset", REPO]
    repo.tags[publication.tag] = repo.branches["main"]
    with pytest.raises(PublicationError, match="does not name these files: data/train-mine.parquet would be"):
        push(deletes_foreign=True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"repo_id": ""}, "repo_id '' can't be"),
        ({"repo_id": "fungi"}, "names no account; expected owner/name"),
        ({"repo_id": "ada/new fungi"}, "can't be"),
        ({"branch": ""}, "branch '' can't be"),
        ({"branch": "refs/pr/1"}, "can't be"),
    ],
    ids=["no name", "no account", "a blank", "no branch", "a reference"],
)
def test_a_place_that_can_not_be_is_refused(push, loopback, asked, said):
    with pytest.raises(InputError, match=said):
        push(**asked)
    assert loopback.asked == []


def test_many_files_go_in_bounded_commits_the_cards_last():
    files = {f"data/{number}": File(b"", 10, "") for number in range(7)}
    files |= {"README.md": File(b"", 1, ""), "provenance.json": File(b"", 1, "")}
    by_count = [list(batch) for batch in batched(files, max_files=3, max_bytes=10**9)]
    assert [len(batch) for batch in by_count] == [3, 3, 3] and by_count[-1][-2:] == [
        "README.md",
        "provenance.json",
    ]
    assert [len(batch) for batch in batched(files, max_files=100, max_bytes=25)] == [2, 2, 2, 3]
    assert [path for batch in by_count for path in batch] == list(files)
