"""The receipt of an erasure: what was removed where, what remains until when, and whether anything was found again."""

from nicegui import ui

from lemo.console.formats import stamp, whole
from lemo.console.language import t
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, GOOD, WEAK, badge, copyable
from lemo.stores.documents.erasures import ErasureReceipt


def receipt_card(receipt: ErasureReceipt) -> None:
    """Draws a receipt."""
    with ui.column().classes("w-full gap-2"):
        with ui.row().classes("items-center gap-2"):
            if receipt.verified_at is None:
                badge(t("cut short: repeat it", "未完成：请重试"), BAD)
            elif receipt.clean:
                badge(t("nothing found afterwards", "复查无残留"), GOOD)
            else:
                badge(t("something was found afterwards", "复查发现残留"), BAD)
            ui.label(stamp(receipt.erased_at)).classes("lemo-muted lemo-small")
        copyable(receipt.receipt_id)
        ui.label(
            t(
                "Keep this number: with it and the user's id all stores can be searched again.",
                "请保存此编号：凭它和用户编号可重新检索所有存储。",
            )
        ).classes("lemo-muted lemo-small")
        with table(
            (t("Store", "存储"), t("Removed", "已删除"), t("Found", "残留"), t("What remains", "仍留存")), (1, 2)
        ):
            for part in receipt.stores:
                with tr():
                    with td():
                        ui.label(part.store)
                        ui.label(part.scenario_id).classes("lemo-muted lemo-small")
                    cell(whole(part.removed), number=True)
                    cell("–" if part.found is None else whole(part.found), number=True)
                    with td():
                        ui.label(part.remains or "–").classes("lemo-small break-words max-w-md")
                        if part.until:
                            badge(t(f"until {stamp(part.until)}", f"至 {stamp(part.until)}"), WEAK)
        ui.button(
            t("Download as JSON", "下载 JSON"),
            icon="download",
            on_click=lambda: ui.download.content(
                receipt.model_dump_json(indent=2), f"erasure-{receipt.receipt_id}.json", "application/json"
            ),
        ).props("flat no-caps dense color=secondary")
