"""The words of the small world: per scenario its categories with themes (English, Chinese), title forms and authors."""

from dataclasses import dataclass

Theme = tuple[str, str]
"""What an item is about, in English and in Chinese."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one scenario."""

    themes: dict[str, tuple[Theme, ...]]
    """Themes by category; items of one theme are liked by the same users."""
    english: tuple[str, ...]
    """Title forms with `{theme}` (lower case), `{Theme}` (capitalised) and `{detail}`."""
    chinese: tuple[str, ...]
    details: tuple[Theme, ...]
    """What tells titles of one theme apart: a place, a colour."""
    authors: tuple[Theme, ...]


VLOG = Vocabulary(
    themes={
        "food": (("ramen", "拉面"), ("hot pot", "火锅"),
            ("sourdough bread", "酸面包")),
        "travel": (("night trains", "夜行列车"), ("mountain hiking", "登山徒步"),
            ("island camping", "海岛露营")),
        "gaming": (("speedrunning", "游戏速通"), ("indie games", "独立游戏"),
            ("chess openings", "国际象棋开局")),
        "fitness": (("kettlebell training", "壶铃训练"), ("marathon running", "马拉松跑步"),
            ("morning yoga", "晨间瑜伽")),
        "pets": (("rescue cats", "流浪猫救助"), ("puppy training", "幼犬训练"),
            ("aquarium keeping", "水族养护")),
        "technology": (("mechanical keyboards", "机械键盘"), ("home servers", "家庭服务器"),
            ("drone filming", "无人机航拍")),
        "music": (("fingerstyle guitar", "指弹吉他"), ("piano practice", "钢琴练习"),
            ("street drumming", "街头打鼓")),
        "crafts": (("wood carving", "木雕"), ("pottery", "陶艺"),
            ("knitting", "编织")),
    },
    english=(
        "{Theme}: what I wish I had known, {detail}",
        "Seven days of {theme} {detail}",
        "The quiet joy of {theme} {detail}",
        "{Theme} for beginners, filmed {detail}",
        "I asked an expert about {theme} {detail}",
        "{Theme} on a small budget {detail}",
    ),
    chinese=(
        "{detail}的{theme}新手指南",
        "一个视频看懂{theme}：{detail}篇",
        "{detail}七天{theme}记录",
        "关于{theme}你不知道的五件事，{detail}实拍",
        "我在{detail}的{theme}日常",
        "{detail}{theme}避坑指南",
    ),
    details=(
        ("in Chengdu", "成都"), ("in Kyoto", "京都"), ("in Lisbon", "里斯本"), ("in Hangzhou", "杭州"),
        ("in Edinburgh", "爱丁堡"), ("in Dali", "大理"), ("in Vancouver", "温哥华"), ("in Xiamen", "厦门"),
    ),
    authors=(
        ("Mia Chen", "小米同学"), ("Leo Park", "阿力"), ("Nora Blake", "诺拉日记"), ("Tom Reyes", "老汤"),
        ("Ivy Lin", "艾薇"), ("Sam Okoro", "山姆在路上"), ("Hana Sato", "花子"), ("Max Weber", "马克斯"),
    ),
)  # fmt: skip

NEWS = Vocabulary(
    themes={
        "technology": (("chip factories", "芯片工厂"), ("open-source AI", "开源人工智能"),
            ("quantum computing", "量子计算")),
        "economy": (("housing prices", "房价"), ("small exporters", "中小外贸企业"),
            ("interest rates", "利率")),
        "sports": (("women's football", "女足"), ("table tennis", "乒乓球"),
            ("winter sports", "冰雪运动")),
        "health": (("sleep research", "睡眠研究"), ("school lunches", "学生午餐"),
            ("flu vaccines", "流感疫苗")),
        "science": (("lunar exploration", "月球探测"), ("deep-sea life", "深海生物"),
            ("glacier melt", "冰川消融")),
        "culture": (("museum nights", "博物馆之夜"), ("documentary film", "纪录片"),
            ("street food markets", "夜市小吃")),
        "transport": (("high-speed rail", "高铁"), ("electric buses", "电动公交"),
            ("bicycle lanes", "自行车道")),
        "education": (("vocational schools", "职业教育"), ("rural libraries", "乡村图书馆"),
            ("exam reform", "考试改革")),
    },
    english=(
        "{Theme}: what the latest figures say {detail}",
        "New plan for {theme} announced {detail}",
        "Experts disagree about {theme} {detail}",
        "Why {theme} matters {detail}",
        "A year of {theme} {detail}, in numbers",
        "Readers ask: what next for {theme} {detail}?",
    ),
    chinese=(
        "{detail}公布{theme}最新数据",
        "{detail}{theme}新方案出台",
        "专家解读{detail}{theme}的三个问题",
        "记者调查：{detail}{theme}一年变化",
        "{detail}{theme}为何受关注",
        "读者来信：{detail}{theme}的下一步",
    ),
    details=(
        ("in Shanghai", "上海"), ("in Berlin", "柏林"), ("in Shenzhen", "深圳"), ("in Nairobi", "内罗毕"),
        ("in Wuhan", "武汉"), ("in Toronto", "多伦多"), ("in Harbin", "哈尔滨"), ("in Singapore", "新加坡"),
    ),
    authors=(
        ("City Desk", "本地新闻部"), ("Anna Holm", "安娜·霍尔姆"), ("Li Wei", "李伟"), ("Grace Mbeki", "格蕾丝"),
        ("Business Desk", "财经部"), ("Zhang Min", "张敏"), ("Paul Adler", "保罗·阿德勒"), ("Science Desk", "科学部"),
    ),
)  # fmt: skip

ECOMMERCE = Vocabulary(
    themes={
        "audio": (("wireless headphones", "无线耳机"), ("bookshelf speaker", "书架音箱"),
            ("record player", "黑胶唱机")),
        "kitchen": (("cast-iron pan", "铸铁锅"), ("coffee grinder", "咖啡磨豆机"),
            ("tea set", "茶具套装")),
        "outdoor": (("trail backpack", "登山背包"), ("camping tent", "露营帐篷"),
            ("hiking boots", "徒步鞋")),
        "home": (("desk lamp", "台灯"), ("linen bedding", "亚麻床品"),
            ("oak bookshelf", "橡木书架")),
        "beauty": (("face serum", "面部精华"), ("sunscreen", "防晒霜"),
            ("hair mask", "发膜")),
        "children": (("building blocks", "积木"), ("picture book", "绘本"),
            ("balance bike", "平衡车")),
        "sports": (("badminton racket", "羽毛球拍"), ("yoga mat", "瑜伽垫"),
            ("swimming goggles", "泳镜")),
        "stationery": (("fountain pen", "钢笔"), ("dotted notebook", "点阵笔记本"),
            ("watercolour set", "水彩套装")),
    },
    english=(
        "{Theme}, {detail}",
        "Well-made {theme}, {detail}",
        "{Theme} for every day, {detail}",
        "Premium {theme}, {detail}",
        "{Theme} in a gift box, {detail}",
        "Affordable {theme}, {detail}",
    ),
    chinese=(
        "{detail}{theme}",
        "匠心{theme} {detail}",
        "日常{theme} {detail}",
        "高端{theme} {detail}",
        "{theme}礼盒装 {detail}",
        "平价{theme} {detail}",
    ),
    details=(
        ("spring edition", "春季款"), ("autumn edition", "秋季款"), ("classic edition", "经典款"),
        ("limited edition", "限量款"), ("anniversary edition", "周年款"), ("designer edition", "设计师款"),
        ("harbour edition", "海港款"), ("forest edition", "森林款"),
    ),
    authors=(
        ("Northwind", "北风"), ("Lumen & Co", "流明"), ("Green Hill", "青山"), ("Maple House", "枫屋"),
        ("Blue Harbor", "蓝港"), ("Little Bear", "小熊"), ("Oak Street", "橡树街"), ("Clearwater", "清水"),
    ),
)  # fmt: skip
