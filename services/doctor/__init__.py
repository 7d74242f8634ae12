"""`daohu doctor` (体检): looks at everything a deployment stands on and says what to do about what is not as it should be.

`findings` what a check says · `patient` what is looked at · `checks` of the house · `ledger_checks` of the log · `sign_in_checks` of providers · `command` prints it.
"""
