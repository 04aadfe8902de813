"""`lemo users`: what is known of a user."""

from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_json, show_one

if TYPE_CHECKING:
    from lemo.recommenders.profiles import Taste

app = typer.Typer(no_args_is_help=True, help="What is known of a user.")


@app.callback()
def _group() -> None:
    """Keeps `show` a sub-command while it is the only one."""


@app.command("show")
def show_user(
    scenario: ScenarioOption,
    user: Annotated[str, typer.Option("--user", "-u", help="Id of the user.", show_default=False)],
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="Interactions of the history, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """Show a user's history, tastes and precomputed recommendations.

    [bold]lemo users show --scenario shop --user 42[/]
    """
    from contextlib import closing

    from lemo.cli.session import connected
    from lemo.domain.scope import Scope
    from lemo.serving.users import user_overview

    stores, tenant_id = connected()
    with closing(stores):
        scope = Scope(tenant_id, scenario)
        stores.scenarios.get(scope)
        overview = user_overview(stores, scope, user, n)
        if format is Format.json:
            show_json(overview.model_dump(mode="json"))
            return
        recommended = overview.precomputed.items if overview.precomputed else []
        named = {each.item_id for each in overview.history} | {each.item_id for each in recommended}
        named |= {each.because for each in recommended if each.because}
        titles = {item.item_id: item.title for item in stores.items.get_many(scope, sorted(named)).values()}
    profile = overview.profile
    summary = {"user": user, "seen_items": overview.seen_items}
    if profile:
        summary |= {
            "last_event_at": profile.last_event_at,
            "interactions": profile.interactions,
            "actions": [f"{action} {count:,}" for action, count in profile.actions.items()],
            "categories": _weighted(profile.categories),
            "tags": _weighted(profile.tags),
            "authors": _weighted(profile.authors),
        }
    show_one(summary, format, f"User of {scenario}")
    if profile is None:
        messages.print("There is no profile yet: `lemo jobs run update-user-profiles-2hours` writes them.")
    history = [
        {"timestamp": each.timestamp, "action": each.action, "value": each.value}
        | {"item": titles.get(each.item_id) or each.item_id, "item_id": each.item_id}
        for each in overview.history
    ]
    show(history, format, "History (UTC)", ["timestamp", "action", "value", "item", "item_id"])
    rows = [
        {"rank": rank, "item": titles.get(each.item_id) or each.item_id, "item_id": each.item_id}
        | {"score": each.score, "reason": each.reason_by_title(titles)}
        for rank, each in enumerate(recommended, start=1)
    ]
    if overview.precomputed:
        title = f"Precomputed recommendations of model {overview.precomputed.model_version}"
        show(rows, format, title, ["rank", "item", "item_id", "score", "reason"])


def _weighted(tastes: "list[Taste]") -> list[str]:
    return [f"{taste.label} {taste.weight:.0%}" for taste in tastes]
