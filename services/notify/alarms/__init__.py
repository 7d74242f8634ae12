"""What a person must look at (待办提醒)."""
