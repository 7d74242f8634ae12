"""Imports (导入): files checked as a whole, taken over in one transaction, sent back with their errors marked. All services use this one."""
