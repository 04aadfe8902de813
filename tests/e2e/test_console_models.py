"""The console's models page in a real browser: what a model is worth, promoting one, rolling back."""

from playwright.sync_api import expect

from consoles import SHOP, Console, Visit, narrow, picture
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND, ModelRecord

OLD, NEW = "20261102T030000000-aaaaaa", "20261103T030000000-bbbbbb"


def test_an_operator_promotes_and_rolls_back(
    console: Console, environment: tuple[dict[str, str], str, str], visit: Visit
) -> None:
    settings, _, _ = environment
    stores = Stores(Settings(**{name.removeprefix("LEMO_").lower(): value for name, value in settings.items()}))
    scope = Scope(console.tenant_id, SHOP)
    served = stores.snapshots.current(scope, KIND)
    assert served is not None
    before = stores.snapshots.open(scope, KIND, served)
    metrics = {
        "model": {
            "ndcg_at_10": 0.1234,
            "intervals": {"ndcg_at_10": [0.11, 0.135]},
            "segments": {"heavy_users": {"ndcg_at_10": 0.25, "users": 41}},
        },
        "popularity": {"ndcg_at_10": 0.05},
    }
    for version in (OLD, NEW):
        stores.snapshots.publish(scope, KIND, version, dict(before.arrays), before.manifest)
        stores.models.record(scope, ModelRecord(version=version, kind="blend", metrics=metrics, why="a good one"))
    page = visit.page
    page.goto(console.url)
    page.get_by_role("link", name="Models", exact=False).first.click()
    row = page.get_by_role("row").filter(has_text=NEW).filter(has_text="a good one")
    expect(row).to_contain_text("0.1234", timeout=20_000)
    expect(row).to_contain_text("0.1100–0.1350")
    expect(row).to_contain_text("heavy users 0.2500 (41)")
    expect(page.get_by_role("button", name="Roll back")).to_be_disabled()

    for version in (OLD, NEW):
        page.get_by_role("button", name=f"Promote: {version}").click()
        expect(page.get_by_text(f"Put {version} in service?")).to_be_visible()
        page.get_by_role("button", name="Do it").click()
        expect(page.get_by_text(f"{version} serves now")).to_be_visible()
        assert stores.snapshots.current(scope, KIND) == version
    expect(row).to_contain_text("champion")
    expect(page.get_by_role("button", name=f"Promote: {NEW}")).to_be_disabled()
    picture(page, "models-1280")

    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Roll back to {OLD}?")).to_be_visible()
    page.get_by_role("button", name="Do it").click()
    # Not by the words, which the first promotion has shown already.
    line = page.get_by_role("row").filter(has_text="rollback")
    expect(line).to_contain_text(f"{console.tenant_id}, console")
    assert stores.snapshots.current(scope, KIND) == OLD
    narrow(page)
    picture(page, "models-390")
    stores.close()
