"""Templates of prompts: the sentences that species, subspecies, mutants and contexts are asked for with.

They stand in `templates.csv`, which is edited without code; a person's own file may take its place. A line has the kind
of prompt, a group that settings choose context lines by, the template, and what such a prompt is for. In a template
`{subject}` is the name with its article and class noun, `{colours}` the main colours and `{place}` where the species
grows; a phrase between commas that comes out empty is left out. Belongs here: reading and filling templates. Which
names are asked for is not (`prompts`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.bad_lines import BadLine, list_bad_lines, refuse_if_none_is_good
from fungal_assets.nomenclature.tables import read_csv

TEMPLATES_PATH = Path(__file__).with_name("templates.csv")
KINDS = ("species", "form", "subspecies", "mutant", "context")
PLACEHOLDERS = ("{subject}", "{colours}", "{place}")
_IN_BRACES = re.compile(r"\{[^{}]*\}|[{}]")


@dataclass(frozen=True)
class Template:
    """One sentence with gaps.

    Args:
        kind: One of `KINDS`.
        group: What a context line is about, such as `"habitat"`; empty for the other kinds.
        text: With `{subject}` once, and `{colours}` and `{place}` where they go.
        purpose: What a prompt of it is for.
    """

    kind: str
    group: str
    text: str
    purpose: str

    def fill(self, subject: str, colours: str, place: str = "") -> str:
        """The prompt of a subject, such as `"an amber hollow bonnet mushroom"`; its colours and place may be empty."""
        said = {"subject": subject, "colours": colours, "place": place}
        filled = (part.format(**said).strip() for part in self.text.split(","))
        return ", ".join(part for part in filled if part)

    @property
    def ending(self) -> str:
        """Its last phrase if that is the same for every subject, else an empty text."""
        last = self.text.split(",")[-1].strip()
        return "" if _IN_BRACES.search(last) else last


def read_templates(path: Path) -> tuple[list[Template], list[BadLine]]:
    """The good lines of a file of templates, and the bad ones with all that is wrong with each.

    Raises:
        InputError: It cannot be read, or has no good line of kind species.
    """
    good: list[Template] = []
    bad: list[BadLine] = []
    for line, row in read_csv(path, ("kind", "group", "template", "purpose")):
        one = Template(row["kind"], row["group"], row["template"], row["purpose"])
        faults = list(_faults(one, good))
        if faults:
            bad.append(BadLine(path.name, line, "; ".join(faults)))
        else:
            good.append(one)
    refuse_if_none_is_good(path, [one for one in good if one.kind == "species"], bad)
    return good, bad


def of_kind(templates: Sequence[Template], kind: str) -> Template | None:
    """The template of a kind that has one, or None if the file leaves the kind out."""
    return next((one for one in templates if one.kind == kind), None)


def groups_of(templates: Sequence[Template]) -> list[str]:
    """What there are context lines about, each once, in their order."""
    return list(dict.fromkeys(one.group for one in templates if one.kind == "context"))


def of_groups(
    templates: Sequence[Template], groups: Collection[str], *, bad: Sequence[BadLine] = ()
) -> list[Template]:
    """The context lines of some groups, in their order.

    Args:
        templates: Good lines.
        groups: What lines are wanted about.
        bad: Bad lines of the same file, told where a group has no good one.

    Raises:
        InputError: A group has no line.
    """
    known = groups_of(templates)
    unknown = [group for group in groups if group not in known]
    if unknown:
        left_out = f" Left out as bad: {list_bad_lines(bad)}." if bad else ""
        raise InputError(
            f"context_groups names {unknown!r}; the templates have context lines about "
            f"{', '.join(known) or 'nothing'}.{left_out} Set prompts.context_groups=[{','.join(known)}]"
            f"{' or mend those lines' if bad else ''}."
        )
    return [one for one in templates if one.kind == "context" and one.group in groups]


def _faults(one: Template, before: Sequence[Template]) -> Iterator[str]:
    if one.kind not in KINDS:
        yield f"kind {one.kind!r} is none of {', '.join(KINDS)}"
    unknown = [gap for gap in _IN_BRACES.findall(one.text) if gap not in PLACEHOLDERS]
    if unknown:
        yield f"{', '.join(unknown)} is none of {', '.join(PLACEHOLDERS)}"
    if one.text.count("{subject}") != 1:
        yield f"{{subject}} stands {one.text.count('{subject}')} times in {one.text!r}, once was expected"
    if not one.purpose:
        yield "purpose is empty"
    if one.kind == "context":
        yield from _context_faults(one, before)
    elif of_kind(before, one.kind):
        yield f"a second template of kind {one.kind}; only contexts may have several"


def _context_faults(one: Template, before: Sequence[Template]) -> Iterator[str]:
    if not one.group:
        yield "group is empty"
    if any(other.text == one.text for other in before):
        yield f"{one.text!r} is there twice"
