"""The pages about items and users, and the explorer: what they share in one process, and their addresses."""

from typing import Annotated

from fastapi import Query
from nicegui import ui

from lemo.console.access import Access
from lemo.console.catalogue.item_page import item_page
from lemo.console.catalogue.list_page import items_page
from lemo.console.catalogue.reads import CatalogueReads
from lemo.console.catalogue.writes import ItemWrites
from lemo.console.explorer.page import explore_page
from lemo.console.explorer.reads import ExplorerReads
from lemo.console.queries import Queries
from lemo.console.users.list_page import users_page
from lemo.console.users.reads import UserReads
from lemo.console.users.user_page import user_page
from lemo.domain.ids import canonical_id
from lemo.intake.changes import Changes
from lemo.intake.publishing import Ingest


class Subjects:
    """The services of these pages, one of each per process."""

    def __init__(self, queries: Queries) -> None:
        settings = queries.settings
        self._api = f"http://{settings.api_host}:{settings.api_port}"
        self._ingest = Ingest(queries.stores)
        changes = Changes(queries.stores, self._ingest)
        self._catalogue = CatalogueReads(queries)
        self._writes = ItemWrites(queries, changes)
        self._users = UserReads(queries)
        self._explorer = ExplorerReads(queries, changes)

    def add_pages(self, access: Access) -> None:
        """Has the server answer the addresses of the pages."""

        @ui.page("/explore")
        async def explore(
            scenario: str = "",
            user: str = "",
            n: str = "",
            item: str = "",
            filter: str = "",
            boost: Annotated[list[str] | None, Query()] = None,
            diversity: str = "",
            repeat: str = "",
            model: str = "",
            pipeline: str = "",
            base_model: str = "",
            base_pipeline: str = "",
        ) -> None:
            parameters = {
                "scenario": scenario,
                "user": canonical_id(user),
                "n": n,
                "item": canonical_id(item),
                "filter": filter,
                "diversity": diversity,
                "repeat": repeat,
                "model": model,
                "pipeline": pipeline,
                "base_model": base_model,
                "base_pipeline": base_pipeline,
            }
            await explore_page(self._explorer, self._catalogue, access, parameters, boost or [], self._api)

        @ui.page("/items")
        async def items(scenario: str = "", search: str = "", filter: str = "", cursor: str = "") -> None:
            state = {"search": search, "filter": filter, "cursor": cursor}
            await items_page(self._catalogue, access, scenario, state)

        @ui.page("/item")
        async def item(scenario: str = "", item_id: str = "") -> None:
            await item_page(self._catalogue, self._writes, access, scenario, canonical_id(item_id))

        @ui.page("/users")
        async def users(scenario: str = "", search: str = "") -> None:
            await users_page(self._users, access, scenario, search)

        @ui.page("/user")
        async def user(scenario: str = "", user_id: str = "") -> None:
            await user_page(self._users, access, scenario, canonical_id(user_id))

    def close(self) -> None:
        """Lets go of connections."""
        self._ingest.close()
