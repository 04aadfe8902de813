"""`lemo connect`: what to copy to bring tables of a database into the ingest log through Kafka Connect."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lemo.cli.import_preview import ActionOption, MapOption
from lemo.cli.output import Format, FormatOption, ScenarioOption, console, messages, show_json


def connect(
    database: Annotated[Literal["postgresql", "mysql"], typer.Argument(help="Which database it is.")],
    table: Annotated[str, typer.Argument(help="TABLE, or SCHEMA.TABLE (MySQL: DATABASE.TABLE).", show_default=False)],
    scenario: ScenarioOption,
    kind: Annotated[
        Literal["items", "events"], typer.Option("--as", help="What the table's rows are.", show_default=False)
    ],
    fields: MapOption = None,
    action: ActionOption = "",
    mapping: Annotated[
        str, typer.Option(help="A mapping of the scenario, in place of --map and --action.", show_default=False)
    ] = "",
    host: Annotated[str, typer.Option(help="Host of the database, as Kafka Connect sees it.")] = "db.example",
    name: Annotated[str, typer.Option(help="Name of the database.")] = "shop",
    out: Annotated[
        Path | None, typer.Option(help="Write the connector's settings into this file.", show_default=False)
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Print the SQL and the Debezium settings that bring a table into a scenario, and keep it so; nothing is changed.

    [bold]lemo connect postgresql products --as items --scenario shop --map item_id=id --map title=name[/]
    [bold]lemo connect mysql shop.orders --as events --scenario shop --map user_id=customer_id --action purchase[/]

    The rows become the same messages as those of `lemo import`: other columns become attributes, deleted rows deleted
    items. The password stays with Kafka Connect.
    """
    from lemo.cli.import_preview import wishes_of
    from lemo.cli.session import known_scenario
    from lemo.domain.errors import InvalidInput, NotFound
    from lemo.files.kept_mapping import wishes_of_mapping
    from lemo.streams.kafka.connectors import Source, checked_source, settings, statements
    from lemo.streams.messages import item_topic

    configured, scope, found = known_scenario(scenario)
    wishes = wishes_of(fields, action)
    if mapping:
        if mapping not in found.mappings:
            raise NotFound(f"There is no mapping {mapping[:80]!r}.", f"It has {', '.join(found.mappings) or 'none'}.")
        wishes = wishes_of_mapping(mapping, found.mappings[mapping], kind)
    if wishes.action and wishes.action not in found.actions:
        known = ", ".join(found.actions)
        raise InvalidInput(f"{wishes.action[:80]!r} is not an action of this scenario.", f"It knows {known}.")
    if wishes.words:
        raise InvalidInput(
            "Words of actions cannot be translated on the way.",
            "Let the table, or a view, hold the scenario's words; or add them: lemo scenarios edit.",
        )
    if not configured.kafka_bootstrap_servers:
        raise InvalidInput(
            "This installation's log is Redis Streams, and Kafka Connect writes to Kafka.",
            "Set LEMO_KAFKA_BOOTSTRAP_SERVERS (docs/deploy.md), or export the table and `lemo import` it.",
        )
    source = checked_source(Source(database, table, kind, wishes.fields, wishes.action, host, name))
    topics = configured.kafka_item_ingest_topics
    topic = item_topic(topics, found.template) if kind == "items" else configured.kafka_event_topic
    body = settings(source, scope, topic, configured.kafka_bootstrap_servers)
    if out is not None:
        import json

        out.write_text(json.dumps(body, indent=2) + "\n")
    if format is Format.json:
        show_json({"sql": statements(source), "config": body})
        return
    connector = body["topic.prefix"]
    where = str(out) if out is not None else "connector.json"
    console.print("1. In the database, once:", style="bold")
    console.print(statements(source), markup=False, highlight=False, soft_wrap=True)
    console.print(f"\n2. The connector's settings ({where}):", style="bold", markup=False)
    if out is None:
        console.print_json(data=body)
    console.print("\n3. Give them to Kafka Connect with Debezium 2.5 or newer:", style="bold")
    console.print(
        f"curl -X PUT http://connect.example:8083/connectors/{connector}/config"
        f" -H 'Content-Type: application/json' -d @{where}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    messages.print(
        "The password stands on the workers in /etc/kafka-connect/lemo.properties as password=... (they need"
        " config.providers=file). Check with `lemo stats` and `lemo dead-letters list`.",
        markup=False,
        soft_wrap=True,
    )
