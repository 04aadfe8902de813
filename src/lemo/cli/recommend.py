"""`lemo recommend`: recommendations on the terminal, or for many users into a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, console, messages, show, show_json
from lemo.domain.ids import canonical_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lemo.domain.recommendation import Answer, ExplainedItem
    from lemo.domain.scope import Scope
    from lemo.settings import Settings


def recommend(
    scenario: ScenarioOption,
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="One user.", callback=canonical_id, show_default=False)
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="A file of users: one id a line, or CSV, JSONL, Parquet with user_id.", show_default=False),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every user who has events.")] = False,
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="Items for each user.")] = 10,
    filter: Annotated[str, typer.Option(help="CEL: only items that match, such as 'item.price < 100'.")] = "",
    explain: Annotated[
        list[str], typer.Option(help="An item of which to say why it is, or is not, in the answer.", show_default=False)
    ] = [],  # noqa: B006 - Typer copies it
    out: Annotated[
        Path | None, typer.Option(help="Write a .jsonl or .parquet file instead of printing.", show_default=False)
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Recommend items to one user, to those in a file, or to all: the same answers that the API gives.

    [bold]lemo recommend --scenario shop --user 42[/]
    [bold]lemo recommend --scenario shop --all -n 20 --out recommendations.parquet[/]
    [bold]lemo recommend --scenario shop --user 42 --filter 'item.price < 100 && item.in_stock'[/]
    [bold]lemo recommend --scenario shop --user 42 --explain lamp/7[/]

    A row of the file is {"user_id", "items": [{"item_id", "score", "reason"}, ...]}, best item first.
    """
    if sum((user is not None, users is not None, everybody)) != 1:
        raise typer.BadParameter("Say for whom: exactly one of --user, --users and --all.")
    if user is not None and not 1 <= len(user) <= 256:
        raise typer.BadParameter("A user's id has 1 to 256 characters.", param_hint="--user")
    if explain and user is None:
        raise typer.BadParameter("Say for whom: --explain needs --user.", param_hint="--explain")

    from contextlib import closing

    from rich.progress import track

    from lemo.cli.session import check_engines, known_scenario
    from lemo.domain.errors import NotFound
    from lemo.serving.export import checked_export_form, export_row, read_users, write_export
    from lemo.serving.service import RecommendationService
    from lemo.stores.connect import Stores

    if out is not None:
        checked_export_form(out)
    settings, scope, found_scenario = known_scenario(scenario)
    types = found_scenario.attribute_types
    check_engines(settings, "redis")
    if everybody:
        check_engines(settings, "events")
    with closing(Stores(settings)) as stores, RecommendationService(stores, watch=False) as served:
        if explain and user is not None:
            _explain(served.explain(scope, user, n, explain, filter, types), format)
            return
        if user is not None:
            wanted = {user: user}
        elif users is not None:
            wanted = read_users(users)
            _tell_unknown(settings, scope, wanted)
        else:
            # In one order, however active they are: two exports of the same answers are equal files.
            wanted = {known: known for known in sorted(stores.events.active_users(scope))}
            if not wanted:
                raise NotFound(
                    f"No user of scenario {scenario} has an event: there is nobody to recommend to.",
                    f"Import some: lemo import events FILE --scenario {scenario}",
                )
        by_id = served.recommend_many(scope, list(wanted.values()), n, filter, types)
        # Each answer bears the id that was asked by, so that a file of answers joins the file of users.
        answers: Iterable[tuple[str, Answer]] = (
            (written, answer) for written, (_, answer) in zip(wanted, by_id, strict=True)
        )
        if len(wanted) > 1:
            answers = track(answers, f"Recommending in {scenario}", len(wanted), console=messages)
        if out is not None:
            count = write_export(out, (export_row(user_id, answer) for user_id, answer in answers))
            messages.print(f"Wrote the recommendations of {count:,} users to {out}.", highlight=False, markup=False)
            return
        found = list(answers)
        if format is Format.json:
            rows = [export_row(user_id, answer) for user_id, answer in found]
            show_json(rows[0] if user is not None else rows)
            return
        shown = [item for _, answer in found for item in answer.items]
        named = {item.item_id for item in shown}.union(item.because for item in shown if item.because)
        titles = {item.item_id: item.title for item in stores.items.get_many(scope, sorted(named)).values()}
    lines = [
        {
            "user": user_id,
            "rank": rank,
            "item": titles.get(item.item_id) or item.item_id,
            "item_id": item.item_id,
            "score": item.score,
            "reason": item.reason_by_title(titles),
        }
        for user_id, answer in found
        for rank, item in enumerate(answer.items, start=1)
    ]
    columns = ["rank", "item", "item_id", "score", "reason"]
    show(lines, format, f"Recommendations in {scenario}", columns if user is not None else ["user", *columns])


def _tell_unknown(settings: "Settings", scope: "Scope", wanted: "Mapping[str, str]") -> None:
    """Says on standard error how many users of a file nobody knows; `wanted` are ids by the ids of the file."""
    from contextlib import closing

    from lemo.domain.errors import EngineUnavailable
    from lemo.serving.users import unknown_users
    from lemo.stores.connect import Stores

    try:
        # Answers need no events: nobody waits long for their engine.
        with closing(Stores(settings, interactive=True)) as stores:
            unknown = set(unknown_users(stores, scope, list(wanted.values())))
    except EngineUnavailable as error:
        messages.print(f"Whether these users are known could not be told: {error.message}", markup=False)
        return
    if unknown:
        example = next(written for written, user in wanted.items() if user in unknown)
        messages.print(
            f"{len(unknown):,} of {len(wanted):,} users have no event in {scope.scenario_id}, such as {example!r}: they"
            " get what is popular. Are their ids written as in the events?",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _explain(items: "Sequence[ExplainedItem]", format: Format) -> None:
    """Prints why items are answered or not, and what each stage did with them."""
    if format is Format.json:
        show_json([item.model_dump() for item in items])
        return
    for item in items:
        console.print(f"{item.item_id}: {item.verdict}", markup=False, highlight=False, soft_wrap=True)
        rows = [
            {"stage": step.stage, "place": step.place, "of": step.of, "score": step.score, "what_this_is": step.meaning}
            for step in item.steps
        ]
        if rows:
            show(rows, format)
