"""The sheets of households (户) and people (人) as county offices fill them in, and their two import kinds."""

from services.registry.households import codes
from services.registry.texts import business_cell, open_cell
from shared.scope import Level
from shared.sheets import Column, SheetSpec, cells
from shared.sheets.personal import id_number

MAX_REMARK = 200

INCOME_YEARS = range(2013, 2021)
"""Years with a column of their own: the years of the register."""

STATUS_WORDS = {
    "识别中": "candidate",
    "未脱贫": "registered",
    "已脱贫": "exited",
    "candidate": "candidate",
    "registered": "registered",
    "exited": "exited",
    "0": "registered",
    "1": "exited",
}

HOUSEHOLDS = SheetSpec(
    "households",
    "户",
    (
        Column("household_no", ("户编号", "household no", "aac001"), business_cell, help="全县唯一，不可更改"),
        Column(
            "division",
            ("行政村代码", "village code", "division"),
            cells.division(Level.VILLAGE),
            help="12 位行政区划代码",
        ),
        Column("group", ("村民小组", "group"), cells.text(40), required=False, fold=False),
        Column(
            "status",
            ("脱贫状态", "status", "aar010"),
            cells.one_of(STATUS_WORDS),
            choices=("识别中", "未脱贫", "已脱贫"),
        ),
        Column(
            "attribute",
            ("贫困户属性", "attribute", "aac006"),
            cells.one_of(codes.ATTRIBUTE_WORDS),
            choices=tuple(codes.ATTRIBUTE.values()),
        ),
        Column(
            "cause",
            ("主要致贫原因", "main cause"),
            cells.one_of(codes.CAUSE_WORDS),
            choices=tuple(codes.CAUSE.values()),
        ),
        Column(
            "other_cause",
            ("其他致贫原因", "other cause"),
            cells.one_of(codes.CAUSE_WORDS),
            required=False,
            choices=tuple(codes.CAUSE.values()),
        ),
        Column(
            "identified_on", ("识别时间", "identified on", "aar041"), cells.day, required=False, help="如 2014-05-01"
        ),
        Column("exited_on", ("脱贫时间", "exited on"), cells.day, required=False, help="已脱贫的户必填"),
        Column("standard", ("识别标准", "identification standard"), cells.text(40), required=False),
        Column(
            "housing",
            ("住房安全", "housing safety"),
            cells.one_of(codes.HOUSING_WORDS),
            choices=tuple(codes.HOUSING.values()),
        ),
        Column("safe_water", ("饮水安全", "safe water"), cells.yes_no, choices=("是", "否")),
        *(
            Column(
                f"income_{year}",
                (f"{year}年人均纯收入（元）", f"net income per head {year} yuan"),
                cells.amount_fen(1_000_000),
                required=False,
                help="元，最多两位小数",
            )
            for year in INCOME_YEARS
        ),
        Column("remark", ("备注", "remark"), open_cell(MAX_REMARK), required=False, fold=False),
    ),
    unique=(("household_no",),),
)

PEOPLE = SheetSpec(
    "people",
    "人",
    (
        Column("household_no", ("户编号", "household no", "aac001"), cells.business_no(), help="户表中的户编号"),
        Column("name", ("姓名", "name", "aab002"), cells.text(40), fold=False),
        Column("sex", ("性别", "sex"), cells.one_of(codes.SEX_WORDS), choices=("男", "女")),
        Column("id_number", ("证件号码", "ID number", "aab004"), id_number, help="18 位身份证号，或残疾人证号"),
        Column(
            "relation",
            ("与户主关系", "relation", "aab006"),
            cells.one_of(codes.RELATION_WORDS),
            choices=("户主", "配偶", "之子", "之女", "之父", "之母", "其他"),
            help="填汉字名称；每户一名户主",
        ),
        Column("ethnic", ("民族", "ethnic group"), cells.one_of(codes.ETHNIC_WORDS), help="填汉字名称，如 汉族"),
        Column("education", ("文化程度", "education"), cells.one_of(codes.EDUCATION_WORDS), help="如 小学、初中、高中"),
        Column(
            "student",
            ("在校生状况", "student status"),
            cells.one_of(codes.STUDENT_WORDS),
            choices=tuple(codes.STUDENT.values()),
        ),
        Column(
            "health", ("健康状况", "health"), cells.one_of(codes.HEALTH_WORDS), choices=tuple(codes.HEALTH.values())
        ),
        Column(
            "labour", ("劳动能力", "labour"), cells.one_of(codes.LABOUR_WORDS), choices=tuple(codes.LABOUR.values())
        ),
        Column(
            "work_place",
            ("务工地点", "place of work"),
            cells.one_of(codes.WORK_PLACE_WORDS),
            required=False,
            choices=tuple(codes.WORK_PLACE.values()),
        ),
        Column("work_months", ("务工月数", "months of work"), cells.whole(0, 12), required=False),
        Column("dibao", ("是否低保", "dibao"), cells.yes_no, choices=("是", "否")),
        Column("insured", ("参加医疗保险", "medical insurance"), cells.yes_no, choices=("是", "否")),
        Column("pension", ("参加养老保险", "pension insurance"), cells.yes_no, choices=("是", "否")),
    ),
    unique=(("id_number",),),
)
