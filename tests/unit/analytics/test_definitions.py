"""docs/analytics.md defines each number as the code does."""

from lemo.analytics.metrics import definitions
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, Ratio
from servers import ROOT


def test_the_page_defines_each_number_in_the_words_of_the_code() -> None:
    *_, attributed, direct = (ROOT / "docs" / "analytics.md").read_text().split("\n## ")
    for page, metrics in ((attributed, ATTRIBUTED), (direct, DIRECT)):
        rows = [f"| `{name}` | {means} |" for name, means in definitions(metrics).items()]
        assert page.split("|---|---|\n")[1].splitlines() == rows


def test_ratios_divide_numbers_of_their_own_part() -> None:
    for metrics in (ATTRIBUTED, DIRECT):
        names = definitions(metrics).keys()
        assert len(names) == len(metrics)
        for metric in metrics:
            assert not isinstance(metric, Ratio) or {metric.of, metric.per} <= names
