"""What every backend promises: an outcome per item, in order, told as it comes, and errors that name their item.

Belongs here: what becomes of results and errors, wherever they were made. Starting workers does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from typing import Any

from fungal_assets.errors import FungalError
from fungal_assets.progress import Tell

Explain = Callable[[Exception], Exception]


@dataclass(frozen=True)
class Failure:
    """In place of a result, the error that an item ended in."""

    error: Exception


@dataclass(frozen=True)
class Listing:
    """The items as a person knows them.

    Args:
        names: One per item.
        tell: Told of each item that is done.
    """

    names: Sequence[str]
    tell: Tell

    def tell_of(self, index: int, outcome: object, done: int) -> None:
        """Tell how the item of that index ended, as the `done`-th of all."""
        ending = f"failed: {outcome.error}" if isinstance(outcome, Failure) else "done"
        self.tell(f"{self.names[index]} {ending} ({done} of {len(self.names)})")


def attempt(fn: Callable[[Any], Any], item: Any) -> Any:
    """`fn(item)`, or the Failure that it ended in."""
    try:
        return fn(item)
    except Exception as error:
        return Failure(error)


def gather(futures: Sequence[Future], listing: Listing, explain: Explain) -> list[Any]:
    """The outcomes of the futures in their order, each told of when it comes.

    Args:
        futures: One per item.
        listing: The items.
        explain: Makes an error of the backend one that a user understands; gives any other back as it is.
    """
    places = {future: index for index, future in enumerate(futures)}
    outcomes: list[Any] = [None] * len(futures)
    for done, future in enumerate(as_completed(futures), 1):
        index = places[future]
        outcomes[index] = _outcome(future, explain)
        listing.tell_of(index, outcomes[index], done)
    return outcomes


def settle(outcomes: Sequence[Any], listing: Listing) -> list[Any]:
    """The outcomes, if all are results; else the first failure is raised, with its item's name."""
    for item, outcome in zip(listing.names, outcomes, strict=True):
        if isinstance(outcome, Failure):
            raise _named(outcome.error, item)
    return list(outcomes)


def _outcome(future: Future, explain: Explain) -> Any:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return Failure(explain(error))
    raise error


def _named(error: Exception, item: str) -> Exception:
    if isinstance(error, FungalError):
        named = type(error)(f"{item}: {error}")
        named.__cause__ = error
        return named
    error.add_note(f"this was at the item {item!r}")
    return error
