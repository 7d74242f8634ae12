"""Planned values (目标任务): division × year × indicator."""
