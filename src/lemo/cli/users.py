"""`lemo users`: what is known of a user; erasure and merge."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_json, show_one
from lemo.domain.ids import canonical_id

if TYPE_CHECKING:
    from lemo.domain.api_key import Role
    from lemo.recommenders.profiles import Taste
    from lemo.stores.connect import Stores

app = typer.Typer(no_args_is_help=True, help="Users: shown, erased, merged.")
OneScenarioOption = Annotated[
    str, typer.Option("--scenario", "-s", help="Only in this scenario; by default in all.", show_default=False)
]


@app.command("show")
def show_user(
    scenario: ScenarioOption,
    user: Annotated[
        str, typer.Option("--user", "-u", help="Id of the user.", callback=canonical_id, show_default=False)
    ],
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


@app.command("similar")
def similar(
    scenario: ScenarioOption,
    user: Annotated[
        str, typer.Option("--user", "-u", help="Id of the user.", callback=canonical_id, show_default=False)
    ],
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="How many users.")] = 10,
    format: FormatOption = Format.table,
) -> None:
    """List the users whose histories are most like a user's.

    [bold]lemo users similar --scenario shop --user 42[/]
    """
    from contextlib import closing

    from lemo.cli.session import check_engines, open_scenario
    from lemo.serving.service import RecommendationService

    stores, scope = open_scenario(scenario)
    check_engines(stores.settings, "redis", "events")
    with closing(stores), RecommendationService(stores, watch=False) as served:
        found = served.similar_users(scope, user, n)
    if format is Format.json:
        show_json(found.model_dump())
        return
    rows = [{"rank": rank, **each.model_dump()} for rank, each in enumerate(found.users, start=1)]
    show(rows, format, f"Users like {user} in {scenario}", ("rank", "user_id", "score", "because"))
    messages.print(f"{found.looked_at:,} users were compared.", highlight=False)


@app.command("erase")
def erase(
    user: Annotated[str, typer.Argument(help="Id of the user.", callback=canonical_id, show_default=False)],
    scenario: OneScenarioOption = "",
    check: Annotated[
        str, typer.Option(help="Erase nothing: search all stores again for the user of this receipt.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Erase a user from all stores, e.g. `lemo users erase 42`; the receipt says what was removed, and what remains.

    What the user did before does not come back, whoever sends it again. Later events are a new user's.
    Exit code 1 where the check that follows finds something.
    """
    from contextlib import closing

    from lemo.cli.operator import operator
    from lemo.users.erasure import check_erasure, erase_user

    if not check and not yes and sys.stdin.isatty():
        typer.confirm(f"Erase {user} from all stores? It cannot be undone", abort=True)
    stores, tenant_id = _patient("admin")
    with closing(stores):
        if check:
            receipt = check_erasure(stores, tenant_id, check, user)
        else:
            receipt = erase_user(stores, tenant_id, user, operator(tenant_id), scenario)
    body = receipt.model_dump(mode="json")
    if format is Format.json:
        show_json(body)
    else:
        parts = body.pop("stores")
        show_one(body, format, "Receipt")
        show(parts, format, "Stores", ["store", "scenario_id", "removed", "found", "remains", "until"])
    if not receipt.clean:
        messages.print("Something was found: erase the user again.")
        raise typer.Exit(1)


@app.command("merge")
def merge(
    guest: Annotated[
        str, typer.Argument(help="Id of the user who is to go.", callback=canonical_id, show_default=False)
    ],
    customer: Annotated[
        str, typer.Argument(help="Id of the user who takes over.", callback=canonical_id, show_default=False)
    ],
    scenario: OneScenarioOption = "",
    format: FormatOption = Format.table,
) -> None:
    """Give all that a guest did, and will do, to another user, e.g. `lemo users merge guest-81 42`."""
    from contextlib import closing

    from lemo.cli.operator import operator
    from lemo.users.merge import merge_users

    stores, tenant_id = _patient("operator")
    with closing(stores):
        merged = merge_users(stores, tenant_id, guest, customer, scenario, operator(tenant_id))
    show_one(merged.model_dump(), format, "Merged")


def _patient(role: "Role") -> "tuple[Stores, str]":
    """Stores that wait for minutes, after all engines answered, and the tenant of a key with the role."""
    from lemo.cli.session import check_engines
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    tenant_id = credential(settings, role=role)
    check_engines(settings, "redis", "events", "log")
    return Stores(settings), tenant_id


def _weighted(tastes: "list[Taste]") -> list[str]:
    return [f"{taste.label} {taste.weight:.0%}" for taste in tastes]
