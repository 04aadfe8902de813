"""A migration: ids of events have one form, that of `canonical_id`."""
# ruff: noqa: S608 - only our own expression is put into the text of queries

_OTHER_IDS = """
    notEmpty(trimBoth(user_id)) AND notEmpty(trimBoth(item_id))
    AND (user_id != normalizeUTF8NFC(trimBoth(user_id)) OR item_id != normalizeUTF8NFC(trimBoth(item_id)))
"""
# What is stored in another form is stored again: of one event_id the greater precedence counts. The marks come first,
# so that a migration that is cut short is whole when it is repeated.
ONE_ID_FORM = (
    f"""
    INSERT INTO {{database}}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT 'bef1', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC')
    FROM (SELECT DISTINCT tenant_id, scenario_id FROM {{database}}.events WHERE {_OTHER_IDS})
    """,
    f"""
    INSERT INTO {{database}}.events (tenant_id, scenario_id, event_id, user_id, item_id, action, timestamp, value,
        request_id, position, device, attributes, ingested_at, precedence)
    SELECT tenant_id, scenario_id, event_id, normalizeUTF8NFC(trimBoth(user_id)),
        normalizeUTF8NFC(trimBoth(item_id)), action, timestamp, value, request_id, position, device, attributes,
        ingested_at, precedence + 1
    FROM {{database}}.events FINAL WHERE {_OTHER_IDS}
    """,
)
"""The statements; the first marks the scenarios whose hours must be counted anew."""
