"""What columns and actions are called elsewhere, and which of our fields and words they stand for."""

import re
from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel

from lemo.domain.event import Event
from lemo.domain.item import Item

_EVENT_NAMES: dict[str, str] = {
    "user_id": "userid user customerid customer visitorid reviewerid clientid memberid accountid uid userhash 用户id"
    " 用户",
    # Of Amazon's reviews and metadata only `parent_asin` names the same thing.
    "item_id": "itemid item parentasin asin productid product movieid bookid articleid newsid artistid songid"
    " trackid videoid contentid goodsid stockcode sku isbn iid 商品id 物品id 商品 物品",
    "action": "action eventtype event eventname behavior behaviour behaviortype interaction interactiontype verb"
    " type 行为 行为类型",
    "timestamp": "timestamp unixreviewtime ts eventtime timestampms datetime time eventdate createdat occurredat"
    " ratedat invoicedate orderdate purchasedate reviewtime date unixtime servertime 时间 时间戳 日期",
    "value": "value rating stars score overall ratings weight playcount plays 评分",
    "event_id": "eventid",
    "request_id": "requestid",
    "position": "position",
    "device": "device",
}
_ITEM_NAMES: dict[str, str] = {
    "item_id": _EVENT_NAMES["item_id"] + " id",
    "title": "title name productname producttitle movietitle booktitle headline songname 标题 名称",
    "description": "description desc abstract summary overview synopsis body 描述 简介",
    "categories": "categories category genres genre categorycode maincategory producttype 类别 分类",
    "tags": "tags keywords tag labels 标签",
    "author": "author authors brand artist creator publisher director store seller 作者 品牌",
    "published_at": "publishedat published releasedate publicationdate publishdate pubdate originalpublicationyear"
    " releaseyear publicationyear year createdat date 发布时间",
    "expires_at": "expiresat expires",
    "is_active": "isactive active",
    "url": "url link imdburl",
    "image_url": "imageurl image img imgurl imageurlhighres images cover coverurl thumbnail pictureurl poster imurl",
    "updated_at": "updatedat",
    "deleted": "deleted",
}
NAMES: dict[type[BaseModel], dict[str, list[str]]] = {
    model: {field: words.split() for field, words in names.items()}
    for model, names in ((Event, _EVENT_NAMES), (Item, _ITEM_NAMES))
}
"""For each field, what a column that holds it may be called, the likeliest first."""
_ALL = {word for names in NAMES.values() for words in names.values() for word in words}

RATINGS = frozenset({"rating", "stars", "score", "overall", "ratings", "评分"})
"""Columns of values that make each row a rating."""
PLAYS = frozenset({"playcount", "plays", "weight"})
"""Columns of values that make each row so many plays."""

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
    "impressions": ("impression",),
}


def plain(name: str) -> str:
    """A column's or action's name without what people write differently: case, spaces, `_`, `-` and `.`."""
    return re.sub(r"[\s_.\-]+", "", name).casefold()


def is_column_name(cell: str) -> bool:
    """Whether a cell is certainly the name of a column and no value."""
    return plain(cell) in _ALL


def columns_for(model: type[BaseModel], columns: Sequence[str], taken: Collection[str]) -> dict[str, list[str]]:
    """For each field, the columns that may hold it, the likeliest first; `taken` ones are left out."""
    known: dict[str, str] = {}
    for column in columns:
        if column not in taken:
            known.setdefault(plain(column), column)
    return {field: [known[word] for word in words if word in known] for field, words in NAMES[model].items()}


def action_words(found: Collection[str], actions: Collection[str]) -> dict[str, str]:
    """For words of a column of actions that the scenario does not know: the ones it has for them."""
    words: Mapping[str, str] = {plain(action): action for action in actions}
    known: dict[str, str] = {}
    for word in found:
        if word in actions:
            continue
        for name in (plain(word), *_ACTIONS.get(plain(word), ())):
            if name in words:
                known[word] = words[name]
                break
    return known
