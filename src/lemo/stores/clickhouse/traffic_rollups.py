"""The queries that add up the numbers of a day: of answers, of their places, of events, and of items.

Their columns are those of `TrafficRows._rolled`.
"""

ROLLED_ANSWERS = """
    SELECT toDate(at, {{zone:String}}) AS day, group.1 AS by, group.2 AS key, [{sums}] AS sums,
           groupUniqArrayIf(cityHash64(user_id), user_id != '' AND {states}) AS users,
           groupUniqArrayArrayIf(arrayMap(each -> cityHash64(each), item_ids), {states}) AS items,
           groupArrayIf(took_us, {states}) AS took,
           arrayConcat(
               [toFloat64(uniqExactIf(user_id, user_id != '' AND by IN ('day', 'hour'))),
                toFloat64(uniqExactArrayIf(item_ids, by IN ('day', 'hour')))],
               arrayMap(each -> toFloat64(each), quantilesExact(0.5, 0.99)(took_us))
           ) AS distinct,
           emptyArrayUInt64() AS item_hashes, emptyArrayUInt64() AS item_counts, min(at) AS first, max(at) AS last
    FROM rows ARRAY JOIN [{groups}] AS group
    GROUP BY day, by, key
"""
ROLLED_PLACES = """
    SELECT toDate(at, {{zone:String}}) AS day, group.1 AS by, group.2 AS key, [{sums}] AS sums,
           emptyArrayUInt64() AS users, groupUniqArrayIf(cityHash64(item_id), by = 'source') AS items,
           emptyArrayUInt32() AS took, [0., 0., 0., 0.] AS distinct,
           emptyArrayUInt64() AS item_hashes, emptyArrayUInt64() AS item_counts, min(at) AS first, max(at) AS last
    FROM (
        SELECT at, share, item_id, seen, clicked, carted, converted, worth, was_explored, group,
               multiIf(group.1 = 'source', first_of_source, group.1 = 'item', first_of_item, 1) AS is_first
        FROM (
            SELECT at, share, item_id, place, source, was_explored, seen_one AS seen, clicked_one AS clicked,
                   carted_one AS carted, converted_one AS converted, worth_one AS worth,
                   indexOf(rows.sources, source) = place AS first_of_source,
                   indexOf(rows.item_ids, item_id) = place AS first_of_item
            FROM rows
            ARRAY JOIN rows.item_ids AS item_id, arrayEnumerate(rows.item_ids) AS place, rows.sources AS source,
                       rows.explored AS was_explored, rows.seen AS seen_one, rows.clicked AS clicked_one,
                       rows.carted AS carted_one, rows.converted AS converted_one, rows.worth AS worth_one
        ) ARRAY JOIN [{groups}] AS group
    )
    GROUP BY day, by, key
"""
ROLLED_EVENTS = """
    SELECT {slice}toDate(at, {{zone:String}}) AS day, group.1 AS by, group.2 AS key, [{sums}] AS sums,
           groupUniqArrayIf(cityHash64(user_id), by != 'item' AND {states}) AS users,
           emptyArrayUInt64() AS items, emptyArrayUInt32() AS took,
           [toFloat64(uniqExactIf(user_id, by IN ('day', 'hour'))), 0., 0., 0.] AS distinct,
           emptyArrayUInt64() AS item_hashes, emptyArrayUInt64() AS item_counts, min(at) AS first, max(at) AS last
    FROM ({events}) ARRAY JOIN [{groups}] AS group
    GROUP BY {by_slice}day, by, key
"""
ROLLED_ITEMS = """
    SELECT {by_slice}day, 'items' AS by, '' AS key, [0.] AS sums, emptyArrayUInt64() AS users,
           emptyArrayUInt64() AS items, emptyArrayUInt32() AS took, [0., 0., 0., 0.] AS distinct,
           groupArray(item) AS item_hashes, groupArray(times) AS item_counts, min(first_at) AS first,
           max(last_at) AS last
    FROM (
        SELECT {slice}toDate(at, {{zone:String}}) AS day, cityHash64(item_id) AS item, count() AS times,
               min(at) AS first_at, max(at) AS last_at
        FROM {rows} GROUP BY {by_slice}day, item
    )
    GROUP BY {by_slice}day
"""
