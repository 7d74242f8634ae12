"""The sheet of payees (收款账户): what its columns mean."""

from shared.sheets import Column, SheetSpec, cells, personal

MAX_NAME = 40
MAX_BANK = 60

PAYEES = SheetSpec(
    name="payees",
    title="收款账户",
    columns=(
        Column(
            "household_no",
            ("户编号", "household_no", "household number"),
            cells.business_no(),
            help="与建档立卡户编号一致",
        ),
        Column(
            "account_name", ("户名", "开户人", "account_name"), cells.text(MAX_NAME), fold=False, help="银行账户的户名"
        ),
        Column("card_number", ("银行卡号", "账号", "card_number"), personal.card, help="一卡通卡号，按文本填写"),
        Column("bank", ("开户银行", "开户行", "bank"), cells.text(MAX_BANK), help="开户银行名称"),
    ),
    unique=(("household_no",), ("card_number",)),
)
