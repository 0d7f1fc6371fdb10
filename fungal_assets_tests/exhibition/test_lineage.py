import re

from fungal_assets.exhibition.lineage import NODE_HEIGHT, NODE_WIDTH, draw_lineage, reduce_links
from fungal_assets.exhibition.records import Ancestor, gather_ancestors
from fungal_assets.store import Record


def ancestor(name: str, *parents: str, is_input: bool = False) -> Ancestor:
    record = Record(name, None, "f", dict.fromkeys(parents, "h"), {}, "1", content_hash="h")
    return Ancestor(name, "h", record, is_input)


def test_a_link_that_others_imply_is_left_out():
    a, b, c = ("a", ""), ("b", ""), ("c", "")
    assert reduce_links({a: [], b: [a], c: [a, b]}) == {a: [], b: [a], c: [b]}


def test_whatever_is_made_stands_below_all_that_it_was_made_from():
    drawn = draw_lineage([ancestor("a"), ancestor("b", "a"), ancestor("c", "a", "b", is_input=True)])
    top = {node.name: node.y for node in drawn.nodes}
    assert top["a"] < top["b"] < top["c"] < top["field_guide"]


def test_boxes_do_not_overlap_and_lie_within_the_drawing(inputs):
    drawn = draw_lineage(gather_ancestors(inputs))
    for index, one in enumerate(drawn.nodes):
        assert NODE_WIDTH / 2 <= one.x <= drawn.width - NODE_WIDTH / 2
        assert 0 <= one.y <= drawn.height - NODE_HEIGHT
        for other in drawn.nodes[index + 1 :]:
            assert one.y != other.y or abs(one.x - other.x) >= NODE_WIDTH


def test_lines_run_from_foot_to_head_of_boxes_and_pass_none(inputs):
    drawn = draw_lineage(gather_ancestors(inputs))
    feet = {(f"{node.x:.1f}", f"{node.y + NODE_HEIGHT:.1f}") for node in drawn.nodes}
    heads = {(f"{node.x:.1f}", f"{node.y:.1f}") for node in drawn.nodes}
    for line in drawn.lines:
        numbers = re.findall(r"[\d.]+", line)
        assert (numbers[0], numbers[1]) in feet
        assert (numbers[-2], numbers[-1]) in heads
        for x, y in re.findall(r" ([\d.]+) ([\d.]+) V", line):
            assert all(abs(float(x) - node.x) > NODE_WIDTH / 2 for node in drawn.nodes if node.y == float(y))


def test_the_same_records_give_the_same_drawing(inputs):
    ancestors = gather_ancestors(inputs)
    assert draw_lineage(ancestors) == draw_lineage(ancestors)
