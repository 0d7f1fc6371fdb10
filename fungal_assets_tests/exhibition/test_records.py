import shutil

from fungal_assets.exhibition.records import gather_ancestors, licences_of


def test_ancestors_are_found_in_the_store_back_to_the_first_each_before_its_children(inputs, growth):
    ancestors = gather_ancestors(inputs)
    names = [each.name for each in ancestors]
    assert set(names) == {output.name for output in growth.values()}
    assert all(each.record for each in ancestors)
    for each in ancestors:
        assert all(names.index(parent) < names.index(each.name) for parent, _ in each.parents)
    assert sum(each.is_input for each in ancestors) == 11


def test_licences_of_all_that_went_in_are_gathered(inputs):
    assert licences_of(gather_ancestors(inputs)) == ["CC-BY-4.0", "CC0-1.0"]


def test_an_ancestor_outside_the_store_is_known_by_name_and_hash(growth, tmp_path):
    shutil.copytree(growth["species"].path, tmp_path / "a" / "b" / "species")
    ancestors = {each.name: each for each in gather_ancestors([tmp_path / "a" / "b" / "species"])}
    assert ancestors["clusters"].record is None
    assert ancestors["clusters"].content_hash == growth["clusters"].record.content_hash
    assert ancestors["species"].record is not None


def test_two_versions_of_an_output_are_two_ancestors(inputs, growth, tmp_path):
    copy = tmp_path / "captions"
    shutil.copytree(growth["captions"].path, copy)
    record = copy / "provenance.json"
    record.write_text(record.read_text().replace(growth["clusters"].record.content_hash, "f" * 64))
    ancestors = gather_ancestors([*inputs[:2], copy, *inputs[3:]])
    assert sorted(each.content_hash for each in ancestors if each.name == "clusters") == sorted(
        [growth["clusters"].record.content_hash, "f" * 64]
    )
    assert len({each.anchor for each in ancestors}) == len(ancestors)
