"""What experiments have shown, in the language of the page: Chinese sentences are made from the numbers."""

from lemo.console.formats import stamp, whole
from lemo.console.language import language, t
from lemo.domain.experiment import Experiment
from lemo.domain.experiment_metrics import metric_of
from lemo.experiments.guardrails import BY
from lemo.experiments.plan import Plan
from lemo.experiments.results import ArmResult, GuardrailResult, MetricResult, Results
from lemo.statistics.verdict import FEWEST_ACTING, FEWEST_UNITS
from lemo.stores.documents.experiments import ExperimentChange

MEANINGS = {
    "ctr": "该组结果中，被点击的物品数占被看到（`impression`）物品数的比例。",
    "requests_clicked_share": "该组结果中，至少有一次点击的结果所占比例。",
    "clicks_per_unit": "首次曝光后每位用户的点击次数（不论来源）；按会话时只计该组结果上的点击。",
    "conversions_per_unit": "首次曝光后每位用户的目标行为次数（不论来源）；按会话时只计由该组结果带来的行为。",
    "converted_share": "首次曝光后至少有一次目标行为的用户或会话所占比例。",
    "value_per_unit": "首次曝光后每位用户或每个会话的目标行为 `value` 之和。",
    "requests_per_unit": "每位用户或每个会话的结果数。",
    "empty_share": "该组结果中没有物品的结果所占比例。",
    "degraded_share": "该组结果中标记为 `degraded` 的结果所占比例。",
    "latency_ms": "该组结果在接口中的平均用时（毫秒）。",
}


def verdict_words(results: Results, arm: ArmResult) -> list[str]:
    """The sentences that explain an arm's verdict."""
    if language() != "zh":
        return arm.words
    words = [f"该组于 {stamp(arm.stopped_at)} 停止：{_stop_words(results, arm)}"] if arm.stopped_at else []
    if arm.decision == "blocked":
        return [*words, "各组人数与权重不符，无法比较。请找出原因，修复后新建实验。"]
    if arm.decision == "too early":
        return [*words, f"为时过早：每组至少需要 {FEWEST_UNITS} 人，其中至少 {FEWEST_ACTING} 人的数值不为 0。"]
    found = arm.metrics[results.metric]
    if arm.stopped_at is None and found.difference is not None and found.low is not None and found.high is not None:
        span = f"95 % 区间 {found.low:+.4g} 至 {found.high:+.4g}"
        words.append(f"{arm.name} 使{metric_words(results.metric)}变化 {found.difference:+.4g}（{span}）。")
    if arm.decision in ("better", "worse"):
        better = "更好" if arm.decision == "better" else "更差"
        return [*words, f"{arm.name} 比对照组{better}。该区间在任何时候查看都有效。"]
    if arm.stopped_at is not None:
        return words
    if results.planned_units is not None and results.units >= results.planned_units:
        return [*words, "已达到计划人数，没有显示出差异。"]
    return [*words, "尚无定论：继续实验，区间会变窄。"]


def _stop_words(results: Results, arm: ArmResult) -> str:
    """Why an arm was stopped: by its guardrails, in numbers as they are now, else as a person said it."""
    broken = [each for each in arm.guardrails if each.broken]
    return "".join(guardrail_words(results, arm, each) for each in broken) or arm.stopped_why


def guardrail_words(results: Results, arm: ArmResult, guardrail: GuardrailResult) -> str:
    """What a guardrail says of an arm."""
    control = next(each for each in results.arms if each.control)
    own, other = (number(each.metrics[guardrail.metric].value) for each in (arm, control))
    name = metric_words(guardrail.metric)
    limits = [f"{guardrail.most_worse:.0%}"] if guardrail.most_worse else []
    limits += [f"{guardrail.most_worse_by:g}"] if guardrail.most_worse_by else []
    allowed = ""
    if limits:
        allowed = t(f"; up to {' or '.join(limits)} worse is allowed", f"；允许变差 {' 或 '.join(limits)}")
    found = t("not worse beyond noise", "变差未超出噪声")
    if guardrail.broken:
        found = t("worse beyond noise", "变差已超出噪声")
    return t(
        f"{name}: {own}, in the control {other}: {found}{allowed}.",
        f"{name} {own}，对照组 {other}：{found}{allowed}。",
    )


def change_words(change: ExperimentChange) -> str:
    """Why something was done: a person's words; of the guardrails' job in Chinese which arms it has stopped."""
    if language() == "zh" and change.changed_by == BY:
        stopped = [arm.name for arm in change.experiment.arms if arm.stopped_why and arm.stopped_why in change.why]
        return f"护栏停止了 {'、'.join(stopped)}，数值见护栏。"
    return change.why or "–"


def ended_words(experiment: Experiment) -> str:
    """Why an experiment ended, where something is known of it."""
    if experiment.shipped_arm:
        return t(experiment.ended_why, f"已全量上线 {experiment.shipped_arm}")
    return experiment.ended_why


def plan_words(plan: Plan) -> str:
    """What an experiment needs."""
    return t(
        plan.words,
        f"对照组与一个实验组共需 {whole(plan.units_of_two)} 人，才能以 {plan.power:.0%} 的概率发现"
        f"{metric_words(plan.metric)}（当前 {plan.now:.4g}）{plan.effect:.0%} 的提升："
        f"按每天 {plan.units_per_day:,.0f} 人计，约 {plan.days:,} 天。",
    )


def meaning(results: Results, metric: str) -> str:
    """What a metric of the results means."""
    english = results.definitions[metric]
    action = metric_of(metric).action
    if action is not None:
        return t(english, f"首次曝光后每位用户的 `{action}` 次数；按会话时只计该组结果上的行为。")
    return t(english, MEANINGS[metric])


def metric_words(name: str) -> str:
    """A metric's name in the language of the page."""
    words = {
        "ctr": t("click rate", "点击率"),
        "requests_clicked_share": t("answers clicked", "有点击的请求占比"),
        "clicks_per_unit": t("clicks per user", "人均点击"),
        "conversions_per_unit": t("conversions per user", "人均转化"),
        "converted_share": t("users who convert", "转化用户占比"),
        "value_per_unit": t("value per user", "人均价值"),
        "requests_per_unit": t("answers per user", "人均请求"),
        "empty_share": t("empty answers", "空结果占比"),
        "degraded_share": t("degraded answers", "降级结果占比"),
        "latency_ms": t("latency, ms", "延迟（毫秒）"),
    }
    action = metric_of(name).action
    if action is not None:
        return t(f"{action} per user", f"人均 {action}")
    return words.get(name, name)


def number(value: float | None) -> str:
    """A value in four digits."""
    return "–" if value is None else f"{value:.4g}"


def per_cent(value: float | None) -> str:
    """A lift with its sign."""
    return "–" if value is None else f"{100 * value:+.1f} %"


def interval(found: MetricResult) -> str:
    """The interval of the lift; a dash while it has no end."""
    if found.lift_low is None or found.lift_high is None:
        return "–"
    return t(
        f"{per_cent(found.lift_low)} to {per_cent(found.lift_high)}",
        f"{per_cent(found.lift_low)} 至 {per_cent(found.lift_high)}",
    )


def decided_by(experiment: Experiment) -> str:
    """What an experiment is decided by, in the language of the page."""
    if experiment.kind == "interleaving":
        return t("preference (interleaving)", "偏好（混排）")
    return metric_words(experiment.metric)
