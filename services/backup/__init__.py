"""Backup and restore (备份与恢复): one encrypted file of one instant of the whole house, and the house again from it.

`archive` the encrypted file · `manifest` what it says of itself · `cut` the one instant · `take` makes it · `restore` the way back ·
`resend` what a new Kafka must hear again · `command` `daohu backup` and `daohu restore`. Why it is right: docs/decisions/0023.
"""
