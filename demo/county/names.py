"""Personal names put together by chance from common surnames and given-name characters: nobody's in particular."""

from random import Random

from demo.county.model import Sex

SURNAMES = tuple(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛阎段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤柯"
)
_COMMON = 30
"""The first surnames are drawn far more often, as in life."""

_MALE = tuple(
    "伟强磊军勇涛明超刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林欢阳建国志文光兴荣富贵德才福生安山松柏根海江河洪昌盛忠义仁和顺祥瑞"
)
_FEMALE = tuple("芳娜敏静丽艳娟霞秀英桂兰玉梅春花红燕玲凤珍莲香云菊秋月琴素雪巧惠淑美翠竹萍慧莉婷雅欣怡彩琼莹洁晶")
_GENERATION = tuple("永世家正启道开明宗光显大立天文章国安定成德")


def surname(rng: Random) -> str:
    return rng.choice(SURNAMES[:_COMMON]) if rng.random() < 0.7 else rng.choice(SURNAMES)


def given(rng: Random, sex: Sex) -> str:
    """One or two characters; the first of two may be a generation name (字辈)."""
    pool = _MALE if sex is Sex.MALE else _FEMALE
    last = rng.choice(pool)
    if rng.random() < 0.2:
        return last
    return rng.choice(_GENERATION if rng.random() < 0.6 else pool) + last
