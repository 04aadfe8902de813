"""What columns and actions are called elsewhere, and which of our fields and words they stand for."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from lemo.domain.event import Event
from lemo.domain.item import Item

_EVENT_NAMES: dict[str, str] = {
    "user_id": "userid user customerid customer visitorid reviewerid clientid memberid accountid uid userhash 用户id"
    " 用户 userpseudoid distinctid username visitor anonymousid sessionid session",
    # Of Amazon's reviews and metadata only `parent_asin` names the same thing.
    "item_id": "itemid item parentasin asin productid product movieid bookid articleid newsid artistid songid"
    " trackid videoid contentid goodsid stockcode sku isbn iid aid businessid handle 商品id 物品id 商品 物品",
    "action": "action eventtype event eventname behavior behaviour behaviortype interaction interactiontype verb"
    " type 行为 行为类型",
    "timestamp": "timestamp unixreviewtime ts eventtimestamp eventtime timestampms datetime time eventdate createdat"
    " occurredat ratedat invoicedate orderdate purchasedate reviewtime date dateadded unixtime servertime tdat"
    " 时间 时间戳 日期",
    "value": "value rating stars score overall ratings bookrating userrating weight playcount plays watchratio"
    " eventvalue 评分",
    "event_id": "eventid",
    "request_id": "requestid",
    "position": "position",
    "device": "device",
}
_ITEM_NAMES: dict[str, str] = {
    "item_id": _EVENT_NAMES["item_id"] + " id",
    "title": "title name productname producttitle movietitle booktitle headline songname prodname itemname appname"
    " 标题 名称",
    "description": "description desc abstract summary overview synopsis body bodyhtml detaildesc 描述 简介",
    "categories": "categories category genres genre categorycode maincategory producttype producttypename"
    " googleproductcategory class 类别 分类",
    "tags": "tags keywords tag labels 标签",
    "author": "author authors bookauthor brand artist creator vendor publisher director store seller 作者 品牌",
    "published_at": "publishedat published releasedate publicationdate publishdate pubdate originalpublicationyear"
    " releaseyear publicationyear yearofpublication year createdat date 发布时间",
    "expires_at": "expiresat expires",
    "is_active": "isactive active",
    "url": "url link imdburl",
    "image_url": "imageurl image img imgurl imageurlhighres imagelink imagesrc images cover coverurl thumbnail"
    " pictureurl poster imurl imageurll imageurlm imageurls",
    "updated_at": "updatedat",
    "deleted": "deleted",
}
NAMES: dict[type[BaseModel], dict[str, list[str]]] = {
    model: {field: words.split() for field, words in names.items()}
    for model, names in ((Event, _EVENT_NAMES), (Item, _ITEM_NAMES))
}
"""For each field, what a column that holds it may be called, the likeliest first."""
_ALL = {word for names in NAMES.values() for words in names.values() for word in words}

RATINGS = frozenset({"rating", "stars", "score", "overall", "ratings", "bookrating", "userrating", "评分"})
"""Columns of values that make each row a rating."""
PLAYS = frozenset({"playcount", "plays", "weight", "watchratio"})
"""Columns of values that make each row so many plays."""
ORDERS = frozenset(
    {"invoiceno", "invoice", "invoicedate", "orderid", "orderno", "ordernumber", "orderdate", "purchasedate", "tdat"}
)
"""Columns that only rows of orders have."""
_MOST_WORDS = 10_000
"""Words of actions that are kept; of more than these, none is an action."""
ORDERED = ("purchase", "order")
"""What such rows are, where the scenario knows it."""

WRAPPERS = frozenset({"properties", "payload", "data", "params", "attributes", "ecommerce", "context"})
"""Objects of JSON whose names say nothing of what is in them."""
_OTHER_IDS = re.compile(
    r"(user|customer|visitor|session|order|transaction|invoice|review|event|request|category|brand|store|channel"
    r"|author|parent|message|trace|device|country|city|type|group|row|index|seller|owner|tenant|scenario|.*uu)id$"
)
"""Ids, by their plain names, that are certainly none of items."""

_ACTIONS: dict[str, tuple[str, ...]] = {
    "addtocart": ("cart",),
    "cartadd": ("cart",),
    "addcart": ("cart",),
    "basket": ("cart",),
    "transaction": ("purchase", "order"),
    "buy": ("purchase", "order"),
    "bought": ("purchase", "order"),
    "purchased": ("purchase", "order"),
    "sale": ("purchase", "order"),
    "order": ("purchase",),
    "purchase": ("order",),
    "pageview": ("view",),
    "pv": ("view",),
    "viewed": ("view",),
    "detail": ("view",),
    "itemview": ("view",),
    "clicked": ("click",),
    "listen": ("play",),
    "watch": ("play",),
    "played": ("play",),
    "fav": ("favorite",),
    "favourite": ("favorite",),
    "bookmark": ("favorite",),
    "liked": ("like",),
    "thumbsup": ("like",),
    "thumbsdown": ("dislike",),
    "rating": ("rate",),
    "rated": ("rate",),
    "show": ("impression",),
    "exposure": ("impression",),
    "productviewed": ("view",),
    "viewitem": ("view",),
    "productadded": ("cart",),
    "productaddedtocart": ("cart",),
    "ordercompleted": ("purchase", "order"),
    "orderplaced": ("purchase", "order"),
    "checkout": ("purchase", "order"),
}


def plain(name: str) -> str:
    """A column's or action's name without what people write differently: case, spaces, `_`, `-` and `.`."""
    return re.sub(r"[\s_.\-()]+", "", name).casefold()


def is_column_name(cell: str) -> bool:
    """Whether a cell is certainly the name of a column and no value."""
    return plain(cell) in _ALL


def columns_for(model: type[BaseModel], columns: Sequence[str], taken: Collection[str]) -> dict[str, list[str]]:
    """For each field, the columns that may hold it, the likeliest first; `taken` ones are left out.

    Of columns inside objects of JSON, written `object.column`, both names count: `user.id` and `properties.product_id`.
    """
    known: dict[str, str] = {}
    for column in columns:
        if column not in taken:
            known.setdefault(plain(column), column)
    for column in columns:
        outer, inside, inner = column.rpartition(".")
        if inside and column not in taken and plain(outer) in WRAPPERS:
            known.setdefault(plain(inner), column)
    found = {field: [known[word] for word in words if word in known] for field, words in NAMES[model].items()}
    if not found["item_id"]:
        # Of films, games and hotels alike: the one id whose name says that it is no other thing's.
        others = [column for word, column in known.items() if word.endswith("id") and not _OTHER_IDS.match(word)]
        users = set(found["user_id"]) if "user_id" in found else set()
        others = [column for column in others if column not in users]
        found["item_id"] = others if len(others) == 1 else []
    return found


def action_words(found: Collection[str], actions: Collection[str]) -> dict[str, str]:
    """For words of a column of actions that the scenario does not know: the ones it has for them."""
    words: Mapping[str, str] = {plain(action): action for action in actions}
    known: dict[str, str] = {}
    for word in found:
        if word in actions:
            continue
        several = plain(word)
        one = several.removesuffix("s")
        for name in (several, *_ACTIONS.get(several, ()), one, *_ACTIONS.get(one, ())):
            if name in words:
                known[word] = words[name]
                break
    return known


class ActionWords:
    """For each word of a file's actions, the scenario's: as told, else as guessed, else the word itself."""

    def __init__(self, actions: Collection[str], told: Mapping[str, str]) -> None:
        self._actions = actions
        self._found: dict[str, str] = {action: action for action in actions} | dict(told)

    def of(self, word: Any) -> Any:
        """The action for a word; what is neither a text nor a number is handed back."""
        if type(word) is not str:
            return self._found.get(str(word), word) if isinstance(word, int | float) else word
        found = self._found.get(word)
        if found is None:
            found = action_words((word,), self._actions).get(word, word) if self._actions else word
            if len(self._found) < _MOST_WORDS:
                self._found[word] = found
        return found
