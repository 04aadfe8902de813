"""`lemo audience`: the users who most likely want an item."""

from contextlib import closing
from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_json
from lemo.cli.session import check_engines, open_scenario


def audience(
    scenario: ScenarioOption,
    item: Annotated[list[str], typer.Option(help="Id of the item; may be given several times.")] = [],  # noqa: B006 - Typer copies it
    filter: Annotated[str, typer.Option(help="CEL, in place of items: those that match.")] = "",
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many users.")] = 20,
    seen: Annotated[bool, typer.Option("--seen", help="Also users who have had the item already.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """List the users who most likely want an item, or an item that matches a filter, the likeliest first.

    [bold]lemo audience --scenario shop --item lamp/42[/]
    [bold]lemo audience --scenario shop --filter 'item.campaign == "spring"' -n 1000 --format json[/]
    """
    from lemo.domain.audience import AudienceRequest
    from lemo.serving.service import RecommendationService

    if bool(item) == bool(filter):
        raise typer.BadParameter("Say of what: either --item, or --filter.")
    stores, scope = open_scenario(scenario)
    check_engines(stores.settings, "redis", "events")
    with closing(stores), RecommendationService(stores, watch=False) as served:
        types = stores.scenarios.get(scope).attribute_types
        request = AudienceRequest(item_ids=item, filter=filter or None, n=n, seen=seen)
        found = served.audience(scope, request, types)
    if format is Format.json:
        show_json(found.model_dump())
        return
    rows = [
        {"rank": rank, **each.model_dump(exclude={"because"}), "because": each.because}
        for rank, each in enumerate(found.users, start=1)
    ]
    show(rows, format, f"Who wants it in {scenario}", ("rank", "user_id", "item_id", "score", "because"))
    messages.print(f"{found.looked_at:,} users were compared.", highlight=False)
