"""`lemo items`: the catalogue, looked at and corrected."""

from contextlib import closing
from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_json
from lemo.domain.ids import canonical_id

app = typer.Typer(no_args_is_help=True, help="Items of a scenario.")
IdArgument = Annotated[str, typer.Argument(help="Id of the item.", callback=canonical_id, show_default=False)]


@app.command("get")
def get_item(item: IdArgument, scenario: ScenarioOption) -> None:
    """Show an item as it is stored, as JSON, e.g. `lemo items get lamp/42 --scenario shop`."""
    from lemo.cli.session import connected
    from lemo.domain.errors import NotFound
    from lemo.domain.scope import Scope

    stores, tenant_id = connected()
    with closing(stores):
        scope = Scope(tenant_id, scenario)
        stores.scenarios.get(scope)
        found = stores.items.get_many(scope, [item]).get(item)
    if found is None:
        raise NotFound(f"There is no item {item[:80]!r}.", f"`lemo items list --scenario {scenario}` shows some.")
    show_json(found.model_dump(mode="json"))


@app.command("list")
def list_items(
    scenario: ScenarioOption,
    filter: Annotated[str, typer.Option(help="CEL: only items that match, such as 'item.price < 100'.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, by id.")] = 20,
    after: Annotated[str, typer.Option(help="Begin behind this id.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """List items by id, e.g. `lemo items list --scenario shop --filter 'item.price < 100 && item.in_stock'`."""
    from lemo.cli.session import connected
    from lemo.domain.scope import Scope
    from lemo.serving.catalogue.columns import columns_of
    from lemo.serving.items import item_page

    stores, tenant_id = connected()
    with closing(stores):
        scope = Scope(tenant_id, scenario)
        types = stores.scenarios.get(scope).attribute_types
        columns = columns_of(stores.items.scan(scope), fixed=types)
        page = item_page(stores.items, scope, columns, limit, after, filter)
    rows = [item.model_dump(mode="json") for item in page.items]
    if format is Format.table:
        for row in rows:
            row["attributes"] = [f"{name} {value}" for name, value in row["attributes"].items()]
    show(rows, format, f"Items of {scenario}", ("item_id", "title", "categories", "is_active", "attributes"))
    if page.cursor is not None and format is Format.table:
        messages.print(f"More: --after {page.cursor}", markup=False)


@app.command("delete")
def delete_item(item: IdArgument, scenario: ScenarioOption) -> None:
    """Delete an item, through the ingest log: older writes do not bring it back."""
    from lemo.cli.operator import operator
    from lemo.cli.session import check_engines, connected
    from lemo.domain.errors import NotFound
    from lemo.domain.item import Item
    from lemo.domain.scope import Scope
    from lemo.streams.messages import item_message, item_topic

    stores, tenant_id = connected()
    with closing(stores):
        scope = Scope(tenant_id, scenario)
        template = stores.scenarios.get(scope).template
        check_engines(stores.settings, "log")
        found = stores.items.get_many(scope, [item]).get(item)
        if found is None or found.deleted:
            raise NotFound(f"There is no item {item[:80]!r}.", f"`lemo items list --scenario {scenario}` shows some.")
        topic = item_topic(stores.settings.kafka_item_ingest_topics, template)
        by = operator(tenant_id)
        with (
            closing(stores.log.publisher()) as publisher,
            stores.audit.noting(scope, by, "item.delete", item),
        ):
            publisher.publish(topic, [item_message(scope, Item(item_id=item, deleted=True))])
    messages.print(f"Deleted {item}: it is in no answer within seconds.", markup=False)
